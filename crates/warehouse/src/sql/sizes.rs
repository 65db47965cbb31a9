//! How many bytes rows have, whatever memory they share with others.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::ColumnarValue;
use datafusion::scalar::ScalarValue;

/// Of all rows.
pub(super) fn of(array: &ArrayRef) -> usize {
    match array.data_type() {
        kind if kind.is_primitive() => array.len() * kind.primitive_width().unwrap_or(8),
        DataType::Utf8 => {
            let offsets = array.as_string::<i32>().offsets();
            (offsets[array.len()] - offsets[0]) as usize + array.len() * 4
        }
        DataType::Utf8View => views(array.as_string_view().views()),
        DataType::BinaryView => views(array.as_binary_view().views()),
        DataType::Dictionary(keys, _) => array.len() * keys.primitive_width().unwrap_or(8),
        DataType::Struct(_) => array.as_struct().columns().iter().map(of).sum(),
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

fn views(views: &[u128]) -> usize {
    // The length stands in the lowest four bytes.
    views.iter().map(|view| 16 + (*view as u32) as usize).sum()
}

/// Whether a value of this type may have any size.
pub(super) fn are_open(kind: &DataType) -> bool {
    kind.is_nested() || kind.is_string() || kind.is_binary()
}

/// Of an argument; of one that is the same for all rows, once.
pub(super) fn of_argument(argument: &ColumnarValue) -> usize {
    match argument {
        ColumnarValue::Array(array) => of(array),
        ColumnarValue::Scalar(value) => value.size().saturating_sub(size_of::<ScalarValue>()),
    }
}
