//! How large a statement becomes when it is planned. A planner puts the body of each `WITH` where its name stands, and
//! moves conditions down through what columns are computed of: a short text may become a plan of any size, and nothing
//! stops a planner. So it is looked at before.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{self, Query, SetExpr, TableFactor, Visit, Visitor};

use super::limits::{CHAIN_MAX, EXPRESSION_MAX, TABLES_MAX};

/// What is wrong with the text of a statement, if it is too large.
pub(super) fn of_text(statement: &ast::Statement) -> Option<String> {
    let mut extent = Extent::default();
    match statement.visit(&mut extent) {
        ControlFlow::Break(why) => Some(why),
        ControlFlow::Continue(()) => None,
    }
}

/// What is counted on the way through a statement.
#[derive(Debug, Default)]
struct Extent {
    /// The names of the bodies of `WITH`, by where they stand.
    names: HashMap<usize, String>,
    /// Tables that each comes to.
    bodies: HashMap<String, usize>,
    /// Tables of each query that is being looked at, the statement's first.
    tables: Vec<usize>,
    queries: usize,
    /// How deep the expression at hand is.
    depth: usize,
}

impl Extent {
    fn add(&mut self, tables: usize) -> ControlFlow<String> {
        if let Some(last) = self.tables.last_mut() {
            *last = last.saturating_add(tables);
            if *last > TABLES_MAX {
                return ControlFlow::Break(format!(
                    "more than {TABLES_MAX} tables, those of each WITH counted where it is used"
                ));
            }
        }
        ControlFlow::Continue(())
    }
}

fn place(query: &Query) -> usize {
    std::ptr::from_ref(query).addr()
}

impl Visitor for Extent {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        for body in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.names.insert(place(&body.query), body.alias.name.value.to_lowercase());
        }
        self.tables.push(0);
        self.queries += 1;
        if self.queries > TABLES_MAX {
            return ControlFlow::Break(format!("more than {TABLES_MAX} queries in one"));
        }
        if chain(&query.body) > TABLES_MAX {
            return ControlFlow::Break(format!("more than {TABLES_MAX} parts of a UNION"));
        }
        ControlFlow::Continue(())
    }

    // Bodies of `WITH` come before what uses them. One that uses itself counts as a table then.
    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        let tables = self.tables.pop().unwrap_or_default();
        match self.names.remove(&place(query)) {
            Some(name) => {
                self.bodies.insert(name, tables.max(1));
                ControlFlow::Continue(())
            }
            None => self.add(tables),
        }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<String> {
        match table {
            TableFactor::Table { name, .. } => {
                let name = name.to_string().replace('"', "").to_lowercase();
                let tables = self.bodies.get(&name).copied().unwrap_or(1);
                self.add(tables)
            }
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => self.add(1),
        }
    }

    fn pre_visit_expr(&mut self, _: &ast::Expr) -> ControlFlow<String> {
        self.depth += 1;
        if self.depth > CHAIN_MAX {
            return ControlFlow::Break(format!("an expression of more than {CHAIN_MAX} operators in a row"));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &ast::Expr) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// How many parts a chain of `UNION` and the like has.
fn chain(mut body: &SetExpr) -> usize {
    let mut parts = 1;
    while let SetExpr::SetOperation { left, .. } = body {
        parts += 1;
        body = left;
    }
    parts
}

/// Refuses a plan in which a column, computed of columns that are computed of columns, is too large an expression when all
/// stand in one.
pub(super) fn of_plan(plan: &LogicalPlan) -> Result<()> {
    columns(plan).map(|_| ())
}

/// The size of each column of a plan, all that it is computed of included.
fn columns(plan: &LogicalPlan) -> Result<Vec<usize>> {
    let mut inputs = Vec::new();
    for input in plan.inputs() {
        inputs.push((input.schema(), columns(input)?));
    }
    let size = |expr: &Expr| -> Result<usize> {
        let mut size = 0_usize;
        expr.apply(|part| {
            size = size.saturating_add(match part {
                Expr::Column(column) => {
                    let of = |(schema, sizes): &(&_, Vec<usize>)| {
                        let schema: &datafusion::common::DFSchemaRef = schema;
                        schema.maybe_index_of_column(column).and_then(|at| sizes.get(at).copied())
                    };
                    inputs.iter().find_map(of).unwrap_or(1)
                }
                Expr::ScalarSubquery(query) => columns(&query.subquery)?.into_iter().max().unwrap_or(1),
                Expr::InSubquery(query) => columns(&query.subquery.subquery)?.into_iter().max().unwrap_or(1),
                Expr::Exists(query) => columns(&query.subquery.subquery)?.into_iter().max().unwrap_or(1),
                _ => 1,
            });
            Ok(TreeNodeRecursion::Continue)
        })?;
        if size > EXPRESSION_MAX {
            let message =
                format!("an expression of more than {EXPRESSION_MAX} parts, what its columns are computed of included");
            return Err(DataFusionError::Plan(message));
        }
        Ok(size)
    };
    let fields = plan.schema().fields().len();
    let sizes = match plan {
        LogicalPlan::Projection(projection) => projection.expr.iter().map(size).collect::<Result<Vec<_>>>()?,
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.iter().map(size).collect::<Result<Vec<_>>>()?,
        LogicalPlan::Union(_) => {
            let most = |at| inputs.iter().filter_map(|(_, sizes)| sizes.get(at).copied()).max().unwrap_or(1);
            (0..fields).map(most).collect()
        }
        other => {
            for expr in other.expressions() {
                size(&expr)?;
            }
            inputs.iter().flat_map(|(_, sizes)| sizes.iter().copied()).collect()
        }
    };
    // What else there is is computed once.
    Ok(sizes.into_iter().chain(std::iter::repeat(1)).take(fields).collect())
}
