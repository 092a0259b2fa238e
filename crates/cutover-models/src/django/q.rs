//! `Q` and expressions as SQL.
//!
//! The nesting is Django's (`Q._combine` in `django/db/models/query_utils.py`, `Node.add` in `django/utils/tree.py`, `_add_q` and
//! `build_filter` in `django/db/models/sql/query.py`, `WhereNode.as_sql` in `django/db/models/sql/where.py`): PostgreSQL keeps it.
//! What is not certain to be the same is not translated.

use cutover_analysis::sql::{quote_ident, quote_literal};

use super::world::{Scope, World, is_number};
use crate::python::{Argument, Expression, keyword, positional};

/// How deep conditions are followed.
const DEEPEST: usize = 60;

/// A field, as conditions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) field: String,
    pub(super) column: String,
    pub(super) sort: Sort,
    pub(super) is_nullable: bool,
    pub(super) is_key: bool,
}

/// What kind of values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Text,
    Integer,
    Float,
    Decimal,
    Boolean,
    Other,
}

impl Sort {
    /// That of a type.
    pub(super) fn of(data_type: &str) -> Self {
        match data_type {
            "text" | "varchar" => Self::Text,
            "smallint" | "integer" | "bigint" => Self::Integer,
            "double precision" => Self::Float,
            "numeric" => Self::Decimal,
            "boolean" => Self::Boolean,
            _ if data_type.ends_with(']') => Self::Other,
            _ if data_type.starts_with("varchar(") => Self::Text,
            _ if data_type.starts_with("numeric(") => Self::Decimal,
            _ => Self::Other,
        }
    }
}

/// What conditions of a model are made from.
pub(super) struct Language<'w, 'a> {
    pub(super) world: &'w World<'a>,
    pub(super) fields: &'w [Described],
}

/// A condition as Django keeps it.
#[derive(Debug, Clone)]
struct Q<'e> {
    is_or: bool,
    is_negated: bool,
    children: Vec<Child<'e>>,
}

#[derive(Debug, Clone)]
enum Child<'e> {
    Q(Q<'e>),
    Filter(&'e str, &'e Expression),
}

/// A condition in SQL.
struct Where {
    is_or: bool,
    is_negated: bool,
    children: Vec<Part>,
}

enum Part {
    Where(Where),
    Sql(String),
}

impl Where {
    fn add(&mut self, other: Self) {
        if !other.is_negated && (other.is_or == self.is_or || other.children.len() == 1) {
            self.children.extend(other.children);
        } else {
            self.children.push(Part::Where(other));
        }
    }

    fn sql(&self) -> String {
        let parts: Vec<String> = self
            .children
            .iter()
            .map(|child| match child {
                Part::Where(inner) => inner.sql(),
                Part::Sql(sql) => sql.clone(),
            })
            .collect();
        let text = parts.join(if self.is_or { " OR " } else { " AND " });
        match (self.is_negated, parts.len()) {
            (true, _) => format!("NOT ({text})"),
            (false, 0 | 1) => text,
            (false, _) => format!("({text})"),
        }
    }
}

impl<'e> Q<'e> {
    fn combined(self, other: Self, is_or: bool) -> Self {
        if self.children.is_empty() {
            return other;
        }
        if other.children.is_empty() {
            return self;
        }
        let mut both = Self { is_or, is_negated: false, children: Vec::new() };
        for part in [self, other] {
            if !part.is_negated && (part.is_or == is_or || part.children.len() == 1) {
                both.children.extend(part.children);
            } else {
                both.children.push(Child::Q(part));
            }
        }
        both
    }

    fn of(expression: &'e Expression, depth: usize) -> Option<Self> {
        if depth > DEEPEST {
            return None;
        }
        match expression {
            Expression::Call { .. } => {
                let ("Q", arguments) = expression.call()? else { return None };
                let mut children = Vec::new();
                for argument in positional(arguments) {
                    children.push(Child::Q(Self::of(&argument.value, depth + 1)?));
                }
                let mut filters: Vec<(&str, &Expression)> = Vec::new();
                for Argument { keyword, value, .. } in arguments {
                    match keyword.as_deref() {
                        None => {}
                        Some(keyword) if keyword.starts_with(['*', '_']) => return None,
                        Some(keyword) => filters.push((keyword, value)),
                    }
                }
                filters.sort_by_key(|(name, _)| *name);
                children.extend(filters.into_iter().map(|(name, value)| Child::Filter(name, value)));
                Some(Self { is_or: false, is_negated: false, children })
            }
            Expression::Or(left, right) => {
                Some(Self::of(left, depth + 1)?.combined(Self::of(right, depth + 1)?, true))
            }
            Expression::Operation(operator, left, right) if operator == "&" => {
                Some(Self::of(left, depth + 1)?.combined(Self::of(right, depth + 1)?, false))
            }
            Expression::Prefixed(operator, value) if operator == "~" => {
                let mut inner = Self::of(value, depth + 1)?;
                inner.is_negated = !inner.is_negated;
                Some(inner)
            }
            _ => None,
        }
    }
}

impl Language<'_, '_> {
    /// A condition as SQL.
    pub(super) fn condition(&self, scope: Scope<'_>, expression: &Expression) -> Option<String> {
        let q = Q::of(expression, 0)?;
        let found = self.tree(scope, &q, false)?;
        if found.children.is_empty() { None } else { Some(found.sql()) }
    }

    fn tree(&self, scope: Scope<'_>, q: &Q<'_>, is_negated: bool) -> Option<Where> {
        let is_negated = is_negated != q.is_negated;
        let mut found = Where { is_or: q.is_or, is_negated: q.is_negated, children: Vec::new() };
        for child in &q.children {
            let child = match child {
                Child::Q(inner) => self.tree(scope, inner, is_negated)?,
                Child::Filter(name, value) => self.filter(scope, name, value, is_negated)?,
            };
            if child.children.is_empty() {
                return None;
            }
            found.add(child);
        }
        Some(found)
    }

    /// A field by its name, that of its column, or `pk`.
    pub(super) fn field(&self, name: &str) -> Option<&Described> {
        if name == "pk" {
            return self.fields.iter().find(|field| field.is_key);
        }
        self.fields
            .iter()
            .find(|field| field.field == name)
            .or_else(|| self.fields.iter().find(|field| format!("{}_id", field.field) == name))
    }

    fn filter(&self, scope: Scope<'_>, name: &str, value: &Expression, is_negated: bool) -> Option<Where> {
        let (field, lookup) = match self.field(name) {
            Some(field) => (field, "exact"),
            None => {
                let (field, lookup) = name.rsplit_once("__")?;
                (self.field(field)?, lookup)
            }
        };
        let column = quote(&field.column);
        let constant = self.world.constant(scope, value);
        let null_of = |is_null: bool| format!("{column} IS {}NULL", if is_null { "" } else { "NOT " });
        let mut children = Vec::new();
        let is_null = match (lookup, &constant) {
            ("isnull", Some(Expression::Flag(flag))) => Some(*flag),
            ("isnull", _) => return None,
            ("exact", Some(Expression::Nothing)) => Some(true),
            _ => None,
        };
        if let Some(is_null) = is_null {
            children.push(Part::Sql(null_of(is_null)));
        } else {
            let (sql, other) = self.comparison(scope, field, lookup, value, constant.as_ref())?;
            children.push(Part::Sql(sql));
            if is_negated && field.is_nullable {
                children.push(Part::Sql(null_of(false)));
            }
            if let Some(other) = other.filter(|other| is_negated && other.is_nullable) {
                children.push(Part::Sql(format!("{} IS NOT NULL", quote(&other.column))));
            }
        }
        Some(Where { is_or: false, is_negated: false, children })
    }

    /// A comparison, and the field that it compares with.
    fn comparison(
        &self,
        scope: Scope<'_>,
        field: &Described,
        lookup: &str,
        value: &Expression,
        constant: Option<&Expression>,
    ) -> Option<(String, Option<&Described>)> {
        let column = quote(&field.column);
        let operator = match lookup {
            "exact" => Some("="),
            "gt" => Some(">"),
            "gte" => Some(">="),
            "lt" => Some("<"),
            "lte" => Some("<="),
            _ => None,
        };
        let Some(constant) = constant else {
            let operator = operator?;
            let other = match value.call() {
                Some(("F", [one])) => self.field(one.value.text()?),
                _ => None,
            };
            return Some((format!("{column} {operator} {}", self.expression(scope, value)?), other));
        };
        if let (Some("="), Sort::Boolean, Expression::Flag(flag)) = (operator, field.sort, constant) {
            return Some((if *flag { column } else { format!("NOT {column}") }, None));
        }
        if let Some(operator) = operator {
            return Some((format!("{column} {operator} {}", literal(field.sort, constant)?), None));
        }
        let sql = match (lookup, constant) {
            ("in", Expression::List(items)) => {
                let mut values: Vec<String> = Vec::new();
                for item in items.iter().filter(|item| **item != Expression::Nothing) {
                    let value = literal(field.sort, item)?;
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                if values.is_empty() {
                    return None;
                }
                format!("{column} IN ({})", values.join(", "))
            }
            ("range", Expression::List(items)) => {
                let [from, to] = items.as_slice() else { return None };
                format!("{column} BETWEEN {} AND {}", literal(field.sort, from)?, literal(field.sort, to)?)
            }
            (_, Expression::Text(text)) if field.sort == Sort::Text => pattern(&column, lookup, text)?,
            _ => return None,
        };
        Some((sql, None))
    }

    /// An expression as SQL: `F`, `Value`, calculations and functions.
    pub(super) fn expression(&self, scope: Scope<'_>, value: &Expression) -> Option<String> {
        self.expression_at(scope, value, 0)
    }

    fn expression_at(&self, scope: Scope<'_>, value: &Expression, depth: usize) -> Option<String> {
        if depth > DEEPEST {
            return None;
        }
        match value {
            Expression::Number(number) if is_number(number) => Some(number.clone()),
            Expression::Operation(operator, left, right) => {
                if !["+", "-", "*", "/"].contains(&operator.as_str()) {
                    return None;
                }
                let side = |side: &Expression| {
                    (self.sort(side)? != Sort::Other).then(|| self.expression_at(scope, side, depth + 1))?
                };
                Some(format!("({} {operator} {})", side(left)?, side(right)?))
            }
            Expression::Call { .. } => {
                let (name, arguments) = value.call()?;
                self.call(scope, name, arguments, depth)
            }
            _ => None,
        }
    }

    /// The sort of a side of a calculation: numbers only, others are calculated with in ways of their own.
    fn sort(&self, value: &Expression) -> Option<Sort> {
        match value {
            Expression::Number(number) if is_number(number) => Some(Sort::Integer),
            Expression::Operation(_, left, right) => self.sort(left).and(self.sort(right)),
            _ => {
                let ("F", [one]) = value.call()? else { return None };
                let sort = self.field(one.value.text()?)?.sort;
                matches!(sort, Sort::Integer | Sort::Float | Sort::Decimal).then_some(sort)
            }
        }
    }

    fn call(&self, scope: Scope<'_>, name: &str, arguments: &[Argument], depth: usize) -> Option<String> {
        // A name by itself is that of a field.
        let source = |value: &Expression| match value {
            Expression::Text(name) => self.field(name).map(|field| quote(&field.column)),
            value => self.expression_at(scope, value, depth + 1),
        };
        if let ("F", [one]) = (name, arguments) {
            return self.field(one.value.text()?).map(|field| quote(&field.column));
        }
        if let ("Value", [one]) = (name, arguments) {
            return match self.world.constant(scope, &one.value)? {
                Expression::Text(text) => Some(quote_literal(&text)),
                Expression::Number(number) if is_number(&number) => Some(number),
                Expression::Flag(flag) => Some(flag.to_string()),
                _ => None,
            };
        }
        if arguments.is_empty() {
            return match name {
                "Now" => Some("statement_timestamp()".to_owned()),
                "TransactionNow" => Some("CURRENT_TIMESTAMP".to_owned()),
                "RandomUUID" => Some("gen_random_uuid()".to_owned()),
                "Pi" => Some("pi()".to_owned()),
                "Random" => Some("random()".to_owned()),
                _ => None,
            };
        }
        let (_, function, least, most) = FUNCTIONS.iter().find(|(known, ..)| *known == name)?;
        let is_plain = arguments.iter().all(|argument| argument.keyword.is_none());
        if !is_plain || arguments.len() < *least || arguments.len() > *most {
            return None;
        }
        let arguments: Option<Vec<String>> =
            arguments.iter().map(|argument| source(&argument.value)).collect();
        Some(format!("{function}({})", arguments?.join(", ")))
    }

    /// An expression as a key of an index.
    pub(super) fn key(&self, scope: Scope<'_>, value: &Expression) -> Option<String> {
        let (mut value, mut order) = (value, String::new());
        if let Expression::Call { function, arguments, .. } = value
            && let Expression::Member(inner, how) = function.as_ref()
        {
            order = self.order(scope, how, arguments)?;
            value = inner;
        }
        let mut class = String::new();
        if let Some(("OpClass", arguments)) = value.call() {
            let name = keyword(arguments, "name").or_else(|| Some(&positional(arguments).nth(1)?.value))?;
            class = format!(" {}", quote_ident(name.text()?));
            value = &positional(arguments).next()?.value;
        }
        let mut collation = String::new();
        if let Some(("Collate", arguments)) = value.call() {
            let mut given = positional(arguments);
            let (inner, name) = (given.next()?, given.next()?);
            collation = format!(" COLLATE {}", quote_ident(name.value.text()?));
            value = &inner.value;
        }
        let column = match (value, value.call()) {
            (Expression::Text(name), _) => Some(self.field(name)?),
            (_, Some(("F", [one]))) => Some(self.field(one.value.text()?)?),
            _ => None,
        };
        let sql = match column {
            Some(field) => quote(&field.column),
            None => format!("({})", self.expression(scope, value)?),
        };
        Some(format!("{sql}{collation}{class}{order}"))
    }

    fn order(&self, scope: Scope<'_>, how: &str, arguments: &[Argument]) -> Option<String> {
        let mut order = match how {
            "asc" => String::new(),
            "desc" => " DESC".to_owned(),
            _ => return None,
        };
        for argument in arguments {
            let flag = self.world.constant(scope, &argument.value)?;
            match (argument.keyword.as_deref(), flag) {
                (Some("nulls_first"), Expression::Flag(true)) => order += " NULLS FIRST",
                (Some("nulls_last"), Expression::Flag(true)) => order += " NULLS LAST",
                (Some("nulls_first" | "nulls_last"), Expression::Nothing | Expression::Flag(false)) => {}
                _ => return None,
            }
        }
        Some(order)
    }
}

/// Functions of `django.db.models.functions` that are functions of PostgreSQL, and how many arguments they take.
static FUNCTIONS: &[(&str, &str, usize, usize)] = &[
    ("Lower", "lower", 1, 1),
    ("Upper", "upper", 1, 1),
    ("Length", "length", 1, 1),
    ("Trim", "TRIM", 1, 1),
    ("LTrim", "LTRIM", 1, 1),
    ("RTrim", "RTRIM", 1, 1),
    ("MD5", "md5", 1, 1),
    ("Reverse", "reverse", 1, 1),
    ("Abs", "abs", 1, 1),
    ("Ceil", "ceiling", 1, 1),
    ("Floor", "floor", 1, 1),
    ("Coalesce", "COALESCE", 2, 20),
    ("Greatest", "GREATEST", 2, 20),
    ("Least", "LEAST", 2, 20),
    ("NullIf", "NULLIF", 2, 2),
];

fn quote(name: &str) -> String {
    quote_ident(name)
}

/// A value as Django hands it to the database for a field of that sort.
pub(super) fn literal(sort: Sort, value: &Expression) -> Option<String> {
    match (sort, value) {
        (Sort::Text, Expression::Text(text) | Expression::Number(text)) => Some(quote_literal(text)),
        (Sort::Integer, Expression::Number(number) | Expression::Text(number)) => {
            number.parse::<i64>().ok().map(|number| number.to_string())
        }
        (Sort::Integer, Expression::Flag(flag)) => Some(i32::from(*flag).to_string()),
        (Sort::Boolean, Expression::Flag(flag)) => Some(flag.to_string()),
        (Sort::Decimal, Expression::Text(number)) if is_number(number) => Some(number.clone()),
        (Sort::Decimal, Expression::Number(number)) if is_number(number) => {
            // A float is made a decimal of as many digits as the field has; these are the same with any.
            let is_exact = number.parse::<f64>().is_ok_and(|number| (number * 1024.0).fract() == 0.0);
            let is_short = !number.contains('.') || !number.ends_with('0');
            (is_exact && is_short).then(|| number.clone())
        }
        (Sort::Float, Expression::Number(number) | Expression::Text(number)) => {
            let number = number.parse::<f64>().ok().filter(|number| number.abs() < 1e15)?;
            let text = format!("{number:?}");
            is_number(&text).then_some(text)
        }
        _ => None,
    }
}

/// `LIKE` and regular expressions (`operators` in `django/db/backends/postgresql/base.py`, `lookup_cast` in its `operations.py`).
fn pattern(column: &str, lookup: &str, text: &str) -> Option<String> {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let like = |pattern: String| format!("{column}::text LIKE {}", quote_literal(&pattern));
    let same_case =
        |pattern: String| format!("UPPER({column}::text) LIKE UPPER({})", quote_literal(&pattern));
    Some(match lookup {
        "contains" => like(format!("%{escaped}%")),
        "startswith" => like(format!("{escaped}%")),
        "endswith" => like(format!("%{escaped}")),
        "icontains" => same_case(format!("%{escaped}%")),
        "istartswith" => same_case(format!("{escaped}%")),
        "iendswith" => same_case(format!("%{escaped}")),
        "iexact" => format!("UPPER({column}::text) = UPPER({})", quote_literal(text)),
        "regex" => format!("{column}::text ~ {}", quote_literal(text)),
        "iregex" => format!("{column}::text ~* {}", quote_literal(text)),
        _ => return None,
    })
}
