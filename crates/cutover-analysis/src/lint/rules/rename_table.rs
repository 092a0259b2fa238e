//! `RENAME TO` and `SET SCHEMA` of a table that clients know.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType as Type;

use super::{Look, Rule, Watch};
use crate::effects::{Name, ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "rename-table",
        severity: Severity::Error,
        on: true,
        why: "Whoever runs already asks for the table by its old name, and fails from the moment it is called otherwise.",
        safe: "a view under the old name in the same transaction, until nobody asks for it any more",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE users RENAME TO people;"),
            Example::of("ALTER VIEW app.users RENAME TO people;"),
            Example::of("ALTER TABLE users SET SCHEMA app;"),
            Example::of(
                "ALTER TABLE users RENAME TO people;\n-- cutover: new-transaction\nCREATE VIEW users AS SELECT * FROM people;",
            ),
            Example::of("ALTER TABLE users RENAME TO people; CREATE VIEW app.users AS SELECT * FROM people;"),
            Example::of("ALTER TABLE users RENAME TO people;").over("CREATE TABLE users (id int);"),
        ],
        good: &[
            Example::of("ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT * FROM people;"),
            Example::of(
                "ALTER TABLE app.users SET SCHEMA core; CREATE VIEW app.users AS SELECT * FROM core.users;",
            ),
            Example::of("CREATE TABLE users (id int); ALTER TABLE users RENAME TO people;"),
            Example::of(
                "CREATE TABLE users_new (id int); ALTER TABLE users RENAME TO users_old; ALTER TABLE users_new RENAME TO users;",
            ),
            Example::of("ALTER INDEX users_mail RENAME TO users_email;"),
            Example::of("ALTER SEQUENCE s RENAME TO t;"),
            Example::of("CREATE TEMP TABLE t (n int); ALTER TABLE pg_temp.t RENAME TO u;"),
        ],
    },
    look: Look::File(|| Box::new(Renamed::default())),
};

/// Relations that are called otherwise from now on, and names that something has got.
#[derive(Default)]
struct Renamed {
    lost: Vec<(usize, Name, String)>,
    given: Vec<(usize, Name)>,
}

impl Watch for Renamed {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        let known = &site.known.context;
        let relations = site.effects.creates.iter().filter(|made| made.kind.family() == ObjectKind::Relation);
        self.given.extend(relations.map(|made| (site.number, known.new_name(made))));
        let Some((object, message)) = renamed(site.node) else { return };
        if !site.is_new_itself(&object) {
            self.lost.push((site.number, known.resolve(&object), message));
        }
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        for (number, name, message) in self.lost {
            let is_there =
                |(at, given): &(usize, Name)| *given == name && *at >= number && end.together(number, *at);
            if !self.given.iter().any(is_there) {
                found.say_of(number, end.span(number), message);
            }
        }
    }
}

/// The table or view that a statement gives another name, and what that means.
fn renamed(node: &NodeEnum) -> Option<(ObjectRef, String)> {
    match node {
        NodeEnum::RenameStmt(rename) => {
            // ALTER TABLE also renames views; an index or sequence is called by name by nobody or few.
            let is_table = matches!(
                rename.rename_type(),
                Type::ObjectTable | Type::ObjectView | Type::ObjectMatview | Type::ObjectForeignTable
            );
            let relation = rename.relation.as_ref().filter(|_| is_table)?;
            let object = names::relation(ObjectKind::Relation, relation);
            let message = format!(
                "whoever asks for {} fails: it is called {} from now on",
                object.named(),
                rename.newname
            );
            Some((object, message))
        }
        NodeEnum::AlterObjectSchemaStmt(alter) => {
            let is_table = matches!(
                alter.object_type(),
                Type::ObjectTable | Type::ObjectView | Type::ObjectMatview | Type::ObjectForeignTable
            );
            let relation = alter.relation.as_ref().filter(|_| is_table)?;
            let object = names::relation(ObjectKind::Relation, relation);
            let message = format!(
                "whoever asks for {} fails: it stands in the schema {} from now on",
                object.named(),
                alter.newschema
            );
            Some((object, message))
        }
        _ => None,
    }
}
