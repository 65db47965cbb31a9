//! The grammar of statements: PostgreSQL's, but for what makes its parser take twice as long for each level of nesting.
//! In `f(f(f(...)))` it tries each argument as a name first, as any expression could be one, and then again as a value. In
//! `CAST(CAST(...))` with a mistake within it tries each word again as a name.

use std::any::TypeId;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

const BASE: PostgreSqlDialect = PostgreSqlDialect {};

/// How often a word that could not be read as what it begins is tried as a name, in one statement.
const TRIES_MAX: usize = 64;

/// PostgreSQL's, parsed in time that does not double. One for each statement.
#[derive(Debug, Default)]
pub(super) struct Grammar {
    tries: AtomicUsize,
}

/// What PostgreSQL's says, word by word.
macro_rules! as_base {
    ($($name:ident),+ $(,)?) => {
        $(fn $name(&self) -> bool {
            BASE.$name()
        })+
    };
}

impl Dialect for Grammar {
    fn dialect(&self) -> TypeId {
        BASE.dialect()
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        BASE.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, start: char) -> bool {
        BASE.is_delimited_identifier_start(start)
    }

    fn is_identifier_start(&self, start: char) -> bool {
        BASE.is_identifier_start(start)
    }

    fn is_identifier_part(&self, part: char) -> bool {
        BASE.is_identifier_part(part)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        // The parser asks when reading has failed, and tries again unless it is so.
        self.tries.fetch_add(1, Relaxed) >= TRIES_MAX || BASE.is_reserved_for_identifier(keyword)
    }

    fn is_custom_operator_part(&self, part: char) -> bool {
        BASE.is_custom_operator_part(part)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        BASE.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        BASE.prec_value(precedence)
    }

    as_base!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
        supports_comment_optimizer_hint,
    );
}
