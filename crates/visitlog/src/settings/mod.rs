//! The settings: one table ([`ROWS`]), of which all else is made.
//!
//! They come from a file, the environment and the command line, the later ones stronger ([`Sources::load`]); a section of
//! the file that is a site's is stronger than what is said of all sites. What was read knows where it came from, so that a
//! problem names the file's line, and `visitlog config show` says who decided.

mod apply;
mod edit;
mod file;
mod given;
mod load;
mod problem;
mod redirect;
mod reference;
mod reload;
mod row;
mod table;
mod value;
mod webhook;
mod words;

pub use edit::{set, store, unset};
pub use given::{Given, Origin};
pub use load::{FILE, FILE_VARIABLE, Loaded, Site, Sources};
pub use problem::{Problem, Problems, no_such};
pub use redirect::RedirectRule;
pub use reference::{page, schema, template};
pub use reload::{Change, Changes};
pub use row::Traits;
pub use table::*;
pub use value::*;
pub use webhook::WebhookRule;
pub use words::*;
