//! The sink and the tables together, on stores that fail.

mod erasure;
mod keeping;
mod lab;
mod once;
mod readers;
mod schemas;
mod staging;
mod suite;

#[test]
fn json_functions_can_be_registered() {
    let mut session = datafusion::prelude::SessionContext::new();
    datafusion_functions_json::register_all(&mut session).expect("functions");
}
