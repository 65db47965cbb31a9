//! What is out of the ordinary about a setting, and the macro that makes structs and rows of one text.

/// How a setting is given, and when it is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traits {
    /// The name of its option of the command line, where that does not follow from the key.
    pub flag: Option<&'static str>,
    /// Whether the option stands alone, and what it says then.
    pub switch: Option<bool>,
    /// What stands for a value in usages, where that does not follow from the kind.
    pub named: Option<&'static str>,
    /// What is done without it, where the default does not say so.
    pub without: Option<&'static str>,
    /// Whether a site may have its own.
    pub site: bool,
    /// Whether a running server takes it over when it is told to reload.
    pub live: bool,
    /// Whether it is a secret, which only files and credentials may hold.
    pub secret: bool,
    /// Whether it is for tests and for those who look after strange machines.
    pub hidden: bool,
}

/// Nothing out of the ordinary.
pub(super) const fn plain() -> Traits {
    Traits {
        flag: None,
        switch: None,
        named: None,
        without: None,
        site: false,
        live: false,
        secret: false,
        hidden: false,
    }
}

impl Traits {
    pub(super) const fn flag(self, name: &'static str) -> Self {
        Self { flag: Some(name), ..self }
    }

    /// An option that stands alone and says this.
    pub(super) const fn says(self, what: bool) -> Self {
        Self { switch: Some(what), ..self }
    }

    pub(super) const fn named(self, placeholder: &'static str) -> Self {
        Self { named: Some(placeholder), ..self }
    }

    pub(super) const fn without(self, what: &'static str) -> Self {
        Self { without: Some(what), ..self }
    }

    pub(super) const fn site(self) -> Self {
        Self { site: true, ..self }
    }

    pub(super) const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    pub(super) const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }
}

/// Makes the structs of the sections, [`Settings`] with all of them, and the rows.
macro_rules! table {
    ($(
        $title:literal, $prefix:literal, $section:ident: $Section:ident {
            $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $traits:expr;)+
        }
    )+) => {
        $(
            #[doc = $title]
            #[derive(Debug, Clone, PartialEq)]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $key: $type,)+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// All settings, section by section.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Settings {
            $(#[doc = $title] pub $section: $Section,)+
        }

        /// The table.
        pub static ROWS: &[Row] = &[$($(
            Row::new(
                (concat!($prefix, stringify!($key)), $title, concat!($($doc),+)),
                <$type as Value>::KIND,
                $traits,
                |settings, given| {
                    settings.$section.$key = <$type as Value>::read(given)?;
                    Ok(())
                },
                |settings| Value::toml(&settings.$section.$key),
                |one, other| one.$section.$key == other.$section.$key,
                |settings, other| settings.$section.$key.clone_from(&other.$section.$key),
            ),
        )+)+];
    };
}

pub(super) use table;
