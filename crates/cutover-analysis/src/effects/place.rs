//! Where a statement names an object, for messages that point at it. The parser's tree does not say so for most names,
//! so the text is looked at: of several tokens with that name the one that stands where such a name stands is taken.

use super::model::{ObjectKind, ObjectRef};
use super::names::{self, LONGEST};
use crate::sql::lexer::Kind;
use crate::sql::tokens::{Token, Tokens};

/// Words that stand before the name of a table, view, sequence or index.
const BEFORE_RELATIONS: [&str; 21] = [
    "table",
    "from",
    "join",
    "references",
    "on",
    "into",
    "update",
    "using",
    "only",
    "exists",
    "of",
    "like",
    "view",
    "sequence",
    "copy",
    "truncate",
    "analyze",
    "vacuum",
    "lock",
    "cluster",
    "inherits",
];

/// Byte offset of the name of `object` in the statement, of its schema where it is written with one. None if the name
/// does not stand there as such.
pub fn place_of(statement: &str, object: &ObjectRef) -> Option<usize> {
    let tokens: Vec<Token<'_>> = Tokens::new(statement).collect();
    let mut best: Option<(u8, usize)> = None;
    for at in 0..tokens.len() {
        let Some((score, offset)) = candidate(&tokens, at, object) else { continue };
        if best.is_none_or(|(known, _)| score > known) {
            best = Some((score, offset));
        }
    }
    best.map(|(_, offset)| offset)
}

/// How well the token at `at` fits as the name, and where the name begins.
fn candidate(tokens: &[Token<'_>], at: usize, object: &ObjectRef) -> Option<(u8, usize)> {
    let token = tokens.get(at)?;
    if token.kind == Kind::String {
        // nextval('users_id_seq'), 'users'::regclass
        let text = token.text.strip_prefix('\'')?.strip_suffix('\'')?;
        let named = names::from_text(object.kind, text)?;
        return (named.name == object.name).then_some((1, token.at + 1));
    }
    if !is_name(token, &object.name) {
        return None;
    }
    let dotted = tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Dot);
    let is = |back: usize, kind: Kind| at.checked_sub(back).is_some_and(|before| tokens[before].kind == kind);
    let mut first = at;
    while first >= 2 && tokens[first - 1].kind == Kind::Dot {
        first -= 2;
    }
    let start = if object.schema.is_some() { first } else { at };
    let mut score = 2;
    match &object.schema {
        Some(schema) if is(1, Kind::Dot) && at >= 2 && is_name(&tokens[at - 2], schema) => score += 4,
        // A column, or something of another schema.
        _ if is(1, Kind::Dot) => return Some((1, token.at)),
        _ => {}
    }
    match object.kind.family() {
        ObjectKind::Relation | ObjectKind::ForeignTable if !dotted => {
            let before = start.checked_sub(1).and_then(|before| tokens.get(before));
            let index = object.kind == ObjectKind::Index && before.is_some_and(|before| before.is("index"));
            if index || before.is_some_and(|before| BEFORE_RELATIONS.iter().any(|word| before.is(word))) {
                score += 3;
            }
        }
        ObjectKind::Routine if tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Open) => score += 3,
        ObjectKind::Type => {
            // A column's name, AS or :: stands before a type, but a comma or parenthesis before a column.
            let before = start.checked_sub(1).and_then(|before| tokens.get(before));
            if before.is_some_and(|before| {
                matches!(before.kind, Kind::Word | Kind::QuotedIdentifier) || before.text == ":"
            }) {
                score += 3;
            }
        }
        ObjectKind::Schema if dotted => score += 3,
        _ => {}
    }
    Some((score, tokens[start].at))
}

fn is_name(token: &Token<'_>, name: &str) -> bool {
    if !matches!(token.kind, Kind::Word | Kind::QuotedIdentifier) {
        return false;
    }
    let written = token.name();
    // PostgreSQL cuts names that are longer.
    written == name || written.len() > LONGEST && written.starts_with(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(statement: &str, kind: ObjectKind, schema: Option<&str>, name: &str) {
        let marked = statement.find('^').expect("a mark");
        let object = ObjectRef::new(kind, schema.map(smol_str::SmolStr::new), name);
        let found = place_of(&statement.replace('^', ""), &object);
        assert_eq!(found, Some(marked), "{statement}");
    }

    #[test]
    fn a_name_is_found_where_such_names_stand() {
        let table = ObjectKind::Table;
        finds("ALTER TABLE o ADD FOREIGN KEY (users) REFERENCES ^users (id)", table, None, "users");
        finds("ALTER TABLE ^\"Users\" ADD x int", table, None, "Users");
        finds("SELECT users.id FROM ^Users /* users */", table, None, "users");
        finds("INSERT INTO b SELECT app.id, users.id FROM app.x, ^app.users", table, Some("app"), "users");
        finds("CREATE INDEX users ON ^users (users)", ObjectKind::Relation, None, "users");
        finds("SELECT f, ^f(1) FROM t", ObjectKind::Routine, None, "f");
        finds("CREATE TABLE t (mood int, m ^mood)", ObjectKind::Type, None, "mood");
        finds("CREATE TABLE ^app.t (app int)", ObjectKind::Schema, None, "app");
        finds("SELECT nextval('^s')", ObjectKind::Sequence, None, "s");
    }

    #[test]
    fn a_name_that_is_not_written_has_no_place() {
        let object = ObjectRef::new(ObjectKind::Table, None, "users");
        assert_eq!(place_of("SELECT 'a users b', $$users$$ -- users", &object), None);
    }
}
