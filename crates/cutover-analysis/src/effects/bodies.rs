//! What the bodies of functions and DO blocks mention: needed when they run, not when they are made.

use pg_query::NodeEnum;
use pg_query::protobuf::{CreateFunctionStmt, DoStmt, FunctionParameterMode as Mode, Node, TypeName};

use super::builder::Builder;
use super::lock_mode::LockMode;
use super::model::ObjectKind;
use super::names;
use super::relations;
use super::unparsed;
use super::walk::{self, Found};
use crate::sql::lexer::Kind;
use crate::sql::tokens::{Token, Tokens};
use crate::sql::{Branch, Declared, Parsed, Piece, declared_types, parse, plpgsql_body};

/// What a block would be if it were a function.
const BLOCK: &str = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql";

/// A longer body is not looked into.
const LONGEST: usize = 256 * 1024;

pub(super) fn function(create: &CreateFunctionStmt, to: &mut Builder) {
    if let Some(body) = create.sql_body.as_deref() {
        // Bound now: the rest of the builder has it as needed; it is locked as by reading it.
        locks_of(&walk::find(body), to);
        return;
    }
    let Some(body) = text_of(&create.options, "as") else { return };
    match language(&create.options).as_deref() {
        Some("plpgsql") => {
            variables(create, body, to);
            plpgsql(&head(create), body, "in a function", to);
        }
        // PostgreSQL reads such a body when the function is made, and locks what it names.
        Some("sql") => sql(body, to),
        Some("c" | "internal") | None => {}
        Some(other) => to.late_opaque(format!("a body in {other} is not looked into")),
    }
}

/// The types of variables. PostgreSQL looks for them when it checks the body, which it does when the function is made.
fn variables(create: &CreateFunctionStmt, body: &str, to: &mut Builder) {
    const WHY: &str = "type of a variable";
    if body.len() > LONGEST {
        return;
    }
    let parameters: Vec<String> = create
        .parameters
        .iter()
        .filter_map(|node| match node.node.as_ref()? {
            NodeEnum::FunctionParameter(parameter) => Some(parameter.name.clone()),
            _ => None,
        })
        .collect();
    for declared in declared_types(body, &parameters) {
        match declared {
            Declared::Type(name) if names::is_built_in_type(&name) => {}
            Declared::Type(name) => {
                if let Ok(parsed) = parse(&format!("SELECT NULL::{name}")) {
                    for node in parsed.statements() {
                        for object in walk::find(&node).types {
                            to.checks(object, WHY);
                        }
                    }
                }
            }
            Declared::Rows(relation) => {
                if let Some(relation) = names::from_text(ObjectKind::Relation, &relation) {
                    to.checks(relation, WHY);
                }
            }
            Declared::Column(relation, column) => {
                let relation = names::from_text(ObjectKind::Relation, &relation);
                let column = names::from_text(ObjectKind::Column, &column);
                if let (Some(relation), Some(column)) = (relation, column) {
                    to.checks(names::part_of(ObjectKind::Column, &relation, column.name), WHY);
                    to.checks(relation, WHY);
                }
            }
        }
    }
}

pub(super) fn block(block: &DoStmt, to: &mut Builder) {
    let Some(body) = text_of(&block.args, "as") else { return };
    if language(&block.args).is_some_and(|language| language != "plpgsql") {
        return;
    }
    plpgsql(BLOCK, body, "in a DO block", to);
}

/// Calls `each` with the statements of a DO block, expressions as queries; among them the constant texts that it executes.
///
/// # Errors
/// Why these may not be all, in words.
pub(crate) fn each_statement(block: &DoStmt, each: &mut dyn FnMut(&NodeEnum)) -> Result<(), String> {
    each_part(block, &mut |part| {
        if let Part::Statement(node) = part {
            each(node);
        }
    })
}

/// What a block consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// A statement.
    Statement(&'a NodeEnum),
    /// What comes may not run, or not have run.
    Branch(Branch),
}

/// The same, with the beginnings and ends of branches.
///
/// # Errors
/// As there.
pub(crate) fn each_part(block: &DoStmt, each: &mut dyn FnMut(Part<'_>)) -> Result<(), String> {
    let Some(body) = text_of(&block.args, "as") else { return Ok(()) };
    if let Some(other) = language(&block.args).filter(|language| language != "plpgsql") {
        return Err(format!("a block in {other} is not looked into"));
    }
    each_in_body(BLOCK, body, "a block", each)
}

/// The same with the statements of the body of a routine, which is a text.
///
/// # Errors
/// As there.
pub(super) fn each_of_routine(
    create: &CreateFunctionStmt,
    each: &mut dyn FnMut(&NodeEnum),
) -> Result<(), String> {
    let body = text_of(&create.options, "as").unwrap_or_default();
    match language(&create.options).as_deref() {
        Some("plpgsql") => each_in_body(&head(create), body, "a body", &mut |part| {
            if let Part::Statement(node) = part {
                each(node);
            }
        }),
        Some("sql") => {
            let parsed = parse(body).map_err(|error| format!("a body cannot be analysed: {error}"))?;
            parsed.statements().for_each(each);
            Ok(())
        }
        other => Err(format!("a body in {} is not looked into", other.unwrap_or("another language"))),
    }
}

fn each_in_body(head: &str, body: &str, what: &str, each: &mut dyn FnMut(Part<'_>)) -> Result<(), String> {
    if body.len() > LONGEST {
        return Err(format!("{what} of {} bytes is not looked into", body.len()));
    }
    let found = plpgsql_body(head, body).map_err(|error| format!("{what} cannot be analysed: {error}"))?;
    let mut left = Ok(());
    let mut branches = found.branches.iter().peekable();
    for (number, (piece, text)) in found.pieces.iter().enumerate() {
        while let Some((_, branch)) = branches.next_if(|(at, _)| *at <= number) {
            each(Part::Branch(*branch));
        }
        let Some(text) = piece.as_statement(text) else { continue };
        let parsed = match (piece, parse(&text)) {
            (_, Err(error)) => {
                left = Err(format!("a part of {what} cannot be analysed: {error}"));
                continue;
            }
            (Piece::Executed, Ok(expression)) => {
                let constant = walk::constant(&expression).and_then(|text| parse(&text).ok());
                let Some(parsed) = constant else {
                    left = Err(format!("{what} runs statements that it makes at run time (EXECUTE)"));
                    continue;
                };
                parsed
            }
            (_, Ok(parsed)) => parsed,
        };
        parsed.statements().for_each(|node| each(Part::Statement(node)));
    }
    branches.for_each(|(_, branch)| each(Part::Branch(*branch)));
    left
}

/// The expressions in a DO block whose values it executes, other than constants.
pub(crate) fn made_at_run_time(block: &DoStmt) -> Vec<String> {
    let body = text_of(&block.args, "as").filter(|body| body.len() <= LONGEST);
    let is_plpgsql = language(&block.args).is_none_or(|language| language == "plpgsql");
    let found = body.filter(|_| is_plpgsql).and_then(|body| plpgsql_body(BLOCK, body).ok());
    let pieces = found.into_iter().flat_map(|found| found.pieces);
    let executed = pieces.filter(|(piece, text)| *piece == Piece::Executed && constant(text).is_none());
    executed.map(|(_, text)| text).collect()
}

/// Whether a DO block commits or rolls back: found by its tokens, because the parser of bodies has no words for it.
pub(crate) fn ends_transaction(block: &DoStmt) -> bool {
    let Some(body) = text_of(&block.args, "as").filter(|body| body.len() <= LONGEST) else { return false };
    let tokens: Vec<Token<'_>> = Tokens::new(body).collect();
    tokens.windows(3).any(|three| {
        let [before, token, after] = three else { return false };
        let begins = before.kind == Kind::Semicolon
            || ["begin", "then", "else", "loop"].iter().any(|word| before.is(word));
        let ends = after.kind == Kind::Semicolon || after.is("and");
        begins && ends && (token.is("commit") || token.is("rollback"))
    })
}

/// The first text of an option: a body is a list of one.
pub(super) fn text_of<'a>(options: &'a [Node], name: &str) -> Option<&'a str> {
    let option = options.iter().filter_map(relations::definition).find(|option| option.defname == name)?;
    match option.arg.as_deref()?.node.as_ref()? {
        NodeEnum::List(list) => names::text(list.items.first()?),
        NodeEnum::String(text) => Some(&text.sval),
        _ => None,
    }
}

pub(super) fn language(options: &[Node]) -> Option<String> {
    text_of(options, "language").map(str::to_lowercase)
}

fn sql(body: &str, to: &mut Builder) {
    match parse(body) {
        Ok(parsed) => {
            for node in parsed.statements() {
                let found = walk::find(&node);
                locks_of(&found, to);
                late(&found, "in a function", to);
                touched(node, Some("in a function"), to);
            }
        }
        Err(error) => {
            to.late_opaque(format!("a body in SQL does not parse: {error}"));
            touched_perhaps(body, to);
        }
    }
}

fn locks_of(found: &Found, to: &mut Builder) {
    for relation in &found.reads {
        to.locks(relation.clone(), LockMode::AccessShare);
    }
    for relation in &found.writes {
        to.locks(relation.clone(), LockMode::RowExclusive);
    }
}

fn plpgsql(head: &str, body: &str, why: &str, to: &mut Builder) {
    if body.len() > LONGEST {
        to.late_opaque(format!("a body of {} bytes is not looked into", body.len()));
        touched_perhaps(body, to);
        return;
    }
    let found = match plpgsql_body(head, body) {
        Ok(found) => found,
        Err(error) => {
            to.late_opaque(format!("a body in PL/pgSQL cannot be analysed: {error}"));
            touched_perhaps(body, to);
            return;
        }
    };
    if found.dynamic {
        to.late_opaque("a body runs statements that it makes at run time (EXECUTE)");
    }
    if let Some(parsed) = together(&found.pieces) {
        for node in parsed.statements() {
            late(&walk::find(&node), why, to);
            touched(node, Some(why), to);
        }
        return;
    }
    for (piece, text) in &found.pieces {
        if *piece == Piece::Executed {
            executed(text, to);
            continue;
        }
        let Some(text) = piece.as_statement(text) else { continue };
        match parse(&text) {
            Ok(parsed) => {
                for node in parsed.statements() {
                    late(&walk::find(&node), why, to);
                    touched(node, Some(why), to);
                }
            }
            Err(error) => {
                to.late_opaque(format!("a part of a body cannot be analysed: {error}"));
                touched_perhaps(&text, to);
            }
        }
    }
}

/// All pieces of a body, parsed at once: to begin takes as long as to parse one of them. None where one of them is wrong, or is
/// the text of another statement.
fn together(pieces: &[(Piece, String)]) -> Option<Parsed> {
    if pieces.iter().any(|(piece, _)| *piece == Piece::Executed) {
        return None;
    }
    let texts: Vec<String> = pieces.iter().filter_map(|(piece, text)| piece.as_statement(text)).collect();
    // A comment at the end of one ends with its line.
    parse(&texts.join("\n;\n")).ok().filter(|parsed| parsed.statement_count() == texts.len())
}

/// What a statement of a body will touch and make, and (if it is said where it stands) what it will need. As for the rest,
/// a body is no statement that is run now.
fn touched(node: &NodeEnum, needs: Option<&str>, to: &mut Builder) {
    let mut within = Builder::default();
    super::statement(node, &mut within);
    to.handles_as(within, needs);
}

/// The same of a text that cannot be read: all that it names with a schema.
fn touched_perhaps(text: &str, to: &mut Builder) {
    for object in unparsed::qualified(text) {
        to.handles(&object);
    }
}

/// The text that an expression is, where it is one constant.
fn constant(expression: &str) -> Option<String> {
    parse(&format!("SELECT {expression}")).ok().and_then(|parsed| walk::constant(&parsed))
}

/// What `EXECUTE` of one constant text will touch. A text that is put together is not known before it runs.
fn executed(expression: &str, to: &mut Builder) {
    let Some(text) = constant(expression) else { return };
    if let Ok(parsed) = parse(&text) {
        for node in parsed.statements() {
            touched(node, None, to);
        }
    }
}

fn late(found: &Found, why: &str, to: &mut Builder) {
    for (objects, what) in [
        (&found.writes, "written"),
        (&found.reads, "read"),
        (&found.routines, "called"),
        (&found.types, "type"),
    ] {
        for object in objects {
            to.needs_late(object.clone(), &format!("{what} {why}"));
        }
    }
}

/// The signature with types of PostgreSQL's own: the parser of bodies needs the names and which of them are results.
fn head(create: &CreateFunctionStmt) -> String {
    let mut inputs = Vec::new();
    let mut columns = Vec::new();
    for node in &create.parameters {
        let Some(NodeEnum::FunctionParameter(parameter)) = node.node.as_ref() else { continue };
        let name = crate::sql::quote_ident(&parameter.name);
        let name = if parameter.name.is_empty() { String::new() } else { name };
        let data_type = known_type(parameter.arg_type.as_ref());
        match parameter.mode() {
            Mode::FuncParamTable => columns.push(format!("{name} {data_type}")),
            Mode::FuncParamOut => inputs.push(format!("OUT {name} {data_type}")),
            Mode::FuncParamInout => inputs.push(format!("INOUT {name} {data_type}")),
            _ => inputs.push(format!("{name} {data_type}")),
        }
    }
    let inputs = inputs.join(", ");
    if create.is_procedure {
        return format!("CREATE PROCEDURE f({inputs}) LANGUAGE plpgsql");
    }
    let result = match &create.return_type {
        _ if !columns.is_empty() => format!(" RETURNS TABLE ({})", columns.join(", ")),
        Some(name) if name.setof => format!(" RETURNS SETOF {}", known_type(Some(name))),
        Some(name) => format!(" RETURNS {}", known_type(Some(name))),
        None => String::new(),
    };
    format!("CREATE FUNCTION f({inputs}){result} LANGUAGE plpgsql")
}

/// The type itself where it is PostgreSQL's own, else a row of whatever.
fn known_type(name: Option<&TypeName>) -> String {
    let Some(name) = name.filter(|name| names::type_object(name).is_none()) else {
        return "record".to_owned();
    };
    let last = name.names.last().and_then(names::text).unwrap_or("text");
    let array = if name.array_bounds.is_empty() { "" } else { "[]" };
    format!("{last}{array}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_parsed_at_once_where_all_of_them_are_right() {
        let piece = |piece, text: &str| (piece, text.to_owned());
        let right = [
            piece(Piece::Statement, "UPDATE t SET a = 1 -- the end"),
            piece(Piece::Expression, "a > ';' /* ; */"),
            piece(Piece::Assignment, "n := n + 1"),
        ];
        let kinds: Vec<bool> = together(&right)
            .unwrap()
            .statements()
            .map(|node| matches!(node, NodeEnum::UpdateStmt(_)))
            .collect();
        assert_eq!(kinds, [true, false, false]);
        for other in [piece(Piece::Executed, "'DROP TABLE t'"), piece(Piece::Expression, "1 +")] {
            let pieces = [right.to_vec(), vec![other]].concat();
            assert!(together(&pieces).is_none(), "{pieces:?}");
        }
    }
}
