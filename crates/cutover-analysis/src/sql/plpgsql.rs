//! The SQL inside PL/pgSQL bodies, found by PostgreSQL's own PL/pgSQL parser.
//!
//! It is asked about a function of our making around the body: of the signature only names and shapes are needed, and
//! the library knows no types but PostgreSQL's own.

use std::borrow::Cow;
use std::ffi::CString;

use serde_json::{Map, Value};

use super::depth::json_nesting;
use super::ffi;
use super::lexer::Kind;
use super::tokens::{Token, Tokens};

/// The deepest tree of a body that is decoded, in nested arrays and objects (an IF makes four).
const DEEPEST: usize = 8_000;

/// A tree up to this depth is decoded on the caller's stack.
const SHALLOW: usize = 100;

/// Enough stack to decode the deepest tree in an unoptimised build.
const DECODING_STACK: usize = 64 * 1024 * 1024;

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

impl Piece {
    /// The piece as a statement of its own: an expression, or one whose text is run, as a query.
    pub(crate) fn as_statement(self, text: &str) -> Option<String> {
        match self {
            Self::Statement => Some(text.to_owned()),
            Self::Expression | Self::Executed => Some(format!("SELECT {text}")),
            Self::Assignment => {
                let (_, value) = text.split_once(":=").or_else(|| text.split_once('='))?;
                Some(format!("SELECT {value}"))
            }
        }
    }
}

/// What a body consists of, as far as it is SQL.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Statements and expressions, in the order of the body.
    pub(crate) pieces: Vec<(Piece, String)>,
    /// Where branches begin and end: before the piece of this number, in the order in which they do.
    pub(crate) branches: Vec<(usize, Branch)>,
    /// It runs statements that it makes at run time (`EXECUTE`).
    pub(crate) dynamic: bool,
}

/// The beginning or end of statements of which it is not known that they run, and have run: under a condition, in a loop, where an
/// error is caught, behind what may have left the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Branch {
    /// They begin.
    Begins {
        /// They may run many times.
        repeats: bool,
    },
    /// They end.
    Ends,
}

impl Body {
    fn branch(&mut self, branch: Branch) {
        self.branches.push((self.pieces.len(), branch));
    }
}

/// Finds the SQL in a body. `head` is all of `CREATE FUNCTION` before `AS`, with PostgreSQL's own types only.
///
/// # Errors
/// Why it cannot be found, in words.
pub(crate) fn plpgsql_body(head: &str, body: &str) -> Result<Body, String> {
    with_tree(head, body, |tree| {
        let mut found = Body::default();
        collect("", tree, &mut found);
        found
    })
}

/// Reads the tree of a body, on a stack that is large enough for it.
///
/// # Errors
/// Why there is none, in words.
pub(super) fn with_tree<T: Send>(
    head: &str,
    body: &str,
    read: impl Fn(&Value) -> T + Sync,
) -> Result<T, String> {
    let json = match tree(head, body) {
        Ok(json) => json,
        // Types with a schema are not known to the library.
        Err(_) => tree(head, &with_known_types(body))?,
    };
    match json_nesting(&json) {
        deep if deep > DEEPEST => {
            Err(format!("its statements are nested {deep} levels deep, more than {DEEPEST}"))
        }
        deep if deep > SHALLOW => decoded_on_large_stack(&json, &read),
        _ => decoded(&json, &read),
    }
}

/// The tree is dropped where it was made: that recurses too.
fn decoded<T>(json: &str, read: &impl Fn(&Value) -> T) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.disable_recursion_limit();
    let tree = deserializer.into_iter::<Value>().next().transpose().map_err(|error| error.to_string())?;
    Ok(read(&tree.unwrap_or_default()))
}

fn decoded_on_large_stack<T: Send>(json: &str, read: &(impl Fn(&Value) -> T + Sync)) -> Result<T, String> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(DECODING_STACK)
            .spawn_scoped(scope, || decoded(json, read))
            .map_err(|error| error.to_string())?
            .join()
            .map_err(|_| "its tree cannot be decoded".to_owned())?
    })
}

/// The tree of a body as the library prints it, mended.
fn tree(head: &str, body: &str) -> Result<String, String> {
    let mut tag = String::from("$body$");
    while body.contains(&tag) {
        tag.insert(1, 'x');
    }
    let text = CString::new(format!("{head} AS {tag}{body}{tag}")).map_err(|error| error.to_string())?;
    let json = ffi::parse_plpgsql(&text).map_err(|error| error.message)?;
    // The library prints an object's end once too often for what it has no words for.
    Ok(json.replace(",{}}", ",{}").replace("[{}}", "[{}"))
}

/// Everything under an expression's key is SQL; how it is to be read stands beside it. Says whether what stands behind it may be left
/// out: it returns, or leaves a block by its label.
fn collect(kind: &str, value: &Value, found: &mut Body) -> bool {
    match value {
        Value::Array(items) => items.iter().fold(false, |leaves, item| collect("", item, found) | leaves),
        Value::Object(fields) => {
            found.pieces.extend(piece(fields));
            let mut leaves = match kind {
                "PLpgSQL_stmt_return" => true,
                // Without a label it is left behind a loop, and no further.
                "PLpgSQL_stmt_exit" => fields.contains_key("label"),
                _ => false,
            };
            for (key, inner) in fields {
                if let Some(executed) = executed(key, inner) {
                    found.dynamic = true;
                    found.pieces.extend(executed.as_str().map(|query| (Piece::Executed, query.to_owned())));
                }
                let is_block = kind == "PLpgSQL_stmt_block";
                leaves |= match (key.as_str(), inner) {
                    // What an error that is caught takes back did not happen.
                    ("body", Value::Array(items)) if is_block && !fields.contains_key("exceptions") => {
                        statements(items, found)
                    }
                    (
                        "body" | "then_body" | "else_body" | "stmts" | "else_stmts" | "action",
                        Value::Array(items),
                    ) => {
                        found.branch(Branch::Begins { repeats: key == "body" && !is_block });
                        let leaves = statements(items, found);
                        found.branch(Branch::Ends);
                        leaves
                    }
                    _ => collect(key, inner, found),
                };
            }
            leaves
        }
        _ => false,
    }
}

/// The piece that these fields are, where they are one.
pub(super) fn piece(fields: &Map<String, Value>) -> Option<(Piece, String)> {
    let query = fields.get("query")?.as_str()?;
    let piece = match fields.get("parseMode").and_then(Value::as_i64) {
        Some(0) => Piece::Statement,
        Some(3..) => Piece::Assignment,
        _ => Piece::Expression,
    };
    Some((piece, query.to_owned()))
}

/// The expression whose text is run, where what stands at a key runs one.
pub(super) fn executed<'a>(key: &str, value: &'a Value) -> Option<&'a Value> {
    let expression = match key {
        "PLpgSQL_stmt_dynexecute" | "PLpgSQL_stmt_dynfors" => &value["query"],
        "dynquery" => value,
        _ => return None,
    };
    Some(&expression["PLpgSQL_expr"]["query"])
}

/// Statements one behind the other: those behind one that may leave are a branch.
fn statements(items: &[Value], found: &mut Body) -> bool {
    let mut leaves = false;
    for item in items {
        let was_left = leaves;
        leaves |= collect("", item, found);
        if leaves && !was_left {
            found.branch(Branch::Begins { repeats: false });
        }
    }
    if leaves {
        found.branch(Branch::Ends);
    }
    leaves
}

/// What a variable is declared with, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Declared {
    /// A type, with or without a schema.
    Type(String),
    /// The relation of `relation%ROWTYPE`.
    Rows(String),
    /// Relation and column of `relation.column%TYPE`.
    Column(String, String),
}

/// The types that variables of a body are declared with, found by its tokens: what the library makes of them has lost
/// their names. What is declared like another variable (`known` ones are those of the signature) names no type.
pub(crate) fn declared_types(body: &str, known: &[String]) -> Vec<Declared> {
    let tokens: Vec<_> = Tokens::new(body).collect();
    let mut variables: Vec<String> = known.to_vec();
    let mut found = Vec::new();
    let mut declaring = false;
    for (at, token) in tokens.iter().enumerate() {
        // A label may stand before a variable, as in `outer.n%TYPE`.
        if token.text == "<" && tokens.get(at + 1).is_some_and(|next| next.text == "<") {
            variables.extend(tokens.get(at + 2).map(Token::name));
        }
        let begins = token.is("declare") || declaring && token.kind == Kind::Semicolon;
        declaring = (declaring || token.is("declare")) && !token.is("begin");
        let (true, Some(declaration)) = (begins && declaring, tokens.get(at + 1..)) else { continue };
        let Some((name, rest)) = declaration.split_first().filter(|(name, _)| is_name(name)) else {
            continue;
        };
        if name.is("begin") {
            continue;
        }
        found.extend(declared_type(rest, &variables));
        variables.push(name.name());
    }
    found
}

fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Word | Kind::QuotedIdentifier)
}

/// The type behind the name of a variable; none where it is that of another variable.
fn declared_type(tokens: &[Token<'_>], variables: &[String]) -> Option<Declared> {
    let (first, rest) = tokens.split_first()?;
    if first.is("constant") {
        return declared_type(rest, variables);
    }
    // `name ALIAS FOR …`, `name [NO SCROLL] CURSOR FOR …`
    let other = ["alias", "cursor", "no", "scroll"].iter().any(|word| first.is(word));
    let double = first.is("double") && rest.first().is_some_and(|next| next.is("precision"));
    if other || double || !is_name(first) {
        return None;
    }
    let mut parts = vec![first.text];
    let mut rest = rest;
    while let [dot, name, after @ ..] = rest
        && dot.kind == Kind::Dot
        && is_name(name)
    {
        parts.push(name.text);
        rest = after;
    }
    let [percent, word, ..] = rest else { return None };
    if percent.text != "%" {
        return Some(Declared::Type(parts.join(".")));
    }
    if word.is("rowtype") {
        return Some(Declared::Rows(parts.join(".")));
    }
    let (column, relation) = parts.split_last()?;
    let is_variable = relation.is_empty() || variables.contains(&first.name());
    (word.is("type") && !is_variable).then(|| Declared::Column(relation.join("."), (*column).to_owned()))
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

    #[test]
    fn the_types_of_variables_are_found() {
        let body = "<<outer>> DECLARE i b; j CONSTANT int := 1; r b%ROWTYPE; c app.b.id%TYPE NOT NULL DEFAULT 1;
            k i%TYPE; l r.x%TYPE; p arg.x%TYPE; o outer.i%TYPE; cur CURSOR FOR SELECT 1; a ALIAS FOR $1; q app.e[];
            BEGIN i := 1; DECLARE z zz; BEGIN NULL; END; x := y; END";
        let found: Vec<String> = declared_types(body, &["arg".to_owned()])
            .into_iter()
            .map(|declared| match declared {
                Declared::Type(text) => text,
                Declared::Rows(relation) => relation + "%rowtype",
                Declared::Column(relation, column) => format!("{relation}.{column}%type"),
            })
            .collect();
        assert_eq!(found, ["b", "int", "b%rowtype", "app.b.id%type", "app.e", "zz"]);
    }

    /// The pieces that stand in no branch, and those that do.
    fn sorted(body: &str) -> (Vec<String>, Vec<String>) {
        let found = plpgsql_body("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql", body).unwrap();
        let (mut sure, mut perhaps) = (Vec::new(), Vec::new());
        for (number, (_, text)) in found.pieces.iter().enumerate() {
            let before = found.branches.iter().filter(|(at, _)| *at <= number);
            let depth: i32 = before.map(|(_, branch)| if *branch == Branch::Ends { -1 } else { 1 }).sum();
            if depth == 0 { &mut sure } else { &mut perhaps }.push(text.clone());
        }
        let ends = found.branches.iter().filter(|(_, branch)| *branch == Branch::Ends).count();
        assert_eq!(ends * 2, found.branches.len(), "{body}");
        (sure, perhaps)
    }

    #[test]
    fn what_may_not_run_is_known() {
        for (body, sure, perhaps) in [
            ("BEGIN CALL a(); BEGIN CALL b(); END; END", vec!["CALL a()", "CALL b()"], vec![]),
            (
                "BEGIN IF x THEN CALL a(); ELSIF y THEN CALL b(); ELSE CALL c(); END IF; CALL d(); END",
                vec!["x", "y", "CALL d()"],
                vec!["CALL a()", "CALL b()", "CALL c()"],
            ),
            (
                "BEGIN CASE x WHEN 1 THEN CALL a(); ELSE CALL b(); END CASE; CALL d(); END",
                vec!["CALL d()"],
                vec!["CALL a()", "CALL b()"],
            ),
            (
                "BEGIN FOR i IN 1..2 LOOP CALL a(); END LOOP; CALL b(); END",
                vec!["CALL b()"],
                vec!["CALL a()"],
            ),
            ("BEGIN LOOP CALL a(); EXIT; END LOOP; CALL b(); END", vec!["CALL b()"], vec!["CALL a()"]),
            (
                "DECLARE r record; BEGIN FOR r IN SELECT 1 LOOP CALL a(); END LOOP; CALL b(); END",
                vec!["CALL b()"],
                vec!["CALL a()"],
            ),
            ("BEGIN WHILE x LOOP CALL a(); END LOOP; CALL b(); END", vec!["CALL b()"], vec!["CALL a()"]),
            (
                "BEGIN BEGIN CALL a(); EXCEPTION WHEN others THEN CALL b(); END; CALL c(); END",
                vec!["CALL c()"],
                vec!["CALL a()", "CALL b()"],
            ),
            ("BEGIN CALL a(); IF x THEN RETURN; END IF; CALL b(); END", vec!["CALL a()"], vec!["CALL b()"]),
            (
                "BEGIN <<o>> BEGIN IF x THEN EXIT o; END IF; CALL a(); END; CALL b(); END",
                vec![],
                vec!["CALL a()", "CALL b()"],
            ),
            ("BEGIN IF x THEN EXECUTE 'CALL a()'; END IF; END", vec!["x"], vec!["'CALL a()'"]),
        ] {
            let (found_sure, found_perhaps) = sorted(body);
            for (wanted, found) in [(sure, found_sure), (perhaps, found_perhaps)] {
                assert!(wanted.iter().all(|text| found.iter().any(|one| one == text)), "{body}: {found:?}");
            }
        }
    }

    /// Neither the library's recursion nor ours ends the process; what is too deep is said.
    #[test]
    fn deep_bodies_break_nothing() {
        for levels in [20, 50, 200, 1_000, 5_000, 9_000, 20_000] {
            let body =
                format!("BEGIN {} NULL; {} END", "IF true THEN ".repeat(levels), "END IF; ".repeat(levels));
            let found = plpgsql_body(HEAD, &body);
            assert_eq!(found.is_ok(), levels <= 1_000, "{levels}: {:?}", found.err());
        }
    }
}
