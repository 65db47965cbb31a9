"""Reads the tables that a test of the warehouse wrote, with four programs that are not ours, and compares.

Usage: check.py FOLDER. The folder holds `tables/visits`, `tables/events` and `expected.json`.
"""

import json
import os
import sys

import chdb
import duckdb
import polars
from deltalake import DeltaTable

SUMS = {
    "visits": ["page_views", "actions", "errors", "duration_ms", "visit_key"],
    "events": ["seq", "status", "bytes", "visit_key"],
}


def sql(source, columns):
    return f"SELECT count(*), {', '.join(f'sum(CAST({c} AS DECIMAL(38, 0)))' for c in columns)} FROM {source}"


def by_deltalake(table, columns):
    """PyPI's deltalake says which files there are; Arrow reads them."""
    rows = DeltaTable(f"tables/{table}").to_pyarrow_table()
    return [rows.num_rows] + [sum(v for v in rows.column(c).to_pylist() if v is not None) for c in columns]


def by_polars(table, columns):
    rows = polars.read_delta(f"tables/{table}")
    return [rows.height] + [rows.select(polars.col(c).cast(polars.Int128).sum()).item() for c in columns]


def by_duckdb(table, columns):
    """Over the Parquet files that the log names."""
    files = DeltaTable(f"tables/{table}").file_uris()
    query = sql(f"read_parquet({files!r}, hive_partitioning = true)", columns)
    return [int(v) for v in duckdb.sql(query).fetchall()[0]]


def by_chdb(table, columns):
    """ClickHouse's engine; it reads below its working folder only."""
    sums = ", ".join(f"sum(toInt128(ifNull({c}, 0)))" for c in columns)
    text = str(chdb.query(f"SELECT count(), {sums} FROM deltaLakeLocal('{os.getcwd()}/tables/{table}')", "CSV"))
    return [int(v.strip('"')) for v in text.strip().split(",")]


def main():
    os.chdir(sys.argv[1])
    with open("expected.json", encoding="utf-8") as file:
        expected = json.load(file)
    failed = False
    for table, columns in SUMS.items():
        want = [int(expected[table][column]) for column in ["rows", *columns]]
        for name, read in [("deltalake", by_deltalake), ("polars", by_polars), ("duckdb", by_duckdb), ("chdb", by_chdb)]:
            got = read(table, columns)
            verdict = "ok" if got == want else f"expected {want}, found {got}"
            failed |= got != want
            print(f"{table} by {name}: {got[0]} rows, {verdict}")
    sys.exit(1 if failed else 0)


main()
