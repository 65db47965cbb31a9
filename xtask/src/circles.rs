//! No circles between the files of a crate: whoever reads one file must not have to have read another that needs it.
//!
//! A file needs another where it names something that is defined there: in a `use`, or by a path. What a module only
//! re-exports is looked up where it is defined; so a parent that declares modules and re-exports their items needs none
//! of them, and they may name one another through it. Code for tests does not count. Macros, and names that come by a
//! glob from a file that does not define them, are not followed.

use crate::run;
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

mod known;
mod source;

use known::KNOWN;
use source::Source;

/// How often a re-export is followed to another one.
const HOPS_MAX: usize = 8;

/// Checks all crates of the workspace.
pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let mut circles = Vec::new();
    for file in run::committed()? {
        let is_root = ["src/lib.rs", "src/main.rs"].iter().any(|root| file.ends_with(root));
        if is_root && run::root().join(&file).exists() {
            circles.extend(Crate::read(run::root(), &file)?.circles());
        }
    }
    Ok(verdicts(&circles, KNOWN))
}

/// What is wrong: circles that are not known, and known ones that are gone.
fn verdicts(circles: &[BTreeSet<String>], known: &[&[&str]]) -> Vec<String> {
    let mut wrong = Vec::new();
    for circle in circles {
        if !known.iter().any(|known| circle.iter().all(|file| known.contains(&file.as_str()))) {
            let files: Vec<&str> = circle.iter().map(String::as_str).collect();
            wrong.push(format!("files that need one another: {}", files.join(", ")));
        }
    }
    for file in known.iter().copied().flatten() {
        if !circles.iter().any(|circle| circle.contains(*file)) {
            wrong.push(format!("{file}: in no circle any more; take it out of xtask's list"));
        }
    }
    wrong
}

/// A module of its own file.
struct Module {
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    file: String,
    source: Source,
}

/// The files of a crate that are not for tests.
struct Crate {
    modules: Vec<Module>,
}

impl Crate {
    /// Reads the crate of a root file.
    fn read(base: &Path, root: &Path) -> anyhow::Result<Self> {
        let mut all = Self { modules: Vec::new() };
        all.add(base, root, None)?;
        Ok(all)
    }

    fn add(&mut self, base: &Path, file: &Path, parent: Option<usize>) -> anyhow::Result<usize> {
        let text = fs::read_to_string(base.join(file)).with_context(|| format!("read {}", file.display()))?;
        let source = Source::parse(&text);
        let modules = source.modules.clone();
        let at = self.modules.len();
        let name = file.display().to_string();
        self.modules.push(Module { parent, children: BTreeMap::new(), file: name, source });
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let dir = match (stem, file.parent()) {
            ("lib" | "main" | "mod", Some(dir)) => dir.to_owned(),
            _ => file.with_extension(""),
        };
        for module in modules {
            let found = [dir.join(format!("{module}.rs")), dir.join(&module).join("mod.rs")];
            let Some(child) = found.iter().find(|path| base.join(path).exists()) else { continue };
            let child = self.add(base, child, Some(at))?;
            self.modules[at].children.insert(module, child);
        }
        Ok(at)
    }

    /// The module that defines what a path names, seen from another one; `None`: it is another crate's.
    fn resolve(&self, from: usize, path: &[String], hops: usize) -> Option<usize> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => 0,
            "self" => from,
            "super" => self.modules[from].parent?,
            child => *self.modules[from].children.get(child)?,
        };
        while let Some((name, more)) = rest.split_first() {
            if name == "super" {
                at = self.modules[at].parent?;
            } else if let Some(child) = self.modules[at].children.get(name) {
                at = *child;
            } else {
                return Some(self.definer(at, name, hops).unwrap_or(at));
            }
            rest = more;
        }
        Some(at)
    }

    /// The module that defines what another one has under a name.
    fn definer(&self, at: usize, name: &str, hops: usize) -> Option<usize> {
        let module = &self.modules[at];
        if hops == 0 || module.source.defined.contains(name) {
            return Some(at);
        }
        let follow = |path: &[String]| self.resolve(at, path, hops - 1);
        if let Some(import) = module.source.imports.iter().find(|import| import.name == name) {
            return follow(&import.path);
        }
        let globs = module.source.imports.iter().filter(|import| import.name == "*" && import.is_public);
        globs.filter_map(|glob| follow(&glob.path)).find(|found| self.modules[*found].source.defined.contains(name))
    }

    /// Which modules a module needs.
    fn needs(&self, at: usize) -> BTreeSet<usize> {
        let source = &self.modules[at].source;
        let imports = source.imports.iter().filter(|import| !import.is_public).map(|import| &import.path);
        let found = imports.chain(&source.paths).filter_map(|path| self.resolve(at, path, HOPS_MAX));
        found.filter(|found| *found != at).collect()
    }

    /// The files of each circle.
    fn circles(&self) -> Vec<BTreeSet<String>> {
        let needs: Vec<BTreeSet<usize>> = (0..self.modules.len()).map(|at| self.needs(at)).collect();
        let reached: Vec<BTreeSet<usize>> = (0..needs.len()).map(|at| reachable(&needs, at)).collect();
        let mut circles: Vec<BTreeSet<String>> = Vec::new();
        for at in 0..needs.len() {
            let circle: BTreeSet<usize> = reached[at].iter().copied().filter(|to| reached[*to].contains(&at)).collect();
            if circle.first() == Some(&at) {
                circles.push(circle.into_iter().map(|at| self.modules[at].file.clone()).collect());
            }
        }
        circles
    }
}

/// All that can be reached from one, itself only by a circle.
fn reachable(needs: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<usize> = needs[from].iter().copied().collect();
    while let Some(at) = next.pop() {
        if reached.insert(at) {
            next.extend(&needs[at]);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// The circles of a crate of these files.
    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        let found = Crate::read(dir.path(), &PathBuf::from(files[0].0)).expect("read").circles();
        found.into_iter().map(|circle| circle.into_iter().collect()).collect()
    }

    #[test]
    fn files_that_need_one_another_are_found_and_said() {
        let lib = ("src/lib.rs", "mod a; mod b; pub use a::A;");
        let b = ("src/b.rs", "pub struct B(crate::A);");
        assert_eq!(circles(&[lib, ("src/a.rs", "pub struct A;"), b]), Vec::<Vec<String>>::new());
        let circle = [["src/a.rs", "src/b.rs"]];
        assert_eq!(circles(&[lib, ("src/a.rs", "use crate::b::B; pub struct A(Box<B>);"), b]), circle);
        assert_eq!(circles(&[lib, ("src/a.rs", "pub struct A; fn f() { crate::b::f() }"), b]), circle);
        assert_eq!(circles(&[lib, ("src/a.rs", "use super::{b::{self, B}}; pub struct A;"), b]), circle);
    }

    #[test]
    fn what_a_parent_re_exports_is_its_childs_and_what_it_defines_is_its_own() {
        let lib = ("src/lib.rs", "mod m;");
        let m = |own| format!("mod a; mod b; pub use a::A; {own}");
        let files = |m: &'static str, b| [lib, ("src/m.rs", m), ("src/m/a.rs", "pub struct A;"), ("src/m/b.rs", b)];
        let plain: &'static str = m("").leak();
        assert_eq!(circles(&files(plain, "use super::A;")), Vec::<Vec<String>>::new());
        let own: &'static str = m("use b::f; pub struct Own; fn g() { f() }").leak();
        assert_eq!(circles(&files(own, "use super::A; pub fn f() {}")), Vec::<Vec<String>>::new());
        assert_eq!(circles(&files(own, "use super::Own; pub fn f() {}")), [["src/m.rs", "src/m/b.rs"]]);
    }

    #[test]
    fn tests_comments_and_texts_do_not_count() {
        let lib = ("src/lib.rs", "mod a; mod b;");
        let a = "/// See [`crate::b::B`].\npub struct A; // use crate::b::B;\nconst T: &str = \"use crate::b::B;\";\n\
                 #[cfg(test)]\nmod tests { use crate::b::B; }\n#[cfg(test)]\nmod more;";
        let files = [lib, ("src/a.rs", a), ("src/b.rs", "use crate::a::A;"), ("src/a/more.rs", "use crate::b::B;")];
        assert_eq!(circles(&files), Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_known_circle_has_to_be_there() {
        let circle = BTreeSet::from(["a.rs".to_owned(), "b.rs".to_owned()]);
        assert_eq!(verdicts(std::slice::from_ref(&circle), &[&["a.rs", "b.rs"]]), Vec::<String>::new());
        assert_eq!(verdicts(std::slice::from_ref(&circle), &[]), ["files that need one another: a.rs, b.rs"]);
        assert_eq!(verdicts(std::slice::from_ref(&circle), &[&["a.rs"]]).len(), 1, "it has grown");
        let gone = verdicts(&[circle], &[&["a.rs", "b.rs", "c.rs"]]);
        assert_eq!(gone, ["c.rs: in no circle any more; take it out of xtask's list"]);
    }
}
