//! Circles that are there yet. The list only shrinks: whoever straightens one takes its files out.

/// The files of each.
pub(super) const KNOWN: &[&[&str]] = &[
    &["crates/core/src/session/commit.rs", "crates/core/src/session/start.rs", "crates/core/src/session/work.rs"],
    &["crates/logs/src/sessions/fold.rs", "crates/logs/src/sessions/mod.rs"],
    &["crates/server/src/warehouse.rs", "crates/server/src/warehouse/storage.rs"],
    &[
        "crates/testkit/src/sim_disk/inode.rs",
        "crates/testkit/src/sim_disk/mod.rs",
        "crates/testkit/src/sim_disk/state.rs",
    ],
    &["crates/warehouse/src/live/buffer.rs", "crates/warehouse/src/live/mod.rs"],
    &[
        "crates/warehouse/src/logs/open.rs",
        "crates/warehouse/src/logs/rejects.rs",
        "crates/warehouse/src/logs/scan.rs",
        "crates/warehouse/src/logs/sessions.rs",
        "crates/warehouse/src/logs/table.rs",
        "crates/warehouse/src/sql/catalog.rs",
        "crates/warehouse/src/sql/error.rs",
        "crates/warehouse/src/sql/outputs/chart.rs",
        "crates/warehouse/src/sql/outputs/delimited.rs",
        "crates/warehouse/src/sql/outputs/json.rs",
        "crates/warehouse/src/sql/outputs/mod.rs",
        "crates/warehouse/src/sql/outputs/parquet.rs",
        "crates/warehouse/src/sql/outputs/table.rs",
        "crates/warehouse/src/sql/outputs/text.rs",
    ],
    &[
        "crates/warehouse/src/report/breakdown.rs",
        "crates/warehouse/src/report/request.rs",
        "crates/warehouse/src/report/requests.rs",
    ],
    &["crates/warehouse/src/store.rs", "crates/warehouse/src/store/upload.rs"],
    &["crates/warehouse/src/upkeep.rs", "crates/warehouse/src/warehouse.rs"],
    &["xtask/src/main.rs", "xtask/src/test.rs"],
];
