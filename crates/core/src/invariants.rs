//! What must always hold, as plain functions.
