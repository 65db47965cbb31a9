//! Passwords: argon2id, one hash at a time, on a thread that serves nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

/// Fewer characters are no password (NIST SP 800-63B asks for 8 at least, and for length before all).
const PASSWORD_CHARS_MIN: usize = 12;
/// More bytes are somebody's attempt to keep the hash busy.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Sign-ins that wait for the hash; more are told to come again.
const WAITING_MAX: usize = 16;

/// Why a password can't be had.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PasswordError {
    /// Too short.
    #[error("password: {PASSWORD_CHARS_MIN} characters or more expected, {found} found")]
    Short {
        /// How many it has.
        found: usize,
    },
    /// Too long.
    #[error("password: {PASSWORD_BYTES_MAX} bytes at most expected, {found} found")]
    Long {
        /// How many it has.
        found: usize,
    },
    /// It is the name, or the name again and again.
    #[error("password: something else than the account's name expected")]
    Name,
    /// The system gave no random bits, or no memory.
    #[error("password: it can't be hashed: {0}")]
    System(String),
}

/// Too many sign-ins wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Hashes a password, for storing: argon2id with 19 MiB and two passes (OWASP's first choice), in the PHC text format.
///
/// # Errors
/// When it is none for this account, or the system refuses.
pub(super) fn hash(name: &str, password: &str) -> Result<String, PasswordError> {
    let chars = password.chars().count();
    if chars < PASSWORD_CHARS_MIN {
        return Err(PasswordError::Short { found: chars });
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::Long { found: password.len() });
    }
    if password.to_lowercase().replace(name, "").chars().count() < 4 {
        return Err(PasswordError::Name);
    }
    hashed(password)
}

fn hashed(password: &str) -> Result<String, PasswordError> {
    let system = |error: &dyn std::fmt::Display| PasswordError::System(error.to_string());
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| system(&error))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| system(&error))?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|error| system(&error))?;
    Ok(hash.to_string())
}

/// Whether a password is the one that a text was made of. A text that is none matches nothing.
fn matches(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|stored| Argon2::default().verify_password(password.as_bytes(), &stored).is_ok())
}

/// Checks passwords: one at a time, and as long for an account that there is not as for one that there is.
#[derive(Debug, Clone)]
pub struct Passwords {
    one: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// Of a password that nobody has.
    nobodys: Arc<str>,
}

impl Passwords {
    /// Makes ready.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new() -> Result<Self, PasswordError> {
        let mut unknown = [0; 32];
        getrandom::fill(&mut unknown).map_err(|error| PasswordError::System(error.to_string()))?;
        let nobodys = hashed(&data_encoding::HEXLOWER.encode(&unknown))?.into();
        Ok(Self { one: Arc::new(Semaphore::new(1)), waiting: Arc::default(), nobodys })
    }

    /// Whether a password is the one that `stored` was made of; no account, no match, in the same time.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn check(&self, password: String, stored: Option<String>) -> Result<bool, Busy> {
        let nobodys = Arc::clone(&self.nobodys);
        self.alone(move || {
            let known = stored.is_some();
            let right =
                password.len() <= PASSWORD_BYTES_MAX && matches(&password, stored.as_deref().unwrap_or(&nobodys));
            right && known
        })
        .await
    }

    /// Hashes a new password, if it is one for this account.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn make(&self, name: String, password: String) -> Result<Result<String, PasswordError>, Busy> {
        self.alone(move || hash(&name, &password)).await
    }

    async fn alone<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _place = Place::take(&self.waiting)?;
        let turn = Arc::clone(&self.one).acquire_owned().await.map_err(|_| Busy)?;
        // Whoever goes away meanwhile does not let the next one in beside this.
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        work.await.map_err(|_| Busy)
    }
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Result<Self, Busy> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Relaxed) >= WAITING_MAX { Err(Busy) } else { Ok(place) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_and_not_the_name() {
        assert_eq!(hash("ann", "short"), Err(PasswordError::Short { found: 5 }));
        assert_eq!(hash("ann", &"x".repeat(2000)), Err(PasswordError::Long { found: 2000 }));
        assert_eq!(hash("ann", "AnnAnnAnnAnn1"), Err(PasswordError::Name));
        let stored = hash("ann", "grün wie die Hoffnung").expect("hashed");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(matches("grün wie die Hoffnung", &stored));
        assert!(!matches("grün wie die hoffnung", &stored) && !matches("", "") && !matches("x", "$argon2id$"));
    }

    #[tokio::test]
    async fn nobodys_password_takes_its_time_and_fits_nothing() {
        let passwords = Passwords::new().expect("ready");
        let stored = hash("ann", "correct horse battery").expect("hashed");
        assert_eq!(passwords.check("correct horse battery".to_owned(), Some(stored)).await, Ok(true));
        let began = std::time::Instant::now();
        assert_eq!(passwords.check("correct horse battery".to_owned(), None).await, Ok(false));
        assert!(began.elapsed() > std::time::Duration::from_millis(2), "nothing was hashed");
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = Passwords::new().expect("ready");
        let _turn = passwords.one.clone().acquire_owned().await.expect("free");
        let asking: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.check("x".to_owned(), None).await })
            })
            .collect();
        while passwords.waiting.load(Relaxed) < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.check("x".to_owned(), None).await, Err(Busy));
        asking.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
