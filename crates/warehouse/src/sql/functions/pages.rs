//! `page(site, path [, query])`: what a page is in reports.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use visitlog_core::page::PageParams;
use visitlog_core::uri;

use super::known::Known;

/// `NULL` where there is no path; a site or a query that is not known is as an empty one.
#[derive(Debug)]
struct Page {
    params: Arc<PageParams>,
    signature: Signature,
}

pub(super) fn function(known: &Known) -> ScalarUDF {
    page(Arc::clone(&known.pages))
}

/// `page`, where these parameters make pages.
pub(crate) fn page(params: Arc<PageParams>) -> ScalarUDF {
    ScalarUDF::from(Page { params, signature: Signature::user_defined(Volatility::Immutable) })
}

// A name stands for one function.
impl PartialEq for Page {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Page {}

impl Hash for Page {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Page {
    fn name(&self) -> &str {
        "page"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !(2..=3).contains(&types.len()) || types.iter().any(DataType::is_nested) {
            return plan_err!("page: site, path and perhaps a query expected, {} arguments found", types.len());
        }
        Ok(vec![DataType::Utf8; types.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_one { 1 } else { args.number_rows };
        let columns = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let [sites, paths] = [&columns[0], &columns[1]].map(|column| column.as_string::<i32>());
        let queries = columns.get(2).map(|column| column.as_string::<i32>()).filter(|_| !self.params.is_empty());
        let pages: ArrayRef = if queries.is_none() && are_normal(paths) {
            Arc::clone(&columns[1])
        } else {
            let mut pages = StringBuilder::with_capacity(rows, paths.value_data().len());
            for row in 0..rows {
                if paths.is_null(row) {
                    pages.append_null();
                    continue;
                }
                let site = if sites.is_null(row) { "" } else { sites.value(row) };
                let query = queries.filter(|queries| queries.is_valid(row)).map(|queries| queries.value(row));
                pages.append_value(self.params.page(site, paths.value(row), query));
            }
            Arc::new(pages.finish())
        };
        Ok(if is_one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&pages, 0)?)
        } else {
            ColumnarValue::Array(pages)
        })
    }
}

/// Whether all of them are for certain: most batches are looked at as one text.
fn are_normal(paths: &StringArray) -> bool {
    std::str::from_utf8(paths.value_data()).is_ok_and(uri::are_normal_paths)
}
