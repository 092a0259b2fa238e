//! Where the body of a routine, or of a DO block, begins in the text of its statement: the server counts the lines of
//! an error inside it from there.

use super::lexer::Kind;
use super::tokens::Tokens;

/// The body of a routine or DO block, as far as the text of its statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutineBody {
    /// Name without its schema, as PostgreSQL stores it; none for a DO block.
    pub name: Option<String>,
    /// Number of arguments that belong to its signature (not those that are OUT alone); 0 for a DO block.
    pub inputs: usize,
    /// Byte offset of the first character of the body in the statement.
    pub start: usize,
}

/// Finds the body of `CREATE FUNCTION`, `CREATE PROCEDURE` or `DO`. None for other statements, for bodies that are SQL
/// (`BEGIN ATOMIC`, `RETURN`), and for bodies in `E'…'`, whose lines are not those of the text.
pub fn routine_body(statement: &str) -> Option<RoutineBody> {
    let mut tokens = Tokens::new(statement);
    let first = tokens.next()?;
    if first.is("do") {
        let mut previous = first;
        for token in tokens {
            if token.kind == Kind::String && !previous.is("language") {
                return Some(RoutineBody { name: None, inputs: 0, start: token.body_start()? });
            }
            previous = token;
        }
        return None;
    }
    if !first.is("create") {
        return None;
    }
    let mut head = tokens.by_ref().skip_while(|token| token.is("or") || token.is("replace"));
    head.next().filter(|token| token.is("function") || token.is("procedure"))?;
    let mut name = None;
    // [catalogue.][schema.]name(
    for token in tokens.by_ref() {
        match token.kind {
            Kind::Word | Kind::QuotedIdentifier => name = Some(token.name()),
            Kind::Dot => {}
            Kind::Open => break,
            _ => return None,
        }
    }
    let inputs = inputs(&mut tokens)?;
    let mut depth = 0_usize;
    let mut after_as = false;
    for token in tokens {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::String if after_as && depth == 0 => {
                return Some(RoutineBody { name, inputs, start: token.body_start()? });
            }
            _ => {}
        }
        after_as = token.is("as");
    }
    None
}

/// Counts the arguments of a signature, and reads to its closing parenthesis.
fn inputs(tokens: &mut Tokens<'_>) -> Option<usize> {
    let (mut depth, mut inputs) = (1_usize, 0);
    let mut begins = true;
    for token in tokens {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close if depth == 1 => return Some(inputs),
            Kind::Close => depth -= 1,
            Kind::Comma if depth == 1 => {
                begins = true;
                continue;
            }
            _ => {}
        }
        if std::mem::take(&mut begins) && !token.is("out") {
            inputs += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(sql: &str) -> Option<(Option<String>, usize, &str)> {
        let body = routine_body(sql)?;
        Some((body.name, body.inputs, &sql[body.start..]))
    }

    #[test]
    fn bodies_begin_behind_their_opening_quote() {
        let some = |name: &str, inputs, rest| Some((Some(name.to_owned()), inputs, rest));
        assert_eq!(body("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$x$$"), some("f", 0, "x$$"));
        assert_eq!(
            body(
                "create or replace procedure App.\"Big\"(a int DEFAULT 'as', OUT b numeric(3, 2), inout c t) \
                 AS $body$\nBEGIN $body$ LANGUAGE plpgsql"
            ),
            some("Big", 2, "\nBEGIN $body$ LANGUAGE plpgsql")
        );
        assert_eq!(body("CREATE FUNCTION f(VARIADIC x int[]) RETURNS int AS 'y'"), some("f", 1, "y'"));
        assert_eq!(body("DO LANGUAGE 'plpgsql' /* $$ */ $$x$$"), Some((None, 0, "x$$")));
    }

    #[test]
    fn what_has_no_body_of_its_own_lines_is_left_alone() {
        for sql in [
            "CREATE FUNCTION f() RETURNS int RETURN 1",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
            "CREATE FUNCTION f() RETURNS int AS E'a\\nb'",
            "CREATE TABLE t (a text DEFAULT 'x')",
            "SELECT 1 AS \"x\", 'y'",
            "DO",
            "",
        ] {
            assert_eq!(body(sql), None, "{sql}");
        }
    }
}
