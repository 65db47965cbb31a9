//! Which requests there are, and what each needs. What does not stand here is not answered.

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, patch, post};

use super::accounts::Scope;
use super::state::Admin;
use super::{
    audit_log, dashboard, description, live, logout, metrics, reload, sessions, set_up_page, sign_in, sinks, tokens,
    users, visits, warnings, webhooks,
};
#[cfg(feature = "warehouse")]
use super::{erase, import, query};

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: whether the server lives says nothing about anybody.
    Nothing,
    /// The link of the first start, before there is an account.
    SetUp,
    /// A name and a password.
    Password,
    /// To be somebody.
    Caller,
    /// To be somebody who may do this.
    Scope(Scope),
}

/// A request that there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) needs: Needs,
    /// Whether the audit log has it, also where it is done.
    pub(super) is_noted: bool,
}

const fn route(method: &'static str, path: &'static str, needs: Needs) -> Route {
    Route { method, path, needs, is_noted: false }
}

const fn noted(method: &'static str, path: &'static str, needs: Needs) -> Route {
    Route { method, path, needs, is_noted: true }
}

const READ: Needs = Needs::Scope(Scope::Read);
const QUERY: Needs = Needs::Scope(Scope::Query);
const OPERATE: Needs = Needs::Scope(Scope::Operate);
const ADMIN: Needs = Needs::Scope(Scope::Admin);

/// All requests that there are.
pub(super) const ROUTES: &[Route] = &[
    route("GET", "/healthz", Needs::Nothing),
    route("GET", "/readyz", Needs::Nothing),
    route("GET", "/setup", Needs::SetUp),
    route("POST", "/setup", Needs::SetUp),
    route("GET", "/metrics", Needs::Scope(Scope::Metrics)),
    // The same for the dashboard: on loopback its cookie is sent below this path alone.
    route("GET", "/api/v1/metrics", Needs::Scope(Scope::Metrics)),
    route("GET", "/api/v1/openapi.json", Needs::Caller),
    route("POST", "/api/v1/session", Needs::Password),
    route("GET", "/api/v1/session", Needs::Caller),
    noted("DELETE", "/api/v1/session", Needs::Caller),
    noted("POST", "/api/v1/session/password", Needs::Caller),
    route("GET", "/api/v1/visits", READ),
    route("GET", "/api/v1/visits/{id}", READ),
    route("GET", "/api/v1/sessions", READ),
    route("GET", "/api/v1/sessions/{id}", READ),
    noted("DELETE", "/api/v1/sessions/{id}", OPERATE),
    noted("POST", "/api/v1/logout", OPERATE),
    route("GET", "/api/v1/live", READ),
    route("GET", "/api/v1/sites", READ),
    route("GET", "/api/v1/reports/{name}", READ),
    route("POST", "/api/v1/query", QUERY),
    route("GET", "/api/v1/query/{id}", QUERY),
    route("GET", "/api/v1/sinks", READ),
    route("GET", "/api/v1/sinks/{name}/quarantine", READ),
    noted("POST", "/api/v1/sinks/{name}/{order}", OPERATE),
    route("GET", "/api/v1/webhooks", READ),
    // What is dead says who did what, as an export does.
    noted("GET", "/api/v1/webhooks/{name}/dead", Needs::Scope(Scope::Export)),
    noted("POST", "/api/v1/webhooks/{name}/{order}", OPERATE),
    route("GET", "/api/v1/warnings", READ),
    route("POST", "/api/v1/import", OPERATE),
    noted("GET", "/api/v1/export", Needs::Scope(Scope::Export)),
    noted("POST", "/api/v1/erase", Needs::Scope(Scope::Erase)),
    route("GET", "/api/v1/users", ADMIN),
    noted("POST", "/api/v1/users", ADMIN),
    noted("PATCH", "/api/v1/users/{name}", ADMIN),
    noted("DELETE", "/api/v1/users/{name}", ADMIN),
    route("GET", "/api/v1/tokens", ADMIN),
    noted("POST", "/api/v1/tokens", ADMIN),
    noted("DELETE", "/api/v1/tokens/{id}", ADMIN),
    route("GET", "/api/v1/audit", ADMIN),
    noted("POST", "/api/v1/reload", ADMIN),
    route("GET", "/api/v1/settings", ADMIN),
];

/// Any of the dashboard's own files, which the API's description does not name.
static FILE: Route = route("GET", "/", Needs::Nothing);

/// The request of a method and a path's pattern. Who asks for the head needs what the whole does.
pub(super) fn find(method: &Method, path: &str) -> Option<&'static Route> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    if method == FILE.method && dashboard::PATHS.contains(&path) {
        return Some(&FILE);
    }
    ROUTES.iter().find(|route| route.method == method && route.path == path)
}

/// The methods that a path's pattern has.
pub(super) fn methods(path: &str) -> Vec<&'static str> {
    let of_files = dashboard::PATHS.contains(&path).then_some(FILE.method);
    of_files.into_iter().chain(ROUTES.iter().filter(|route| route.path == path).map(|route| route.method)).collect()
}

/// What answers them.
pub(super) fn pages() -> Router<Admin> {
    let pages: [(&str, MethodRouter<Admin>); 26] = [
        ("/healthz", get(visits::health)),
        ("/readyz", get(visits::ready)),
        ("/setup", get(set_up_page::show).post(set_up_page::make)),
        ("/metrics", get(metrics::page)),
        ("/api/v1/metrics", get(metrics::page)),
        ("/api/v1/openapi.json", get(description::page)),
        ("/api/v1/session", get(sign_in::who).post(sign_in::sign_in).delete(sign_in::sign_out)),
        ("/api/v1/session/password", post(sign_in::change_password)),
        ("/api/v1/sessions/{id}", get(sessions::one).delete(sessions::end)),
        ("/api/v1/sessions", get(sessions::list)),
        ("/api/v1/logout", post(logout::logout)),
        ("/api/v1/live", get(live::stream)),
        ("/api/v1/sinks", get(sinks::list)),
        ("/api/v1/sinks/{name}/quarantine", get(sinks::quarantine)),
        ("/api/v1/sinks/{name}/{order}", post(sinks::order)),
        ("/api/v1/webhooks", get(webhooks::list)),
        ("/api/v1/webhooks/{name}/dead", get(webhooks::dead)),
        ("/api/v1/webhooks/{name}/{order}", post(webhooks::order)),
        ("/api/v1/warnings", get(warnings::list)),
        ("/api/v1/users", get(users::list).post(users::add)),
        ("/api/v1/users/{name}", patch(users::change).delete(users::remove)),
        ("/api/v1/tokens", get(tokens::list).post(tokens::add)),
        ("/api/v1/tokens/{id}", delete(tokens::remove)),
        ("/api/v1/audit", get(audit_log::list)),
        ("/api/v1/reload", post(reload::reload)),
        ("/api/v1/settings", get(reload::show)),
    ];
    let files = dashboard::PATHS.map(|path| (path, get(dashboard::file)));
    let pages = pages.into_iter().chain(recorded()).chain(files);
    pages.fold(Router::new(), |router, (path, page)| router.route(path, page))
}

#[cfg(feature = "warehouse")]
fn recorded() -> [(&'static str, MethodRouter<Admin>); 9] {
    [
        ("/api/v1/visits", get(visits::list)),
        ("/api/v1/visits/{id}", get(visits::one)),
        ("/api/v1/sites", get(query::sites)),
        ("/api/v1/query", post(query::query)),
        ("/api/v1/query/{id}", get(query::failure)),
        ("/api/v1/reports/{name}", get(query::report)),
        ("/api/v1/erase", post(erase::erase)),
        ("/api/v1/export", get(erase::export)),
        ("/api/v1/import", post(import::import)),
    ]
}

#[cfg(not(feature = "warehouse"))]
fn recorded() -> [(&'static str, MethodRouter<Admin>); 9] {
    [
        ("/api/v1/visits", get(visits::no_warehouse)),
        ("/api/v1/visits/{id}", get(visits::no_warehouse)),
        ("/api/v1/sites", get(visits::no_warehouse)),
        ("/api/v1/query", post(visits::no_warehouse)),
        ("/api/v1/query/{id}", get(visits::no_warehouse)),
        ("/api/v1/reports/{name}", get(visits::no_warehouse)),
        ("/api/v1/erase", post(visits::no_warehouse)),
        ("/api/v1/export", get(visits::no_warehouse)),
        ("/api/v1/import", post(visits::no_warehouse)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::description::OPENAPI;
    use super::*;

    impl Needs {
        fn name(self) -> &'static str {
            match self {
                Self::Nothing => "nothing",
                Self::SetUp => "set_up",
                Self::Password => "password",
                Self::Caller => "caller",
                Self::Scope(scope) => scope.name(),
            }
        }
    }

    #[test]
    fn the_description_has_every_route_and_what_it_needs() {
        let described: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let mut in_file = BTreeSet::new();
        for (path, operations) in described["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                let needs = operation["x-needs"].as_str().expect("x-needs");
                in_file.insert((path.clone(), method.to_uppercase(), needs.to_owned()));
                let asks = operation["security"].as_array().is_some_and(|ways| !ways.is_empty());
                assert_eq!(asks, !["nothing", "set_up", "password"].contains(&needs), "{method} {path}");
            }
        }
        let one = |route: &Route| (route.path.to_owned(), route.method.to_owned(), route.needs.name().to_owned());
        assert_eq!(in_file, ROUTES.iter().map(one).collect());
    }

    #[test]
    fn what_changes_something_is_noted() {
        for route in ROUTES.iter().filter(|route| route.method != "GET") {
            // Signing in and the set-up are noted where it is known how they went; a statement and a batch change nothing.
            let elsewhere = matches!(route.path, "/setup" | "/api/v1/session" | "/api/v1/query" | "/api/v1/import");
            assert!(route.is_noted || elsewhere, "{} {}", route.method, route.path);
        }
        assert!(find(&Method::HEAD, "/api/v1/export").is_some_and(|route| route.needs == Needs::Scope(Scope::Export)));
        assert!(find(&Method::PUT, "/api/v1/users").is_none());
    }
}
