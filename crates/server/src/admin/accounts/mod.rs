//! Who may ask the admin address: accounts with a password, API tokens, sign-in sessions, and what they did.
//!
//! All of it stands in the folder `admin` of the data folder (mode 0700, files 0600):
//! - `accounts`: accounts, tokens and sessions, see [`mod@format`];
//! - `audit.ndjson`: what was changed or refused, see [`Audit`]; nothing but this process appends to it;
//! - `token`: the running server's own token for the command line, another one at each start.
//!
//! Of tokens and sessions only hashes are stored, of passwords what argon2id makes of them.

mod audit;
mod error;
pub mod format;
mod password;
mod scope;
mod secret;
mod store;
mod throttle;
mod who;

pub use self::audit::{Audit, AuditError, Deed, Happened};
pub use self::error::{AccountsError, Refused};
pub use self::password::{Busy, PasswordError, Passwords};
pub use self::scope::{Role, Scope, Scopes};
pub use self::secret::Secret;
pub use self::store::{Accounts, TOKEN_FILE};
pub use self::throttle::{Throttle, Verdict};
pub use self::who::{AddedToken, Caller, NewToken, TokenInfo, UserInfo};
