//! Expressions.

use std::collections::BTreeMap;

use tree_sitter::Node;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    /// A name, or names with dots between them.
    Name(String),
    /// A text.
    Text(String),
    /// A number as it is written.
    Number(String),
    /// `True` or `False`.
    Flag(bool),
    /// `None`.
    Nothing,
    /// A call.
    Call { function: Box<Expression>, arguments: Vec<Argument>, line: u32 },
    /// `value[items]`.
    Subscript { value: Box<Expression>, items: Vec<Expression> },
    /// What is in brackets, parentheses or braces without keys.
    List(Vec<Expression>),
    /// A dictionary. What is unpacked in it (`**more`) stands behind `**`, which is no text.
    Dictionary(Vec<(Expression, Expression)>),
    /// `left | right`, as in `int | None`.
    Or(Box<Expression>, Box<Expression>),
    /// `left operator right`, but for `|`.
    Operation(String, Box<Expression>, Box<Expression>),
    /// `-value` and `~value`, where it is no number.
    Prefixed(String, Box<Expression>),
    /// What is behind a dot of something that is no name, as in `f().g`.
    Member(Box<Expression>, String),
    /// Anything else, as it is written.
    Other(String),
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Argument {
    /// Its keyword; `*` and `**` where something is unpacked.
    pub(crate) keyword: Option<String>,
    /// Its value.
    pub(crate) value: Expression,
    /// Its line.
    pub(crate) line: u32,
}

impl Argument {
    /// As it would be written, for messages.
    pub(crate) fn shown(&self) -> String {
        match &self.keyword {
            Some(stars) if stars.starts_with('*') => format!("{stars}{}", self.value.shown()),
            Some(keyword) => format!("{keyword}={}", self.value.shown()),
            None => self.value.shown(),
        }
    }
}

/// Nesting that is followed: what is deeper is text.
const DEEPEST: usize = 200;

impl Expression {
    pub(crate) fn of(node: Node<'_>, text: &str) -> Self {
        read(node, text, 0)
    }

    /// The name, where it is one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }

    /// The last part of the name, where it is one.
    pub(crate) fn last_name(&self) -> Option<&str> {
        self.name().map(|name| name.rsplit_once('.').map_or(name, |(_, last)| last))
    }

    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A call's function, by the last part of its name, with its arguments.
    pub(crate) fn call(&self) -> Option<(&str, &[Argument])> {
        match self {
            Self::Call { function, arguments, .. } => Some((function.last_name()?, arguments)),
            _ => None,
        }
    }

    /// Calls names as they are called where they come from.
    pub(super) fn rename(&mut self, aliases: &BTreeMap<String, String>) {
        match self {
            Self::Name(name) => {
                let (first, rest) =
                    name.split_once('.').map_or((name.as_str(), ""), |(first, rest)| (first, rest));
                if let Some(known) = aliases.get(first) {
                    *name = if rest.is_empty() { known.clone() } else { format!("{known}.{rest}") };
                }
            }
            Self::Call { function, arguments, .. } => {
                function.rename(aliases);
                for argument in arguments {
                    argument.value.rename(aliases);
                }
            }
            Self::Subscript { value, items } => {
                value.rename(aliases);
                for item in items {
                    item.rename(aliases);
                }
            }
            Self::List(items) => items.iter_mut().for_each(|item| item.rename(aliases)),
            Self::Dictionary(pairs) => {
                for (key, value) in pairs {
                    key.rename(aliases);
                    value.rename(aliases);
                }
            }
            Self::Or(left, right) | Self::Operation(_, left, right) => {
                left.rename(aliases);
                right.rename(aliases);
            }
            Self::Member(value, _) | Self::Prefixed(_, value) => value.rename(aliases),
            Self::Text(_) | Self::Number(_) | Self::Flag(_) | Self::Nothing | Self::Other(_) => {}
        }
    }

    /// As it would be written, for messages.
    pub(crate) fn shown(&self) -> String {
        let list = |items: &[Self]| items.iter().map(Self::shown).collect::<Vec<_>>().join(", ");
        match self {
            Self::Name(name) => name.clone(),
            Self::Text(text) => format!("{text:?}"),
            Self::Number(number) => number.clone(),
            Self::Flag(true) => "True".to_owned(),
            Self::Flag(false) => "False".to_owned(),
            Self::Nothing => "None".to_owned(),
            Self::Call { function, arguments, .. } => {
                let arguments: Vec<String> = arguments.iter().map(Argument::shown).collect();
                format!("{}({})", function.shown(), arguments.join(", "))
            }
            Self::Subscript { value, items } => format!("{}[{}]", value.shown(), list(items)),
            Self::List(items) => format!("[{}]", list(items)),
            Self::Dictionary(_) => "{…}".to_owned(),
            Self::Or(left, right) => format!("{} | {}", left.shown(), right.shown()),
            Self::Operation(operator, left, right) => {
                format!("{} {operator} {}", left.shown(), right.shown())
            }
            Self::Prefixed(operator, value) => format!("{operator}{}", value.shown()),
            Self::Member(value, name) => format!("{}.{name}", value.shown()),
            Self::Other(text) => text.clone(),
        }
    }
}

/// An argument by its keyword.
pub(crate) fn keyword<'a>(arguments: &'a [Argument], name: &str) -> Option<&'a Expression> {
    arguments
        .iter()
        .find(|argument| argument.keyword.as_deref() == Some(name))
        .map(|argument| &argument.value)
}

/// Arguments without a keyword.
pub(crate) fn positional(arguments: &[Argument]) -> impl Iterator<Item = &Argument> {
    arguments.iter().filter(|argument| argument.keyword.is_none())
}

pub(super) fn line_of(node: Node<'_>) -> u32 {
    u32::try_from(node.start_position().row).unwrap_or(u32::MAX - 1) + 1
}

pub(super) fn written<'a>(node: Node<'_>, text: &'a str) -> &'a str {
    text.get(node.byte_range()).unwrap_or_default()
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() != "comment").collect()
}

fn read(node: Node<'_>, text: &str, depth: usize) -> Expression {
    let other = || Expression::Other(written(node, text).to_owned());
    if depth > DEEPEST {
        return other();
    }
    let inner = |node: Node<'_>| read(node, text, depth + 1);
    let field = |name: &str| node.child_by_field_name(name);
    match node.kind() {
        "identifier" => Expression::Name(written(node, text).to_owned()),
        "attribute" => {
            let (Some(value), Some(name)) = (field("object"), field("attribute")) else { return other() };
            let name = written(name, text).to_owned();
            match inner(value) {
                Expression::Name(value) => Expression::Name(format!("{value}.{name}")),
                value => Expression::Member(Box::new(value), name),
            }
        }
        "string" => string(node, text).map_or_else(other, Expression::Text),
        "concatenated_string" => {
            let parts: Option<Vec<String>> =
                children(node).into_iter().map(|part| string(part, text)).collect();
            parts.map_or_else(other, |parts| Expression::Text(parts.concat()))
        }
        "integer" | "float" => Expression::Number(written(node, text).replace('_', "")),
        "unary_operator" => match children(node).first().map(|value| inner(*value)) {
            Some(Expression::Number(number)) if written(node, text).starts_with('-') => {
                Expression::Number(format!("-{number}"))
            }
            Some(value) => match field("operator") {
                Some(operator) => Expression::Prefixed(written(operator, text).to_owned(), Box::new(value)),
                None => other(),
            },
            None => other(),
        },
        "true" => Expression::Flag(true),
        "false" => Expression::Flag(false),
        "none" => Expression::Nothing,
        "call" => {
            let (Some(function), Some(arguments)) = (field("function"), field("arguments")) else {
                return other();
            };
            Expression::Call {
                function: Box::new(inner(function)),
                arguments: arguments_of(arguments, text, depth),
                line: line_of(node),
            }
        }
        "subscript" | "generic_type" => subscript(node, text, depth),
        "list" | "tuple" | "set" | "expression_list" | "pattern_list" | "tuple_pattern" | "list_pattern" => {
            Expression::List(children(node).into_iter().map(inner).collect())
        }
        "dictionary" => Expression::Dictionary(
            children(node).into_iter().filter_map(|one| pair(one, text, depth)).collect(),
        ),
        "binary_operator" | "union_type" => {
            let operands = children(node);
            let is_or = node.kind() == "union_type"
                || field("operator").is_some_and(|operator| written(operator, text) == "|");
            match operands.as_slice() {
                [left, right] if is_or => Expression::Or(Box::new(inner(*left)), Box::new(inner(*right))),
                [left, right] => match field("operator") {
                    Some(operator) => Expression::Operation(
                        written(operator, text).to_owned(),
                        Box::new(inner(*left)),
                        Box::new(inner(*right)),
                    ),
                    None => other(),
                },
                _ => other(),
            }
        }
        "parenthesized_expression" | "type" => match children(node).as_slice() {
            [one] => inner(*one),
            _ => other(),
        },
        _ => other(),
    }
}

/// A pair of a dictionary, or what is unpacked in it.
fn pair(node: Node<'_>, text: &str, depth: usize) -> Option<(Expression, Expression)> {
    let inner = |node: Node<'_>| read(node, text, depth + 1);
    if node.kind() == "dictionary_splat" {
        return Some((Expression::Other("**".to_owned()), inner(node.named_child(0)?)));
    }
    Some((inner(node.child_by_field_name("key")?), inner(node.child_by_field_name("value")?)))
}

fn subscript(node: Node<'_>, text: &str, depth: usize) -> Expression {
    let parts = children(node);
    let Some((value, items)) = parts.split_first() else {
        return Expression::Other(written(node, text).to_owned());
    };
    let mut found = Vec::new();
    for item in items {
        // In annotations the items are in a node of their own.
        if item.kind() == "type_parameter" {
            found.extend(children(*item).into_iter().map(|item| read(item, text, depth + 1)));
        } else {
            found.push(read(*item, text, depth + 1));
        }
    }
    Expression::Subscript { value: Box::new(read(*value, text, depth + 1)), items: found }
}

pub(super) fn arguments_of(node: Node<'_>, text: &str, depth: usize) -> Vec<Argument> {
    let argument = |node: Node<'_>| {
        let (keyword, value) = match node.kind() {
            "keyword_argument" => {
                let name = node.child_by_field_name("name").map(|name| written(name, text).to_owned());
                (name, node.child_by_field_name("value").unwrap_or(node))
            }
            "list_splat" => (Some("*".to_owned()), node.named_child(0).unwrap_or(node)),
            "dictionary_splat" => (Some("**".to_owned()), node.named_child(0).unwrap_or(node)),
            _ => (None, node),
        };
        Argument { keyword, value: read(value, text, depth + 1), line: line_of(node) }
    };
    children(node).into_iter().map(argument).collect()
}

/// What a string means; `None` where it has something in it that is not constant.
fn string(node: Node<'_>, text: &str) -> Option<String> {
    let written_all = written(node, text);
    let prefix_end = written_all.find(['"', '\''])?;
    let prefix = written_all.get(..prefix_end)?.to_ascii_lowercase();
    let is_raw = prefix.contains('r');
    let mut value = String::new();
    let mut cursor = node.walk();
    for part in node.children(&mut cursor) {
        match part.kind() {
            "string_content" if is_raw => value += written(part, text),
            "string_content" => value += &unescaped(written(part, text)),
            "interpolation" => return None,
            _ => {}
        }
    }
    (!prefix.contains('b')).then_some(value)
}

/// Escapes of ordinary strings, as the language reference has them.
fn unescaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        let digits = |rest: &mut std::str::Chars<'_>, count: usize| {
            let code: String = rest.take(count).collect();
            u32::from_str_radix(&code, 16).ok().and_then(char::from_u32)
        };
        match rest.next() {
            Some('\n') | None => {}
            Some('n') => value.push('\n'),
            Some('t') => value.push('\t'),
            Some('r') => value.push('\r'),
            Some('0') => value.push('\0'),
            Some('x') => value.extend(digits(&mut rest, 2)),
            Some('u') => value.extend(digits(&mut rest, 4)),
            Some('U') => value.extend(digits(&mut rest, 8)),
            Some(c @ ('\\' | '\'' | '"')) => value.push(c),
            Some(c) => value.extend(['\\', c]),
        }
    }
    value
}
