//! What pending migrations stand on before the first of them runs, where names and extensions are concerned: the schemas
//! that names without one lead to, and the extensions that are there.

use std::collections::BTreeSet;

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::sql::identifier_list;
use cutover_postgres::session::{Failure, Session};

use super::build::Built;
use crate::script::{New, Script};

/// What stands in a search path for the name of the role.
const USER: &str = "$user";

/// PostgreSQL's own extensions, by name. Their scripts make the members of the extension, and change and drop nothing else;
/// procedural languages are left out. A test makes each of them that the server has.
const POSTGRESQLS_OWN: [&str; 47] = [
    "adminpack",
    "amcheck",
    "autoinc",
    "bloom",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dblink",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "file_fdw",
    "fuzzystrmatch",
    "hstore",
    "insert_username",
    "intagg",
    "intarray",
    "isn",
    "lo",
    "ltree",
    "moddatetime",
    "old_snapshot",
    "pageinspect",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_logicalinspect",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_surgery",
    "pg_trgm",
    "pg_visibility",
    "pg_walinspect",
    "pgcrypto",
    "pgrowlocks",
    "pgstattuple",
    "postgres_fdw",
    "refint",
    "seg",
    "sslinfo",
    "tablefunc",
    "tcn",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "xml2",
];

/// What runs where a migration creates an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// Nothing: it is there. Where that is no error of the statement, nothing happens at all.
    Nothing,
    /// A script of PostgreSQL's own: what was there stays, and there is more.
    Own,
    /// A script that nobody has read.
    Unread,
}

/// What was found of it.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// A database was asked.
    asked: bool,
    /// Schemas of the search path that exist, in order, without implicit ones.
    schemas: Vec<String>,
    /// All of the search path as it is set, with the role's name.
    path: Vec<String>,
    /// Extensions that are there and that no pending migration drops.
    extensions: BTreeSet<String>,
}

impl Ground {
    /// Asks the database. `session` must have the search path the migrations will run with.
    ///
    /// # Errors
    /// As the server says.
    pub(super) async fn ask(built: &Built, session: &mut Session) -> Result<Self, Failure> {
        let ask = "SELECT pg_catalog.current_schemas(false)::text[], pg_catalog.current_setting('search_path'), current_user::text,
                          ARRAY(SELECT extname::text FROM pg_catalog.pg_extension)";
        let rows = session.query(ask, &[]).await?;
        let Some(row) = rows.first() else { return Ok(Self::default()) };
        let (path, role): (String, String) = (row.get(1), row.get(2));
        let mut path = identifier_list(&path);
        path.iter_mut().filter(|schema| *schema == USER).for_each(|schema| schema.clone_from(&role));
        let mut extensions: BTreeSet<String> = row.get::<_, Vec<String>>(3).into_iter().collect();
        let scripts = built.pending().filter_map(|index| built.scripts.get(&index));
        let dropped = scripts.flat_map(|script| &script.drops);
        for object in dropped.filter(|object| object.kind == ObjectKind::Extension) {
            extensions.remove(object.name.as_str());
        }
        Ok(Self { asked: true, schemas: row.get(0), path, extensions })
    }

    /// What runs where an extension is created.
    pub(super) fn runs(&self, extension: &str) -> Runs {
        match extension {
            _ if self.extensions.contains(extension) => Runs::Nothing,
            _ if POSTGRESQLS_OWN.contains(&extension) => Runs::Own,
            _ => Runs::Unread,
        }
    }

    /// How many of what a script makes (or more) are made before it may run code that nobody has read; `None` for all, where
    /// it runs none. `harmless` says which extensions run none.
    pub(super) fn known_news(&self, script: &Script, harmless: impl Fn(Runs) -> bool) -> Option<usize> {
        let runs_code = |new: &New| {
            new.object.kind == ObjectKind::Extension && !harmless(self.runs(new.object.name.as_str()))
        };
        let extension = script.news.iter().position(runs_code).map(|at| at + 1);
        extension.or_else(|| script.unread.then_some(usize::MAX))
    }

    /// Whether names without a schema may lead elsewhere once this script has run: one in the search path comes or goes.
    pub(super) fn is_moved_by(&self, script: &Script) -> bool {
        let schemas = |objects: &[ObjectRef], moves: &dyn Fn(&str) -> bool| {
            objects.iter().any(|object| object.kind == ObjectKind::Schema && moves(object.name.as_str()))
        };
        let named = |schema: &str| !self.asked || self.path.iter().any(|name| name == schema);
        let comes = |schema: &str| named(schema) && !self.schemas.iter().any(|there| there == schema);
        schemas(&script.creates, &comes) || schemas(&script.drops, &named)
    }

    /// The schema that something new is in, where that is certain while nothing [moves](Self::is_moved_by) the names; empty
    /// for what is in none, and for the one that nobody has asked for.
    pub(super) fn schema_of<'a>(&'a self, object: &'a ObjectRef) -> Option<&'a str> {
        let first = self.schemas.first().map(String::as_str);
        match (&object.schema, object.kind) {
            (_, ObjectKind::Schema | ObjectKind::Extension) => Some(""),
            (Some(schema), _) => Some(schema),
            (None, ObjectKind::Index) if self.asked => first.filter(|_| self.schemas.len() == 1),
            (None, _) if self.asked => first,
            (None, _) => Some(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::database;

    use super::*;

    /// Everything that is not the server's own, in words, but for what belongs to an extension.
    const OBJECTS: &str = "SELECT coalesce(string_agg(d::text, ' ' ORDER BY d::text), '') FROM
          (SELECT 'class', oid, relname, relnamespace, relkind, relowner FROM pg_class
           UNION ALL SELECT 'type', oid, typname, typnamespace, typtype, typowner FROM pg_type
           UNION ALL SELECT 'proc', oid, proname, pronamespace, prokind, proowner FROM pg_proc
           UNION ALL SELECT 'schema', oid, nspname, oid, 's', nspowner FROM pg_namespace) d (what, oid, name, schema, kind, owner)
        WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = oid AND deptype = 'e')
          AND NOT EXISTS (SELECT FROM pg_type t JOIN pg_depend p ON p.objid IN (t.oid, t.typelem, t.typrelid) AND p.deptype = 'e'
                           WHERE t.oid = d.oid OR t.typrelid = d.oid OR t.typarray = d.oid)";

    /// What is counted as PostgreSQL's own leaves what was there, and makes nothing but its members.
    #[test]
    fn extensions_of_postgresql_touch_nothing_else() {
        let available = database().value("SELECT string_agg(name, ' ') FROM pg_available_extensions");
        let mut made = 0;
        for extension in available.split_whitespace().filter(|name| POSTGRESQLS_OWN.contains(name)) {
            let database = database();
            database.run(
                "CREATE SCHEMA s; CREATE TABLE s.t (n serial PRIMARY KEY); CREATE VIEW v AS SELECT n FROM s.t;
                 CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN whole AS int;
                 CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            );
            let before = database.value(OBJECTS);
            database.run(&format!("CREATE EXTENSION \"{extension}\" CASCADE"));
            assert_eq!(database.value(OBJECTS), before, "{extension}");
            made += 1;
        }
        assert!(made > 30, "{available}");
    }
}
