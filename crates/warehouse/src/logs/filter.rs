//! What a row must be to be made into values at all. Exact: what is let through here need not be looked at again.

use datafusion::common::Column;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;

use super::build::Cell;

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Is(bool),
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

impl Compare {
    const fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Eq => Self::Is(true),
            Operator::NotEq => Self::Is(false),
            Operator::Lt => Self::Less,
            Operator::LtEq => Self::LessOrEqual,
            Operator::Gt => Self::More,
            Operator::GtEq => Self::MoreOrEqual,
            _ => return None,
        })
    }

    fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Is(same) => (left == right) == same,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::More => left > right,
            Self::MoreOrEqual => left >= right,
        }
    }
}

/// A value that a column is compared with.
#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Text(String),
    Int(i64),
    Time(i64),
}

impl Wanted {
    fn of(value: &ScalarValue) -> Option<Self> {
        Some(match value {
            ScalarValue::Utf8(Some(text)) => Self::Text(text.clone()),
            ScalarValue::Int64(Some(number)) => Self::Int(*number),
            ScalarValue::TimestampMicrosecond(Some(us), _) => Self::Time(*us),
            _ => return None,
        })
    }

    /// `None` where nothing can be said: `NULL`.
    fn compare(&self, cell: &Cell<'_>, compare: Compare, buffer: &mut String) -> bool {
        match (self, cell) {
            (_, Cell::Null) => false,
            (Self::Int(wanted), Cell::Int(found)) | (Self::Time(wanted), Cell::Time(found)) => {
                compare.holds(found, wanted)
            }
            (Self::Text(wanted), cell) => cell.text(buffer).is_some_and(|found| compare.holds(found, wanted.as_str())),
            _ => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Compare(Compare, Wanted),
    In(Vec<Wanted>, bool),
    IsNull(bool),
}

/// One condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    /// The column's name.
    pub(super) column: String,
    test: Test,
}

impl Condition {
    /// The condition that a filter is, if it is of a kind that is known here.
    pub(super) fn of(filter: &Expr) -> Option<Self> {
        let (column, test) = match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(value, _)) => {
                    (column, Test::Compare(Compare::of(*op)?, Wanted::of(value)?))
                }
                (Expr::Literal(value, _), Expr::Column(column)) => {
                    (column, Test::Compare(Compare::of(op.swap()?)?, Wanted::of(value)?))
                }
                _ => return None,
            },
            Expr::InList(InList { expr, list, negated }) => {
                let Expr::Column(column) = expr.as_ref() else { return None };
                let wanted =
                    list.iter().map(|value| if let Expr::Literal(value, _) = value { Wanted::of(value) } else { None });
                (column, Test::In(wanted.collect::<Option<_>>()?, *negated))
            }
            Expr::IsNull(expr) => (column_of(expr)?, Test::IsNull(true)),
            Expr::IsNotNull(expr) => (column_of(expr)?, Test::IsNull(false)),
            _ => return None,
        };
        Some(Self { column: column.name.clone(), test })
    }

    /// Whether a row with this value in the column is wanted.
    pub(super) fn holds(&self, cell: &Cell<'_>, buffer: &mut String) -> bool {
        match &self.test {
            Test::Compare(compare, wanted) => wanted.compare(cell, *compare, buffer),
            Test::In(wanted, negated) => {
                *cell != Cell::Null
                    && wanted.iter().any(|wanted| wanted.compare(cell, Compare::Is(true), buffer)) != *negated
            }
            Test::IsNull(wanted) => (*cell == Cell::Null) == *wanted,
        }
    }
}

const fn column_of(expr: &Expr) -> Option<&Column> {
    if let Expr::Column(column) = expr { Some(column) } else { None }
}
