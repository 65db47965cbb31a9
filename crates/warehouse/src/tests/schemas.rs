use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema};

use super::lab::{Lab, Trouble, check};
use crate::error::WarehouseError;
use crate::store::fault::FaultStore;
use crate::tables::{Kind, SCHEMA_VERSION_PROPERTY, Table};

/// A kind of `visits` without its last columns before the partition's, or with more.
fn kind(change: impl FnOnce(&mut Vec<Arc<Field>>)) -> Kind {
    let kind = Kind::visits();
    let mut fields: Vec<Arc<Field>> = kind.schema.fields().iter().cloned().collect();
    change(&mut fields);
    Kind { schema: Arc::new(Schema::new(fields)), ..kind }
}

fn open(lab: &Lab, process: &super::lab::Process, kind: Kind) -> Result<Table, WarehouseError> {
    let ports = process.warehouse.ports.clone();
    process.warehouse.run(Table::open(Arc::clone(&lab.disk), &lab.place, kind, ports))
}

#[test]
fn a_new_column_is_added_without_rewriting_and_an_older_binary_goes_on() {
    let mut lab = Lab::new();
    let mut process = lab.start();
    lab.feed_all(&mut process, 10, 10);
    let files = process.warehouse.snapshot()[0].files().expect("files").len();
    let newer = kind(|fields| fields.push(Arc::new(Field::new("mood", DataType::Utf8, true))));
    let table = open(&lab, &process, newer.clone()).expect("the column is added");
    assert!(table.delta.snapshot().expect("read").schema().field("mood").is_some());
    assert_eq!(table.files().expect("files").len(), files, "the files stay");
    for (_, batch) in super::lab::rows(&process.warehouse, &table) {
        assert_eq!(batch.column_by_name("mood").expect("a column").null_count(), batch.num_rows());
    }
    open(&lab, &process, newer).expect("nothing more to add");
    // The binary that does not know it.
    let mut older = lab.start();
    lab.feed_all(&mut older, 20, 10);
    check(&older.warehouse, 20, "an older binary writes on");
    while older.warehouse.upkeep_step().expect("a working store") {}
    check(&older.warehouse, 20, "and merges");
}

#[test]
fn a_newer_version_and_other_tables_are_refused() {
    let lab = Lab::new();
    let process = lab.start();
    let set = |value: &str| {
        let table = process.warehouse.snapshot()[0].delta.clone();
        let properties = [(SCHEMA_VERSION_PROPERTY.to_owned(), value.to_owned())].into();
        let set = table.set_tbl_properties().with_properties(properties).with_raise_if_not_exists(false);
        process.warehouse.run(set.into_future()).expect("set");
        drop(process.warehouse.with_tables(async |tables| tables.visits.refresh().await));
    };
    set("2");
    let Err(Trouble::Warehouse(error)) = lab.start_on(&FaultStore::new(Arc::clone(&lab.disk)), 1) else {
        panic!("a newer table is not refused")
    };
    assert!(matches!(error, WarehouseError::Newer { .. }) && !error.is_retryable());
    assert_eq!(error.to_string(), "table visits: schema version 1 or older expected, 2 found; use a newer visitlog");
    set("1");
    lab.start();
    let wrong = kind(|fields| fields[0] = Arc::new(Field::new("visit_key", DataType::Utf8, false)));
    let Err(error) = open(&lab, &process, wrong) else { panic!("another type is not refused") };
    assert!(error.to_string().contains("column visit_key of type string expected, long found"), "{error}");
}
