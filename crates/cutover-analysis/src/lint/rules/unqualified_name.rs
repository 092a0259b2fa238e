//! Names without a schema.

use super::{Look, Rule, Watch};
use crate::effects::{ObjectKind, ObjectRef};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "unqualified-name",
        severity: Severity::Warning,
        on: false,
        why: "What a name without a schema means is decided by the search path of whoever runs the migration.",
        safe: "write the schema before the name",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE TABLE users (id bigint);"),
            Example::of("ALTER TABLE users ADD COLUMN a int;"),
            Example::of("INSERT INTO app.a SELECT * FROM b;"),
            Example::of("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"),
            Example::of("DROP INDEX i;"),
            Example::of("CREATE TYPE mood AS ENUM ('a');"),
        ],
        good: &[
            Example::of("CREATE TABLE app.users (id bigint);"),
            Example::of("CREATE INDEX i ON app.users (id);"),
            Example::of("SET search_path = app; CREATE TABLE users (id bigint);"),
            Example::of("CREATE TEMP TABLE t (n int); INSERT INTO t VALUES (1);"),
            Example::of("WITH t AS (SELECT 1) INSERT INTO app.a SELECT * FROM t;"),
            Example::of("SELECT now();"),
            Example::of("CREATE SCHEMA app;"),
            Example::of("CREATE EXTENSION pgcrypto;"),
            Example::of("ALTER TABLE app.users ADD CONSTRAINT c CHECK (a > 0);"),
            Example::of("CREATE TRIGGER g BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.f();"),
        ],
    },
    look: Look::File(|| Box::new(Unqualified::default())),
};

/// Whether the file says where names are looked for.
#[derive(Default)]
struct Unqualified {
    said: bool,
}

impl Watch for Unqualified {
    fn statement(&mut self, site: &Site<'_>, found: &mut Found<'_>) {
        let effects = site.effects;
        self.said |= effects.sets_search_path;
        if self.said {
            return;
        }
        let is_open = |object: &&ObjectRef| {
            object.schema.is_none() && !object.name.is_empty() && !site.is_temporary(object)
        };
        // An index is made in the schema of its table.
        let made = effects
            .creates
            .iter()
            .filter(|object| is_placed(object.kind) && object.kind != ObjectKind::Index);
        let others = [&effects.alters, &effects.drops, &effects.writes, &effects.reads].into_iter().flatten();
        let others = others.filter(|object| object.kind.family() == ObjectKind::Relation);
        if let Some(object) = made.chain(others).find(is_open) {
            found.say(format!("which {object} is meant is decided by the search path"));
        }
    }
}

/// Whether objects of this kind stand in schemas of their own.
fn is_placed(kind: ObjectKind) -> bool {
    matches!(kind.family(), ObjectKind::Relation | ObjectKind::Type | ObjectKind::Routine)
}
