use std::os::unix::fs::PermissionsExt as _;

use super::super::scope::Scope;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn open(data: &Path) -> Accounts {
    Accounts::open(data, HOUR, 24 * HOUR).expect("opened")
}

fn with_ann(data: &Path) -> Accounts {
    let accounts = open(data);
    accounts.add_first("Ann", "$hash".to_owned()).expect("added");
    accounts
}

fn token(name: &str, scopes: impl IntoIterator<Item = Scope>, lifetime: Option<Duration>) -> NewToken {
    NewToken { name: name.to_owned(), scopes: Scopes::of(scopes), lifetime }
}

#[test]
fn what_is_stored_opens_nothing_and_is_its_owners() {
    let dir = tempfile::tempdir().expect("a folder");
    let accounts = with_ann(dir.path());
    let session = accounts.sign_in("ann").expect("signed in");
    let made = accounts.add_token(Some("ann"), Scopes::ALL, &token("ci", [Scope::Read], None)).expect("made");
    accounts.renew_command_line(dir.path()).expect("written");
    let text = fs::read_to_string(dir.path().join("admin/accounts")).expect("there");
    assert!(!text.contains(session.reveal()) && !text.contains(made.secret.reveal()), "{text}");
    for file in ["admin/accounts", "admin/token", "admin/audit.ndjson"] {
        let mode = fs::metadata(dir.path().join(file)).expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(fs::metadata(dir.path().join("admin")).expect("there").permissions().mode() & 0o777, 0o700);
    let written = fs::read_to_string(dir.path().join(TOKEN_FILE)).expect("there");
    assert_eq!(accounts.by_token(written.trim()), Some(Caller::CommandLine));
    let again = open(dir.path());
    assert_eq!(again.by_token(written.trim()), None, "a server that has ended");
    assert_eq!(again.by_session(session.reveal()).map(|caller| caller.words()), Some("user ann".to_owned()));
    assert!(again.by_token(made.secret.reveal()).is_some());
    assert_eq!(again.by_session(made.secret.reveal()), None);
    assert_eq!(again.by_token(session.reveal()), None);
}

#[test]
fn a_token_may_what_it_was_given_while_its_owner_may() {
    let dir = tempfile::tempdir().expect("a folder");
    let accounts = with_ann(dir.path());
    accounts.add_user("bob", Role::Admin, "$hash".to_owned()).expect("added");
    let more = accounts.add_token(Some("bob"), Role::Viewer.scopes(), &token("x", [Scope::Query], None));
    assert!(matches!(more, Err(AccountsError::Refused(Refused::NoScope { .. }))));
    let both = token("x", [Scope::Read, Scope::Erase], None);
    let made = accounts.add_token(Some("bob"), Scopes::ALL, &both).expect("made");
    let may = || accounts.by_token(made.secret.reveal()).map(|caller| caller.scopes());
    assert_eq!(may(), Some(Scopes::of([Scope::Read, Scope::Erase])));
    assert!(accounts.tokens(Some("bob"))[0].last_used_ms.is_some());
    accounts.change_user("bob", Some(Role::Analyst), None).expect("changed");
    assert_eq!(may(), Some(Scopes::of([Scope::Read])));
    assert!(accounts.remove_token(&made.id, Some("ann")).is_err(), "not hers");
    accounts.remove_user("bob").expect("removed");
    assert_eq!(may(), None);
    let short = token("short", [Scope::Read], Some(Duration::ZERO));
    let made = accounts.add_token(None, Scopes::ALL, &short).expect("made");
    assert_eq!(accounts.by_token(made.secret.reveal()), None, "its time is over");
}

#[test]
fn sessions_end_by_age_idleness_password_and_sign_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let accounts = with_ann(dir.path());
    let (one, two) = (accounts.sign_in("ann").expect("in"), accounts.sign_in("ann").expect("in"));
    assert_eq!(accounts.users()[0].sessions, 2);
    accounts.sign_out(one.reveal()).expect("out");
    assert!(accounts.by_session(one.reveal()).is_none() && accounts.by_session(two.reveal()).is_some());
    accounts.change_user("ann", None, Some("$other".to_owned())).expect("changed");
    assert!(accounts.by_session(two.reveal()).is_none());
    let three = accounts.sign_in("ann").expect("in");
    {
        let mut inner = accounts.inner.lock();
        inner.seen.values_mut().for_each(|seen| *seen -= millis(HOUR) + 1);
    }
    assert!(accounts.by_session(three.reveal()).is_none(), "not seen for an hour");
    let four = accounts.sign_in("ann").expect("in");
    accounts.inner.lock().stored.sessions.iter_mut().for_each(|session| session.created_ms -= millis(24 * HOUR) + 1);
    assert!(accounts.by_session(four.reveal()).is_none(), "a day old");
}

#[test]
fn one_admin_is_always_left() {
    let dir = tempfile::tempdir().expect("a folder");
    let accounts = with_ann(dir.path());
    accounts.add_user("bob", Role::Viewer, "$hash".to_owned()).expect("added");
    let last = |error| matches!(error, Err(AccountsError::Refused(Refused::LastAdmin { .. })));
    assert!(last(accounts.remove_user("ANN")));
    assert!(last(accounts.change_user("ann", Some(Role::Viewer), None)));
    accounts.change_user("bob", Some(Role::Admin), None).expect("changed");
    accounts.remove_user("ann").expect("removed");
    assert!(accounts.add_first("eve", "$hash".to_owned()).is_err(), "it was set up before");
    for wrong in ["", "a b", "a\nb", "ä", &"x".repeat(65)] {
        assert!(accounts.add_user(wrong, Role::Viewer, String::new()).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_browsers_mark_is_of_one_account_and_of_ours() {
    let dir = tempfile::tempdir().expect("a folder");
    let accounts = with_ann(dir.path());
    let mark = accounts.device_mark("ann").expect("made");
    assert!(accounts.device("Ann", &mark).is_some());
    assert_eq!(accounts.device("bob", &mark), None);
    assert_eq!(accounts.device("ann", &mark[1..]), None);
    assert_eq!(accounts.device("ann", "."), None);
    assert!(open(dir.path()).device("ann", &mark).is_some(), "also after a restart");
}
