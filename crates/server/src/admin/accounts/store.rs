//! Accounts, tokens and sessions: what stands in the file, and who comes with what.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use visitlog_engine::adapters::create_private_dir;
use visitlog_tower::keyfile::write_privately;

use super::audit::Audit;
use super::error::{ACCOUNTS_MAX, AccountsError, NAME_CHARS_MAX, Refused};
use super::format::{Stored, StoredSession, StoredToken, StoredUser};
use super::password;
use super::scope::{Role, Scopes};
use super::secret::{Secret, SecretHash};
use super::who::{AddedToken, Caller, NewToken, TokenInfo, UserInfo};

/// Everything of the admin address, in the data folder.
const FOLDER: &str = "admin";
/// Accounts, tokens and sessions.
const FILE: &str = "accounts";
/// The token of the command line, in the data folder.
pub const TOKEN_FILE: &str = "admin/token";
/// What API tokens begin with, so that scanners of repositories know them.
const TOKEN_PREFIX: &str = "vlt_";
/// What the command line's begin with.
const COMMAND_LINE_PREFIX: &str = "vlc_";
/// Sessions of one account; at more the oldest ends.
const SESSIONS_MAX: usize = 32;
/// A token's last use is written when what is written is so much older.
const USE_EVERY_MS: i64 = 60 * 60 * 1000;

/// Accounts, tokens and sessions of a data folder.
#[derive(Debug)]
pub struct Accounts {
    path: PathBuf,
    session_idle: Duration,
    session_max_age: Duration,
    audit: Audit,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    stored: Stored,
    command_line: Option<SecretHash>,
    /// When sessions were last seen, by their hash; of one that was not since the start, that is the start.
    seen: HashMap<String, i64>,
    opened_ms: i64,
}

impl Accounts {
    /// Opens those of a data folder; none are there at first. Sessions end when they were not seen for `session_idle`, and
    /// `session_max_age` after they began.
    ///
    /// # Errors
    /// When they can't be read or are damaged, or the system refuses.
    pub fn open(data: &Path, session_idle: Duration, session_max_age: Duration) -> Result<Self, AccountsError> {
        let folder = data.join(FOLDER);
        let path = folder.join(FILE);
        let io = |doing| move |source| AccountsError::Io { path: folder_file(data), doing, source };
        create_private_dir(&folder).map_err(io("create the folder"))?;
        let stored = match fs::read_to_string(&path) {
            Ok(text) => Stored::parse(&text).map_err(|source| AccountsError::Format { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(io("read")(error)),
        };
        let audit = Audit::open(&folder)?;
        let inner = Inner { stored, command_line: None, seen: HashMap::new(), opened_ms: now_ms() };
        Ok(Self { path, session_idle, session_max_age, audit, inner: Mutex::new(inner) })
    }

    /// Makes a fresh token for the command line, and writes it into the data folder.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn renew_command_line(&self, data: &Path) -> Result<(), AccountsError> {
        let secret = self.secret(COMMAND_LINE_PREFIX)?;
        let path = data.join(TOKEN_FILE);
        write_privately(&path, &format!("{}\n", secret.reveal())).map_err(|source| AccountsError::Io {
            path,
            doing: "write the command line's token",
            source,
        })?;
        self.inner.lock().command_line = Some(secret.hash());
        Ok(())
    }

    /// The log of what was done.
    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Whether nobody has an account yet.
    pub fn is_empty(&self) -> bool {
        self.inner.lock().stored.users.is_empty()
    }

    /// All accounts.
    pub fn users(&self) -> Vec<UserInfo> {
        let inner = self.inner.lock();
        let sessions = |name: &str| {
            let of = inner.stored.sessions.iter().filter(|session| session.user == name);
            of.filter(|session| self.is_live(&inner, session, now_ms())).count()
        };
        let info = |user: &StoredUser| UserInfo {
            name: user.name.clone(),
            role: role(user),
            created_ms: user.created_ms,
            sessions: sessions(&user.name),
        };
        inner.stored.users.iter().map(info).collect()
    }

    /// What the password of an account was made into.
    pub fn password_of(&self, name: &str) -> Option<String> {
        let inner = self.inner.lock();
        inner.stored.users.iter().find(|user| user.name == folded(name)).map(|user| user.password.clone())
    }

    /// Adds an account, whose password has been hashed (see [`Accounts::hash`]).
    ///
    /// # Errors
    /// When the name is none or taken, or the disk refuses.
    pub fn add_user(&self, name: &str, role: Role, hash: String) -> Result<(), AccountsError> {
        let name = checked_name(name)?;
        self.change(|stored| {
            if stored.users.iter().any(|user| user.name == name) {
                return Err(Refused::Taken { name: name.clone() });
            }
            if stored.users.len() >= ACCOUNTS_MAX {
                return Err(Refused::Full);
            }
            let role = role.name().to_owned();
            stored.users.push(StoredUser { name: name.clone(), role, password: hash, created_ms: now_ms() });
            Ok(())
        })
    }

    /// Adds the first account, an admin, unless somebody was faster.
    ///
    /// # Errors
    /// When there is an account, the name is none, or the disk refuses.
    pub fn add_first(&self, name: &str, hash: String) -> Result<(), AccountsError> {
        let name = checked_name(name)?;
        self.change(|stored| match stored.users.first() {
            Some(user) => Err(Refused::Taken { name: user.name.clone() }),
            None => {
                let role = Role::Admin.name().to_owned();
                stored.users.push(StoredUser { name: name.clone(), role, password: hash, created_ms: now_ms() });
                Ok(())
            }
        })
    }

    /// Hashes a password for an account, on this thread.
    ///
    /// # Errors
    /// When the name or the password is none.
    pub fn hash(name: &str, password: &str) -> Result<String, Refused> {
        Ok(password::hash(&checked_name(name)?, password)?)
    }

    /// Changes an account: its role, its hashed password. A new password ends its sessions.
    ///
    /// # Errors
    /// When there is none, it is the last admin and would be none, or the disk refuses.
    pub fn change_user(&self, name: &str, role: Option<Role>, hash: Option<String>) -> Result<(), AccountsError> {
        let name = folded(name);
        self.change(|stored| {
            if role.is_some_and(|role| role != Role::Admin) {
                keep_an_admin(stored, &name)?;
            }
            let user = stored.users.iter_mut().find(|user| user.name == name);
            let user = user.ok_or_else(|| Refused::NoUser { name: name.clone() })?;
            if let Some(role) = role {
                role.name().clone_into(&mut user.role);
            }
            if let Some(hash) = hash {
                user.password = hash;
                stored.sessions.retain(|session| session.user != name);
            }
            Ok(())
        })
    }

    /// Removes an account, with its sessions and tokens.
    ///
    /// # Errors
    /// When there is none, it is the last admin, or the disk refuses.
    pub fn remove_user(&self, name: &str) -> Result<(), AccountsError> {
        let name = folded(name);
        self.change(|stored| {
            keep_an_admin(stored, &name)?;
            let before = stored.users.len();
            stored.users.retain(|user| user.name != name);
            if stored.users.len() == before {
                return Err(Refused::NoUser { name: name.clone() });
            }
            stored.sessions.retain(|session| session.user != name);
            stored.tokens.retain(|token| token.owner.as_deref() != Some(&name));
            Ok(())
        })
    }

    /// All tokens; of one account, where it is named.
    pub fn tokens(&self, owner: Option<&str>) -> Vec<TokenInfo> {
        let inner = self.inner.lock();
        let tokens = inner.stored.tokens.iter();
        tokens.filter(|token| owner.is_none_or(|owner| token.owner.as_deref() == Some(owner))).map(info).collect()
    }

    /// Makes a token of an account, or of nobody's where the command line asks. It may do no more than `allowed`.
    ///
    /// # Errors
    /// When it is to do more than its maker may, or the system refuses.
    pub fn add_token(&self, owner: Option<&str>, allowed: Scopes, new: &NewToken) -> Result<AddedToken, AccountsError> {
        let chars = new.name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX || new.name.chars().any(char::is_control) {
            return Err(Refused::TokenName.into());
        }
        if new.scopes.is_empty() || new.scopes.and(allowed) != new.scopes {
            return Err(Refused::NoScope { allowed: allowed.to_string() }.into());
        }
        let secret = self.secret(TOKEN_PREFIX)?;
        // Its own hash's beginning: unlike others, and opens nothing.
        let hash = secret.hash().to_hex();
        let id = hash[..12].to_owned();
        let lifetime = new.lifetime.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        self.change(|stored| {
            if stored.tokens.len() >= ACCOUNTS_MAX {
                return Err(Refused::Full);
            }
            stored.tokens.push(StoredToken {
                id: id.clone(),
                name: new.name.clone(),
                hash,
                scopes: new.scopes.names().into_iter().map(str::to_owned).collect(),
                owner: owner.map(str::to_owned),
                created_ms: now_ms(),
                expires_ms: lifetime.map(|time| now_ms().saturating_add(time)),
                last_used_ms: None,
            });
            Ok(())
        })?;
        Ok(AddedToken { id, secret })
    }

    /// Removes a token; only one of `owner`, where that is named.
    ///
    /// # Errors
    /// When there is none, or the disk refuses.
    pub fn remove_token(&self, id: &str, owner: Option<&str>) -> Result<(), AccountsError> {
        self.change(|stored| {
            let before = stored.tokens.len();
            let is_it =
                |token: &StoredToken| token.id == id && owner.is_none_or(|owner| token.owner.as_deref() == Some(owner));
            stored.tokens.retain(|token| !is_it(token));
            if stored.tokens.len() == before { Err(Refused::NoToken { id: id.to_owned() }) } else { Ok(()) }
        })
    }

    /// Who comes with a token.
    pub fn by_token(&self, presented: &str) -> Option<Caller> {
        let (hash, now) = (SecretHash::of(presented), now_ms());
        let mut inner = self.inner.lock();
        if inner.command_line.is_some_and(|own| own == hash) {
            return Some(Caller::CommandLine);
        }
        let fits = |token: &StoredToken| SecretHash::from_hex(&token.hash).is_some_and(|own| own == hash);
        // All are looked at, whichever it is.
        let place = (0..inner.stored.tokens.len())
            .fold(None, |found, place| if fits(&inner.stored.tokens[place]) { Some(place) } else { found })?;
        let token = &inner.stored.tokens[place];
        if token.expires_ms.is_some_and(|expires| expires <= now) {
            return None;
        }
        let mut scopes = scopes(token);
        if let Some(owner) = &token.owner {
            let owner = inner.stored.users.iter().find(|user| user.name == *owner)?;
            scopes = scopes.and(role(owner).scopes());
        }
        let caller = Caller::Token { id: token.id.clone(), owner: token.owner.clone(), scopes };
        let is_news = token.last_used_ms.is_none_or(|used| now.saturating_sub(used) > USE_EVERY_MS);
        if is_news {
            inner.stored.tokens[place].last_used_ms = Some(now);
            if let Err(error) = self.store(&inner.stored) {
                tracing::warn!(error = &error as &dyn std::error::Error, "a token's last use was not written");
            }
        }
        Some(caller)
    }

    /// Signs somebody in, whose password was right. What is given is the cookie's value.
    ///
    /// # Errors
    /// When there is no such account any more, or the system refuses.
    pub fn sign_in(&self, name: &str) -> Result<Secret, AccountsError> {
        let secret = self.secret("")?;
        let (name, now, hash) = (folded(name), now_ms(), secret.hash().to_hex());
        self.change(|stored| {
            if !stored.users.iter().any(|user| user.name == name) {
                return Err(Refused::NoUser { name: name.clone() });
            }
            let oldest = now.saturating_sub(millis(self.session_max_age));
            stored.sessions.retain(|session| session.created_ms > oldest);
            while stored.sessions.iter().filter(|session| session.user == name).count() >= SESSIONS_MAX {
                let first = stored.sessions.iter().position(|session| session.user == name);
                first.map(|first| stored.sessions.remove(first));
            }
            stored.sessions.push(StoredSession { hash: hash.clone(), user: name.clone(), created_ms: now });
            Ok(())
        })?;
        let mut inner = self.inner.lock();
        let Inner { stored, seen, .. } = &mut *inner;
        seen.retain(|hash, _| stored.sessions.iter().any(|session| session.hash == *hash));
        seen.insert(hash, now);
        Ok(secret)
    }

    /// Who comes with a session's cookie. It has been seen then.
    pub fn by_session(&self, presented: &str) -> Option<Caller> {
        let (hash, now) = (SecretHash::of(presented), now_ms());
        let mut inner = self.inner.lock();
        let fits = |session: &StoredSession| SecretHash::from_hex(&session.hash).is_some_and(|own| own == hash);
        let session = inner.stored.sessions.iter().fold(
            None,
            |found, session| {
                if fits(session) { Some(session) } else { found }
            },
        )?;
        if !self.is_live(&inner, session, now) {
            return None;
        }
        let user = inner.stored.users.iter().find(|user| user.name == session.user)?;
        let caller = Caller::User { name: user.name.clone(), role: role(user) };
        let key = session.hash.clone();
        inner.seen.insert(key, now);
        Some(caller)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sign_out(&self, presented: &str) -> Result<(), AccountsError> {
        let hash = SecretHash::of(presented).to_hex();
        self.change(|stored| {
            stored.sessions.retain(|session| session.hash != hash);
            Ok(())
        })
    }

    /// A mark for the browser of somebody who has signed in, see [`super::Throttle`].
    ///
    /// # Errors
    /// When the system gives no random bits, or the disk refuses.
    pub fn device_mark(&self, name: &str) -> Result<String, AccountsError> {
        let number = self.secret("")?;
        if self.device_key().is_none() {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| self.io("draw random bits")(io::Error::other(error)))?;
            self.change(|stored| {
                stored.device_key = data_encoding::HEXLOWER.encode(&key);
                Ok(())
            })?;
        }
        let key = self.device_key().unwrap_or_default();
        let number = number.reveal();
        Ok(format!("{number}.{}", device_mac(&key, &folded(name), number)))
    }

    /// The device's number, if it has signed in to this account before.
    pub fn device(&self, name: &str, mark: &str) -> Option<String> {
        let (number, presented) = mark.split_once('.')?;
        let expected = device_mac(&self.device_key()?, &folded(name), number);
        bool::from(expected.as_bytes().ct_eq(presented.as_bytes())).then(|| number.to_owned())
    }

    fn device_key(&self) -> Option<[u8; 32]> {
        data_encoding::HEXLOWER.decode(self.inner.lock().stored.device_key.as_bytes()).ok()?.try_into().ok()
    }

    fn is_live(&self, inner: &Inner, session: &StoredSession, now: i64) -> bool {
        let seen = inner.seen.get(&session.hash).copied().unwrap_or(inner.opened_ms.max(session.created_ms));
        now.saturating_sub(seen) <= millis(self.session_idle)
            && now.saturating_sub(session.created_ms) <= millis(self.session_max_age)
    }

    /// All or nothing: what can't be stored is not so.
    fn change(&self, change: impl FnOnce(&mut Stored) -> Result<(), Refused>) -> Result<(), AccountsError> {
        let mut inner = self.inner.lock();
        let mut changed = inner.stored.clone();
        change(&mut changed)?;
        self.store(&changed)?;
        inner.stored = changed;
        Ok(())
    }

    fn store(&self, stored: &Stored) -> Result<(), AccountsError> {
        let text = stored.to_text().map_err(|source| AccountsError::Format { path: self.path.clone(), source })?;
        write_privately(&self.path, &text).map_err(self.io("write"))
    }

    fn secret(&self, prefix: &str) -> Result<Secret, AccountsError> {
        Secret::generate(prefix).map_err(self.io("draw random bits"))
    }

    fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> AccountsError {
        let path = self.path.clone();
        move |source| AccountsError::Io { path: path.clone(), doing, source }
    }
}

fn folder_file(data: &Path) -> PathBuf {
    data.join(FOLDER).join(FILE)
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn checked_name(name: &str) -> Result<String, Refused> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(fits) {
        return Err(Refused::Name { name: name.chars().take(NAME_CHARS_MAX).collect() });
    }
    Ok(folded(name))
}

fn keep_an_admin(stored: &Stored, name: &str) -> Result<(), Refused> {
    let mut admins = stored.users.iter().filter(|user| role(user) == Role::Admin);
    let is_last = admins.next().is_some_and(|first| first.name == name) && admins.next().is_none();
    if is_last { Err(Refused::LastAdmin { name: name.to_owned() }) } else { Ok(()) }
}

/// A role that is none is the least.
fn role(user: &StoredUser) -> Role {
    user.role.parse().unwrap_or(Role::Viewer)
}

fn scopes(token: &StoredToken) -> Scopes {
    Scopes::of(token.scopes.iter().filter_map(|name| name.parse().ok()))
}

fn info(token: &StoredToken) -> TokenInfo {
    TokenInfo {
        id: token.id.clone(),
        name: token.name.clone(),
        scopes: scopes(token),
        owner: token.owner.clone(),
        created_ms: token.created_ms,
        expires_ms: token.expires_ms,
        last_used_ms: token.last_used_ms,
    }
}

fn device_mac(key: &[u8; 32], name: &str, number: &str) -> String {
    // The number has no line end, so that nothing else reads the same.
    blake3::keyed_hash(key, format!("{number}\n{name}").as_bytes()).to_hex().to_string()
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
