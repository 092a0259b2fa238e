//! The SQL inside PL/pgSQL bodies, found by PostgreSQL's own PL/pgSQL parser.
//!
//! It is asked about a function of our making around the body: of the signature only names and shapes are needed, and
//! the library knows no types but PostgreSQL's own.

use std::borrow::Cow;
use std::ffi::CString;

use serde_json::Value;

use super::ffi;
use super::lexer::Kind;
use super::tokens::Tokens;

/// How a piece of SQL stands in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A statement of its own.
    Statement,
    /// An expression: a condition, an argument, what is returned.
    Expression,
    /// `target := expression`
    Assignment,
    /// An expression whose text is run as a statement (`EXECUTE`).
    Executed,
}

/// What a body consists of, as far as it is SQL.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Statements and expressions, in the order of the body.
    pub(crate) pieces: Vec<(Piece, String)>,
    /// It runs statements that it makes at run time (`EXECUTE`).
    pub(crate) dynamic: bool,
}

/// Finds the SQL in a body. `head` is all of `CREATE FUNCTION` before `AS`, with PostgreSQL's own types only.
///
/// # Errors
/// Why it cannot be found, in words.
pub(crate) fn plpgsql_body(head: &str, body: &str) -> Result<Body, String> {
    let json = match tree(head, body) {
        Ok(json) => json,
        // Types with a schema are not known to the library.
        Err(_) => tree(head, &with_known_types(body))?,
    };
    let mut found = Body::default();
    collect(&json, &mut found);
    Ok(found)
}

fn tree(head: &str, body: &str) -> Result<Value, String> {
    let mut tag = String::from("$body$");
    while body.contains(&tag) {
        tag.insert(1, 'x');
    }
    let text = CString::new(format!("{head} AS {tag}{body}{tag}")).map_err(|error| error.to_string())?;
    let json = ffi::parse_plpgsql(&text).map_err(|error| error.message)?;
    // The library prints an object's end once too often for what it has no words for.
    let mended = json.replace(",{}}", ",{}").replace("[{}}", "[{}");
    // Nested more than 128 levels deep it is refused, which is said.
    serde_json::from_str(&mended).map_err(|error| error.to_string())
}

/// Everything under an expression's key is SQL; how it is to be read stands beside it.
fn collect(value: &Value, found: &mut Body) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            if let Some(Value::String(query)) = fields.get("query") {
                let piece = match fields.get("parseMode").and_then(Value::as_i64) {
                    Some(0) => Piece::Statement,
                    Some(3..) => Piece::Assignment,
                    _ => Piece::Expression,
                };
                found.pieces.push((piece, query.clone()));
            }
            for (key, inner) in fields {
                let executed = match key.as_str() {
                    "PLpgSQL_stmt_dynexecute" | "PLpgSQL_stmt_dynfors" => Some(&inner["query"]),
                    "dynquery" => Some(inner),
                    _ => None,
                };
                if let Some(executed) = executed {
                    found.dynamic = true;
                    let query = &executed["PLpgSQL_expr"]["query"];
                    found.pieces.extend(query.as_str().map(|query| (Piece::Executed, query.to_owned())));
                }
                collect(inner, found);
            }
        }
        _ => {}
    }
}

/// The body with types that have a schema, or are taken from a table, replaced by ones that need no looking up.
fn with_known_types(body: &str) -> Cow<'_, str> {
    let tokens: Vec<_> = Tokens::new(body).collect();
    let mut out = String::with_capacity(body.len());
    let (mut copied, mut declaring, mut at) = (0, false, 0);
    while let Some(token) = tokens.get(at) {
        declaring = (declaring || token.is("declare")) && !token.is("begin");
        let is_name = |n: usize| {
            tokens.get(n).is_some_and(|token| matches!(token.kind, Kind::Word | Kind::QuotedIdentifier))
        };
        let mut end = at + 1;
        while is_name(at) && tokens.get(end).is_some_and(|dot| dot.kind == Kind::Dot) && is_name(end + 1) {
            end += 2;
        }
        let marked = tokens.get(end).is_some_and(|token| token.text == "%")
            && tokens.get(end + 1).is_some_and(|word| word.is("type") || word.is("rowtype"));
        let qualified = end > at + 1 && !tokens.get(end).is_some_and(|open| open.kind == Kind::Open);
        if declaring && is_name(at) && (marked || qualified) {
            let last = if marked { end + 1 } else { end - 1 };
            let rows = !marked || tokens[last].is("rowtype");
            out.push_str(body.get(copied..token.at).unwrap_or_default());
            out.push_str(if rows { "record" } else { "text" });
            copied = tokens[last].at + tokens[last].text.len();
            end = last + 1;
        }
        at = end;
    }
    out.push_str(body.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql";

    fn pieces(body: &str) -> Vec<(Piece, String)> {
        plpgsql_body(HEAD, body).unwrap().pieces
    }

    #[test]
    fn statements_expressions_and_assignments_are_told_apart() {
        let found = pieces(
            "DECLARE n int := 1; BEGIN IF NEW.a > 0 THEN UPDATE t SET a = n; END IF; n := n + 1;
             PERFORM g(n); RETURN NEW; END",
        );
        let texts: Vec<&str> = found.iter().map(|(_, text)| text.trim()).collect();
        assert!(texts.contains(&"UPDATE t SET a = n"), "{found:?}");
        assert!(found.contains(&(Piece::Statement, "UPDATE t SET a = n".into())), "{found:?}");
        assert!(
            found.iter().any(|(piece, text)| *piece == Piece::Assignment && text.contains("n + 1")),
            "{found:?}"
        );
        assert!(
            found.iter().any(|(piece, text)| *piece == Piece::Expression && text.contains("NEW.a > 0")),
            "{found:?}"
        );
    }

    #[test]
    fn types_of_other_schemas_are_no_obstacle() {
        let found = pieces(
            "DECLARE r app.users%ROWTYPE; m app.mood := 'x'; c app.users.name%TYPE; BEGIN SELECT * INTO r FROM app.users; RETURN r; END",
        );
        assert!(found.iter().any(|(_, text)| text.contains("FROM app.users")), "{found:?}");
    }

    #[test]
    fn dynamic_statements_are_seen() {
        assert!(plpgsql_body(HEAD, "BEGIN EXECUTE 'DROP TABLE x'; RETURN NEW; END").unwrap().dynamic);
        assert!(!plpgsql_body(HEAD, "BEGIN RETURN NEW; END").unwrap().dynamic);
        for body in [
            "BEGIN EXECUTE 'SELECT 1' USING 2; RETURN NEW; END",
            "DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP; RETURN NEW; END",
            "DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'SELECT 1'; RETURN NEW; END",
        ] {
            assert!(pieces(body).contains(&(Piece::Executed, "'SELECT 1'".to_owned())), "{body}");
        }
        let rows = plpgsql_body(
            "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE plpgsql",
            "BEGIN RETURN QUERY EXECUTE 'SELECT 1'; END",
        );
        assert!(rows.unwrap().pieces.contains(&(Piece::Executed, "'SELECT 1'".to_owned())));
        assert!(plpgsql_body(HEAD, "BEGIN RETURN").is_err());
    }

    /// Neither the library's recursion nor ours ends the process; what is too deep is said.
    #[test]
    fn deep_bodies_break_nothing() {
        for levels in [20, 1_000, 5_000, 9_000, 20_000] {
            let body =
                format!("BEGIN {} NULL; {} END", "IF true THEN ".repeat(levels), "END IF; ".repeat(levels));
            let found = plpgsql_body(HEAD, &body);
            assert_eq!(found.is_ok(), levels < 30, "{levels}");
        }
    }
}
