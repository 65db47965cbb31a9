//! Ended visits in two Delta tables, and SQL over them and over what is still going on.

pub mod enrichment;
pub mod live;
pub mod rows;
pub mod schema;
#[cfg(test)]
mod testing;
pub mod views;

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn sql_works() {
        let mut session = datafusion::prelude::SessionContext::new();
        datafusion_functions_json::register_all(&mut session).expect("functions");
        let _ = deltalake::open_table;
        session.sql("SELECT 1").await.expect("plans").collect().await.expect("runs");
    }
}
