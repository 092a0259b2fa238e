//! What belongs to no schema: roles, what they are members of and have set, what is granted on databases and the like. It is read to
//! be compared; and what of it belongs to the whole server is given back what it was behind each pass, as it would be in the way of
//! the next one, or stay on a server that is not ours.

use std::collections::BTreeSet;

use cutover_analysis::effects::ObjectKind;
use cutover_postgres::session::{Failure, Session, Startup};

use super::error::RehearseError;
use crate::migration::Migration;
use crate::project::Project;
use crate::script::Script;
use crate::verify::sandbox::Scratch;

/// Something that is so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    /// What needs others comes behind them.
    rank: u8,
    /// Whose it is, e.g. `role r`; empty for the database at hand, which goes by itself.
    whose: String,
    /// In words.
    words: String,
    /// Object number of a role.
    oid: String,
    /// What makes it so, and what takes it away; nothing where that is not known.
    make: String,
    take: String,
}

impl Line {
    /// What is compared: a role that was made again is the same.
    fn is(&self, other: &Self) -> bool {
        self.words == other.words && self.make == other.make
    }
}

/// What of a server concerns a rehearsal.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// What migrations name in their statements, as [`Line::whose`] has it; `None` on a server of our own, where it is everything.
    /// Others may change what is on another one meanwhile.
    named: Option<BTreeSet<String>>,
}

/// What is there beside the schemas.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside(Vec<Line>);

impl Beside {
    /// What is otherwise, in words, the first ones.
    pub(super) fn differences(&self, now: &Self) -> Vec<String> {
        // More rows than before are not counted: rows are not compared.
        let gone =
            self.0.iter().filter(|line| !now.has(line)).map(|line| format!("not any more: {}", line.words));
        let new = now.0.iter().filter(|line| !self.has(line) && !line.words.starts_with(ROWS));
        gone.chain(new.map(|line| format!("there now: {}", line.words))).collect()
    }

    fn has(&self, line: &Line) -> bool {
        self.0.iter().any(|other| other.words == line.words)
    }
}

/// How the words on a materialized view that can be read begin.
const ROWS: &str = "the rows of materialized view ";

impl Around {
    pub(super) fn of(project: &Project, migrations: &[&Migration], scratch: &Scratch) -> Self {
        let word = |kind| match kind {
            ObjectKind::Role => Some("role"),
            ObjectKind::Database => Some("database"),
            ObjectKind::Tablespace => Some("tablespace"),
            _ => None,
        };
        let named = (!scratch.own_server).then(|| {
            let scripts = migrations.iter().map(|migration| Script::analyse(migration, &project.vars));
            let objects = scripts.flat_map(|script| [script.creates, script.alters, script.drops].concat());
            objects.filter_map(|object| Some(format!("{} {}", word(object.kind)?, object.name))).collect()
        });
        Self { named }
    }

    /// Whether nothing of the server as a whole is named, and so there is nothing to give back.
    fn is_nothing(&self) -> bool {
        self.named.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// What is there, as a session of a superuser sees it in its database.
    pub(super) async fn read(&self, session: &mut Session) -> Result<Beside, Failure> {
        let text = query(session.server_version_num(), self.named.is_none());
        let rows = session.query_text(&text).await?.rows;
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            let mut fields = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || fields.next().unwrap_or_default();
            let (rank, whose, words, oid, make, take) = (next(), next(), next(), next(), next(), next());
            let is_meant = whose.is_empty() || self.named.as_ref().is_none_or(|named| named.contains(&whose));
            if is_meant {
                lines.push(Line { rank: rank.parse().unwrap_or_default(), whose, words, oid, make, take });
            }
        }
        lines.sort();
        lines.dedup();
        Ok(Beside(lines))
    }
}

/// What belongs to the whole server, before the first pass.
pub(super) struct Shared {
    pub(super) around: Around,
    before: Beside,
}

impl Shared {
    /// Reads it.
    pub(super) async fn before(
        project: &Project,
        migrations: &[&Migration],
        scratch: &Scratch,
    ) -> Result<Self, RehearseError> {
        let around = Around::of(project, migrations, scratch);
        if around.is_nothing() {
            return Ok(Self { around, before: Beside::default() });
        }
        let mut session = Session::connect(&scratch.maintenance, &Startup::default()).await?;
        let before = around.read(&mut session).await;
        session.close().await;
        Ok(Self { around, before: before? })
    }

    /// Gives it back what it was. Says in words what could not be. The databases of the pass are gone.
    pub(super) async fn take_back(&self, scratch: &Scratch) -> Result<Vec<String>, RehearseError> {
        if self.around.is_nothing() {
            return Ok(Vec::new());
        }
        let mut session = Session::connect(&scratch.maintenance, &Startup::default()).await?;
        let left = self.restored(&mut session).await;
        session.close().await;
        Ok(left?)
    }

    async fn restored(&self, session: &mut Session) -> Result<Vec<String>, Failure> {
        let mut now = self.around.read(session).await?;
        let is_shared = |line: &&Line| !line.whose.is_empty();
        let before = || self.before.0.iter().filter(is_shared);
        for (old, new) in before().flat_map(|old| now.0.iter().map(move |new| (old, new))) {
            if !old.oid.is_empty() && old.oid == new.oid && old.whose != new.whose {
                let name = |line: &Line| line.make.replacen("CREATE ROLE ", "", 1);
                attempt(session, &format!("ALTER ROLE {} RENAME TO {}", name(new), name(old))).await?;
            }
        }
        // What needs others is in their way: again, until nothing moves any more.
        let mut count = usize::MAX;
        loop {
            now = self.around.read(session).await?;
            let gone: Vec<&Line> =
                before().filter(|line| !now.0.iter().any(|other| other.is(line))).collect();
            let new: Vec<&Line> =
                now.0.iter().filter(is_shared).filter(|line| !before().any(|other| other.is(line))).collect();
            if gone.is_empty() && new.is_empty() {
                return Ok(Vec::new());
            }
            if gone.len() + new.len() >= count {
                let left = gone.iter().chain(&new).map(|line| line.words.clone());
                return Ok(left.collect());
            }
            count = gone.len() + new.len();
            for line in new.iter().rev().filter(|line| !line.take.is_empty()) {
                attempt(session, &line.take).await?;
            }
            for line in gone.iter().filter(|line| !line.make.is_empty()) {
                attempt(session, &line.make).await?;
            }
        }
    }
}

/// What fails is seen in what is left.
async fn attempt(session: &mut Session, text: &str) -> Result<(), Failure> {
    for part in text.split('\u{1f}') {
        match session.execute(part).await {
            Err(failure @ Failure::Lost(_)) => return Err(failure),
            Err(failure) => tracing::debug!(%failure, "left on the server"),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// The text that reads it all: rank, whose, words, number, and what makes and takes it (parts of it with U+001F between). Passwords,
/// as hashes, only on a server of our own, which has none but ours.
fn query(server: u32, is_own: bool) -> String {
    let membership = if server >= 160_000 {
        "format(' WITH ADMIN %s, INHERIT %s, SET %s', a.admin_option, a.inherit_option, a.set_option), format(' GRANTED BY %I', pg_catalog.pg_get_userbyid(a.grantor))"
    } else {
        "CASE WHEN a.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END, ''::pg_catalog.text"
    };
    let mut parts =
        vec![ROLES.to_owned(), MEMBERS.replace("{options}", membership), SERVER.to_owned(), HERE.to_owned()];
    if server >= 150_000 {
        parts.push(PARAMETERS.to_owned());
    }
    if is_own {
        parts.push(OWN.to_owned());
    }
    parts.join(" UNION ALL ")
}

const ROLES: &str = r"
SELECT 1 AS rank, 'role ' || r.rolname AS whose, format('role %I', r.rolname) AS words, r.oid::pg_catalog.text AS number,
       format('CREATE ROLE %I', r.rolname) AS make, format(E'DROP OWNED BY %1$I\x1fDROP ROLE %1$I', r.rolname) AS take
  FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_'
UNION ALL
SELECT 2, 'role ' || r.rolname, format('role %I is %s', r.rolname, a.yes), '', format('ALTER ROLE %I %s', r.rolname, a.yes),
       format('ALTER ROLE %I %s', r.rolname, a.no)
  FROM pg_catalog.pg_roles r CROSS JOIN LATERAL (VALUES
       (r.rolsuper, 'SUPERUSER', 'NOSUPERUSER'), (NOT r.rolinherit, 'NOINHERIT', 'INHERIT'), (r.rolcreaterole, 'CREATEROLE', 'NOCREATEROLE'),
       (r.rolcreatedb, 'CREATEDB', 'NOCREATEDB'), (r.rolbypassrls, 'BYPASSRLS', 'NOBYPASSRLS'),
       (r.rolreplication, 'REPLICATION', 'NOREPLICATION'), (r.rolcanlogin, 'LOGIN', 'NOLOGIN'),
       (r.rolconnlimit <> -1, format('CONNECTION LIMIT %s', r.rolconnlimit), 'CONNECTION LIMIT -1'),
       (r.rolvaliduntil < 'infinity', format('VALID UNTIL %L', r.rolvaliduntil), 'VALID UNTIL ''infinity''')) a (has, yes, no)
 WHERE r.rolname !~ '^pg_' AND a.has";

const MEMBERS: &str = r"
SELECT 3, 'role ' || m.rolname, format('role %I is a member of %I%s', m.rolname, g.rolname, o.options), '',
       format('GRANT %I TO %I%s%s', g.rolname, m.rolname, o.options, o.by), format('REVOKE %I FROM %I%s', g.rolname, m.rolname, o.by)
  FROM pg_catalog.pg_auth_members a
  JOIN pg_catalog.pg_roles g ON g.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
 CROSS JOIN LATERAL (SELECT {options}) o (options, by)";

const SERVER: &str = r"
SELECT 4, CASE WHEN d.setrole = 0 THEN 'server' ELSE 'role ' || pg_catalog.pg_get_userbyid(d.setrole) END,
       format('setting of %s: %s', w.role, s.line), '',
       format(E'SELECT pg_catalog.set_config(%L, %L, false)\x1fALTER ROLE %s SET %I FROM CURRENT\x1fRESET %I', n.name, n.value, w.role, n.name, n.name),
       format('ALTER ROLE %s RESET %I', w.role, n.name)
  FROM pg_catalog.pg_db_role_setting d CROSS JOIN LATERAL pg_catalog.unnest(d.setconfig) s (line)
 CROSS JOIN LATERAL (SELECT split_part(s.line, '=', 1), substr(s.line, strpos(s.line, '=') + 1)) n (name, value)
 CROSS JOIN LATERAL (SELECT CASE WHEN d.setrole = 0 THEN 'ALL' ELSE quote_ident(pg_catalog.pg_get_userbyid(d.setrole)) END) w (role)
 WHERE d.setdatabase = 0
UNION ALL
SELECT 5, 'role ' || CASE WHEN x.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(x.grantee) END,
       format('%s on tablespace %I for %s%s', x.privilege_type, t.spcname, w.who, w.option), '',
       format('GRANT %s ON TABLESPACE %I TO %s%s', x.privilege_type, t.spcname, w.who, w.option),
       format('REVOKE %s ON TABLESPACE %I FROM %s', x.privilege_type, t.spcname, w.who)
  FROM pg_catalog.pg_tablespace t CROSS JOIN LATERAL pg_catalog.aclexplode(t.spcacl) x
 CROSS JOIN LATERAL (SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END,
                            CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) w (who, option)
UNION ALL
SELECT 1, 'tablespace ' || t.spcname, format('tablespace %I', t.spcname), '', '', format('DROP TABLESPACE %I', t.spcname)
  FROM pg_catalog.pg_tablespace t WHERE t.spcname !~ '^pg_'
UNION ALL
SELECT 9, 'database ' || d.datname, format('database %I', d.datname), '', '', format('DROP DATABASE %I', d.datname)
  FROM pg_catalog.pg_database d WHERE d.datname !~ '^cutover_scratch_'
UNION ALL
SELECT 6, 'role ' || r.rolname, format('comment on role %I: %s', r.rolname, d.description), '',
       format('COMMENT ON ROLE %I IS %L', r.rolname, d.description), format('COMMENT ON ROLE %I IS NULL', r.rolname)
  FROM pg_catalog.pg_shdescription d JOIN pg_catalog.pg_roles r ON r.oid = d.objoid
 WHERE d.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass";

const PARAMETERS: &str = r"
SELECT 5, 'role ' || CASE WHEN x.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(x.grantee) END,
       format('%s on parameter %s for %s%s', x.privilege_type, p.parname, w.who, w.option), '',
       format('GRANT %s ON PARAMETER %s TO %s%s', x.privilege_type, p.parname, w.who, w.option),
       format('REVOKE %s ON PARAMETER %s FROM %s', x.privilege_type, p.parname, w.who)
  FROM pg_catalog.pg_parameter_acl p CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) x
 CROSS JOIN LATERAL (SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END,
                            CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) w (who, option)";

/// What goes with the database.
const HERE: &str = r"
SELECT 0, '', format('owner of the database: %I', pg_catalog.pg_get_userbyid(d.datdba)), '', '', ''
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT 0, '', format('connection limit of the database: %s', d.datconnlimit), '', '', ''
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database() AND d.datconnlimit <> -1
UNION ALL
SELECT 0, '', format('%s on the database for %s%s', x.privilege_type,
                     CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END,
                     CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END), '', '', ''
  FROM pg_catalog.pg_database d
 CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) x
 WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT 0, '', format('%s on language %I for %s', x.privilege_type, l.lanname,
                     CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END), '', '', ''
  FROM pg_catalog.pg_language l
 CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(l.lanacl, pg_catalog.acldefault('l', l.lanowner))) x WHERE l.oid < 16384
UNION ALL
SELECT 0, '', format('setting of the database%s: %s',
                     CASE WHEN d.setrole = 0 THEN '' ELSE ' for role ' || quote_ident(pg_catalog.pg_get_userbyid(d.setrole)) END, s.line), '', '', ''
  FROM pg_catalog.pg_db_role_setting d CROSS JOIN LATERAL pg_catalog.unnest(d.setconfig) s (line)
 WHERE d.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
UNION ALL
SELECT 0, '', format('comment on the database: %s', c.description), '', '', ''
  FROM pg_catalog.pg_shdescription c JOIN pg_catalog.pg_database d ON d.oid = c.objoid
 WHERE c.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass AND d.datname = pg_catalog.current_database()
UNION ALL
SELECT 0, '', format('the rows of materialized view %I.%I', n.nspname, c.relname), '', '', ''
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated
UNION ALL
SELECT 0, '', format('privileges on %s: %s', c.oid::pg_catalog.regclass, c.relacl), '', '', ''
  FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_init_privs i
    ON i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.objoid = c.oid AND i.objsubid = 0
 WHERE c.oid < 16384 AND c.relacl IS NOT NULL AND c.relacl::pg_catalog.text IS DISTINCT FROM i.initprivs::pg_catalog.text
UNION ALL
SELECT 0, '', format('privileges on function %s: %s', p.oid::pg_catalog.regprocedure, p.proacl), '', '', ''
  FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_init_privs i
    ON i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objoid = p.oid AND i.objsubid = 0
 WHERE p.oid < 16384 AND p.proacl IS NOT NULL AND p.proacl::pg_catalog.text IS DISTINCT FROM i.initprivs::pg_catalog.text
UNION ALL
SELECT 0, '', format('large objects: %s', count(*)), '', '', '' FROM pg_catalog.pg_largeobject_metadata";

const OWN: &str = r"
SELECT 2, 'role ' || r.rolname, format('password of role %I', r.rolname), '', format('ALTER ROLE %I PASSWORD %L', r.rolname, r.rolpassword),
       format('ALTER ROLE %I PASSWORD NULL', r.rolname)
  FROM pg_catalog.pg_authid r WHERE r.rolpassword IS NOT NULL
UNION ALL
SELECT 7, 'server', format('ALTER SYSTEM SET %s = %L', f.name, f.setting), '', format('ALTER SYSTEM SET %I TO %L', f.name, f.setting),
       format('ALTER SYSTEM RESET %I', f.name)
  FROM pg_catalog.pg_file_settings f WHERE f.sourcefile ~ 'postgresql\.auto\.conf$'";
