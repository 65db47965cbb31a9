//! Which span of time a moment lies in. The bounds are computed once, in Rust, for whatever time zone and calendar;
//! per row there is one comparison, for rows mostly come in order.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The name of the function: it takes a moment and gives the start of its span.
pub(crate) const NAME: &str = "report_bucket";

/// A function for these starts of spans, which must ascend. What lies before the first is in none.
pub(super) fn function(starts: Arc<[i64]>) -> ScalarUDF {
    ScalarUDF::from(Bucket { starts, signature: Signature::exact(vec![time()], Volatility::Immutable) })
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bucket {
    starts: Arc<[i64]>,
    signature: Signature,
}

impl Bucket {
    fn fill(&self, times: &TimestampMicrosecondArray) -> TimestampMicrosecondArray {
        let (mut from, mut to, mut start) = (i64::MAX, i64::MIN, None);
        let spans = times.iter().map(|time| {
            let time = time?;
            if !(from..to).contains(&time) {
                let next = self.starts.partition_point(|start| *start <= time);
                start = next.checked_sub(1).map(|at| self.starts[at]);
                from = start.unwrap_or(i64::MIN);
                to = self.starts.get(next).copied().unwrap_or(i64::MAX);
            }
            start
        });
        spans.collect::<TimestampMicrosecondArray>().with_timezone("UTC")
    }
}

impl ScalarUDFImpl for Bucket {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(time())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let times = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(self.fill(times.as_primitive::<TimestampMicrosecondType>()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_in_the_span_that_begins_at_or_before_it() {
        let bucket =
            Bucket { starts: [10, 20, 35].into(), signature: Signature::exact(vec![time()], Volatility::Immutable) };
        let times = [Some(9), Some(10), Some(19), Some(20), None, Some(34), Some(35), Some(1_000), Some(-5), Some(12)];
        let found: Vec<Option<i64>> = bucket.fill(&times.into_iter().collect()).iter().collect();
        let wanted = [None, Some(10), Some(10), Some(20), None, Some(20), Some(35), Some(35), None, Some(10)];
        assert_eq!(found, wanted);
    }
}
