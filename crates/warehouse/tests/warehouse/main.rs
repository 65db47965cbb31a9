//! SQL and reports over generated visits.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bombs;
mod data;
mod errors;
mod files;
mod fold;
mod left_out;
mod limits;
mod outputs;
mod pages;
mod ranges;
mod scale;

mod slt;

use futures_util::TryStreamExt;
use visitlog_warehouse::sql::outputs::{Format, encoder};
use visitlog_warehouse::sql::{Catalog, Prepared, QueryStream, Sql, SqlError, SqlSettings};

/// An engine with two partitions, so that plans are the same on every machine.
fn engine() -> Sql {
    Sql::new(&SqlSettings { partitions: Some(2), ..SqlSettings::default() }).unwrap()
}

/// A result in a format.
async fn written(mut stream: QueryStream, format: Format) -> Result<Vec<u8>, SqlError> {
    let (mut encoder, mut out) = (encoder(format, &stream.schema()), Vec::new());
    encoder.begin(&mut out).unwrap();
    while let Some(batch) = stream.try_next().await? {
        encoder.batch(&batch, &mut out).unwrap();
    }
    encoder.end(&mut out).unwrap();
    Ok(out)
}

/// A statement's result as text.
async fn text(sql: &Sql, catalog: &dyn Catalog, prepared: Prepared, format: Format) -> Result<String, SqlError> {
    let stream = sql.query(catalog, prepared).await?;
    Ok(String::from_utf8(written(stream, format).await?).unwrap())
}
