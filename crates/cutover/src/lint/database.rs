//! What a database says to lint: what its tables hold, and what there is of row security, policies, views and functions. Read in
//! one snapshot, without a row of a table.

use cutover_analysis::own_schemas;
use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{Context, Name, ObjectKind, Prepared};
use cutover_analysis::lint::{Facts, Known, Security, Size};
use cutover_analysis::sql::{quote_ident, quote_literal, quote_qualified};
use cutover_postgres::session::{Failure, Session};
use cutover_postgres::sqlstate;

use super::{Found, Located, Which, look};
use crate::catalog::{self, Fields};
use crate::plan::build::Built;
use crate::plan::{UnitState, UnitSummary};
use crate::project::Project;

/// A row of a table that nobody has counted is taken to be so long: shorter ones are read all the faster.
const BYTES_A_ROW: u64 = 100;

/// Values that are stored out of line are pieces of this many to a page, each a row of its own: to write a table anew is to write them.
const PIECES_A_PAGE: u64 = 4;

/// Tables with what they hold, whether they have row security, options of views, and whether an extension brought it. `%SIZE%` is how
/// many pages its rows have, and `%OUTSIDE%` how many there are of values out of line, where that is asked: which waits for nobody, as it is not asked of what somebody has locked, or wants to.
const RELATIONS: &str = concat!(
    "
SELECT n.nspname, c.relname, c.relkind, c.reltuples::int8, c.relpages, %SIZE%, %OUTSIDE%, c.relrowsecurity,
       array_to_string(c.reloptions, E'\\n'),
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
   AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")"
);

const SIZE: &str = "CASE WHEN c.relkind IN ('r', 'm') AND NOT c.oid = ANY (ARRAY(
         SELECT l.relation FROM pg_locks l WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
            AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())))
       THEN pg_relation_size(c.oid) / current_setting('block_size')::int END";

const OUTSIDE: &str = "CASE WHEN c.relkind IN ('r', 'm') AND c.reltoastrelid <> 0 AND NOT ARRAY[c.oid, c.reltoastrelid] && ARRAY(
         SELECT l.relation FROM pg_locks l WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
            AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
       THEN pg_relation_size(c.reltoastrelid) / current_setting('block_size')::int END";

const POLICIES: &str = "
SELECT n.nspname, c.relname, p.polname, p.polpermissive, p.polcmd,
       CASE WHEN 0 = ANY (p.polroles) THEN '' ELSE
         (SELECT string_agg(quote_ident(r.rolname), ', ') FROM pg_roles r WHERE r.oid = ANY (p.polroles)) END,
       pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 ORDER BY p.polrelid, p.polname";

/// Functions and procedures. `%BODY%` is what they run, where that is asked.
const ROUTINES: &str = concat!(
    "
SELECT n.nspname, p.proname, p.prokind = 'p',
       coalesce((SELECT string_agg(format_type(t.type, NULL), ', ' ORDER BY t.n) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY t (type, n)), ''),
       p.prosecdef, (SELECT c.setting FROM unnest(p.proconfig) c (setting) WHERE c.setting LIKE 'search_path=%'), p.provolatile, l.lanname, p.prosrc = '', %BODY%
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
 WHERE p.prokind IN ('f', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')"
);

const TRANSITIONS: &str = "
SELECT t.name FROM pg_trigger g CROSS JOIN LATERAL (VALUES (g.tgoldtable), (g.tgnewtable)) t (name) WHERE t.name IS NOT NULL";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Also what functions run: for what they name.
    pub(crate) bodies: bool,
}

/// What a database says of itself.
pub(crate) struct Asked {
    /// For the rules.
    pub(crate) known: Known,
    /// Nothing is there that anybody could use or lose.
    pub(crate) is_empty: bool,
}

/// Asks a database. `context` is what is known of its tables; `session` begins as those of migrations do, so that names are looked for
/// where theirs are.
///
/// # Errors
/// As the server says.
pub(crate) async fn ask(session: &mut Session, mut context: Context, ask: Ask) -> Result<Asked, Failure> {
    let path = session.query("SELECT pg_catalog.current_schemas(false)::text[]", &[]).await?;
    context.search_path = path.first().map(|row| row.get(0)).unwrap_or_default();
    let server = session.server_version_num();
    let read = match rows(session, ask, [SIZE, OUTSIDE], POLICIES).await {
        // Somebody has locked what is asked about, and does not let go.
        Err(failure) if failure.code() == Some(sqlstate::LOCK_NOT_AVAILABLE) => {
            rows(session, ask, ["NULL"; 2], "SELECT LIMIT 0").await
        }
        read => read,
    };
    let [relations, policies, routines, transitions] = read?;
    let mut facts = Facts { server, ..Facts::default() };
    let mut security = Security::default();
    let mut is_empty = true;
    for row in relations {
        is_empty &= relation(row, &mut facts.sizes, &mut security);
    }
    let names = transitions.into_iter().map(|row| Fields::new(row).text().into());
    security.transition_tables.extend(names);
    let mut known = Known::new(context, facts).with_security(security);
    let statements = policies.into_iter().map(policy).chain(routines.into_iter().map(routine));
    for statement in statements {
        // What the server prints and is not understood is not known.
        let _ = known.before(Prepared::of(&statement));
    }
    Ok(Asked { known, is_empty })
}

async fn rows(
    session: &mut Session,
    ask: Ask,
    [size, outside]: [&str; 2],
    policies: &str,
) -> Result<[Vec<Vec<Option<String>>>; 4], Failure> {
    let relations = RELATIONS.replace("%SIZE%", size).replace("%OUTSIDE%", outside);
    let routines = ROUTINES.replace("%BODY%", if ask.bodies { "p.prosrc" } else { "NULL" });
    catalog::read_all(session, [&relations, policies, &routines, TRANSITIONS]).await
}

/// Reads what is said of a relation. Says whether an extension brought it.
fn relation(row: Vec<Option<String>>, sizes: &mut BTreeMap<Name, Size>, security: &mut Security) -> bool {
    let mut row = Fields::new(row);
    let name = Name { schema: row.text().into(), name: row.text().into() };
    let kind = row.text();
    let estimate = Estimate {
        rows: row.text().parse().unwrap_or(-1),
        pages: row.text().parse().unwrap_or(0),
        now: row.optional().and_then(|pages| pages.parse().ok()),
        outside: row.optional().and_then(|pages| pages.parse().ok()).unwrap_or(0),
    };
    let (guarded, options) = (row.flag(), row.text());
    match kind.as_str() {
        "r" | "m" => sizes.extend(estimate.size().map(|size| (name.clone(), size))),
        // All its rows are those of its partitions.
        "p" => sizes.extend([(name.clone(), Size::default())]),
        _ => {}
    }
    match kind.as_str() {
        "r" | "p" => security.tables.set(&name, guarded),
        "v" => {
            let options = options.lines().filter_map(|option| option.split_once('='));
            let options = options.map(|(option, value)| (option.into(), value.to_owned()));
            security.views.extend([(name, options.collect())]);
        }
        _ => {}
    }
    row.flag()
}

/// What is known of how much a table holds.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    /// How many rows there were when somebody counted; -1, or 0 before 14, where nobody has.
    rows: i64,
    /// How many pages there were then.
    pages: u64,
    /// How many there are now, where that is known.
    now: Option<u64>,
    /// How many pages of values there are out of line, where that is known.
    outside: u64,
}

impl Estimate {
    /// Only a table without a page is empty: what was counted may be long ago. Each page is taken to have a row, so that a table that
    /// was emptied once and is large is not small.
    ///
    /// The server estimates in the same way: what was counted a page, for as many pages as there are.
    fn size(self) -> Option<Size> {
        /// PostgreSQL's own, where nobody has built it otherwise.
        const PAGE: u64 = 8192;
        let is_counted = self.rows >= 0 && self.pages > 0;
        let pages = self.now.or(Some(self.pages).filter(|_| is_counted))?;
        if pages == 0 {
            return Some(Size::default());
        }
        let bytes = pages.saturating_mul(PAGE);
        let counted = u128::from(u64::try_from(self.rows).unwrap_or(0));
        let as_then = if is_counted { counted * u128::from(pages) / u128::from(self.pages) } else { 0 };
        let as_then = u64::try_from(as_then).unwrap_or(u64::MAX);
        // Of a table that has grown since, what was counted says little: one row in its first page, perhaps.
        let has_grown = !is_counted || pages > self.pages.saturating_mul(2);
        let by_bytes = if has_grown { bytes / BYTES_A_ROW } else { 0 };
        let pieces = self.outside.saturating_mul(PIECES_A_PAGE);
        let bytes = bytes.saturating_add(self.outside.saturating_mul(PAGE));
        Some(Size { rows: as_then.max(by_bytes).max(pages).max(pieces), bytes })
    }
}

/// A policy as a statement that would make it.
fn policy(row: Vec<Option<String>>) -> String {
    let mut row = Fields::new(row);
    let table = quote_qualified(&row.text(), &row.text());
    let name = quote_ident(&row.text());
    let kind = if row.flag() { "PERMISSIVE" } else { "RESTRICTIVE" };
    let command = match row.text().as_str() {
        "r" => "SELECT",
        "a" => "INSERT",
        "w" => "UPDATE",
        "d" => "DELETE",
        _ => "ALL",
    };
    let roles = Some(row.text()).filter(|roles| !roles.is_empty()).unwrap_or_else(|| "PUBLIC".to_owned());
    let using = row.optional().map_or_else(String::new, |condition| format!(" USING ({condition})"));
    let check = row.optional().map_or_else(String::new, |condition| format!(" WITH CHECK ({condition})"));
    format!("CREATE POLICY {name} ON {table} AS {kind} FOR {command} TO {roles}{using}{check}")
}

/// A routine as a statement that would make one like it, as far as rules ask.
fn routine(row: Vec<Option<String>>) -> String {
    let mut row = Fields::new(row);
    let name = quote_qualified(&row.text(), &row.text());
    let is_procedure = row.flag();
    let arguments = row.text();
    let definer = row.flag();
    let path = row.optional();
    let volatility = row.text();
    let (language, is_bound) = (row.text(), row.flag());
    let body = row.text();
    let kind = if is_procedure { "PROCEDURE" } else { "FUNCTION" };
    let returns = if is_procedure { "" } else { " RETURNS void" };
    // A body in SQL's own form has no text, and is bound to what it names.
    let language = if is_bound { "internal" } else { language.as_str() };
    let definer = if definer { " SECURITY DEFINER" } else { "" };
    // As far as rules ask: whether it is the same whoever runs it.
    let path = match path {
        Some(path) if path.contains("$user") => " SET search_path = \"$user\"",
        Some(_) => " SET search_path = ''",
        None => "",
    };
    let volatility = match volatility.as_str() {
        _ if is_procedure => "",
        "i" => " IMMUTABLE",
        "s" => " STABLE",
        _ => " VOLATILE",
    };
    let body = quote_literal(&body);
    let language = quote_ident(language);
    format!(
        "CREATE {kind} {name}({arguments}){returns} LANGUAGE {language}{volatility}{definer}{path} AS {body}"
    )
}

/// What would run, against what is there.
#[derive(Debug, Default)]
pub struct Pending {
    /// What was found.
    pub found: Found,
    /// Nothing is there that anybody could use or lose.
    pub is_new: bool,
}

/// Looks at what would run, as one run. `before` is what was known of the database's tables; `session` begins as those of migrations do.
///
/// # Errors
/// As the server says.
pub async fn pending(
    project: &Project,
    built: &Built,
    before: Context,
    session: &mut Session,
) -> Result<Pending, Failure> {
    let places: BTreeSet<usize> = built.pending().collect();
    if places.is_empty() {
        return Ok(Pending::default());
    }
    let Asked { known, is_empty } = ask(session, before, Ask { bodies: moves_anything(built) }).await?;
    let mut found = look(project, &Which::OneRun(places), Some(known));
    found.findings.retain(|finding| !is_done(built, finding));
    Ok(Pending { found, is_new: is_empty })
}

/// Whether anything is called otherwise afterwards, or gone: what functions name matters then.
fn moves_anything(built: &Built) -> bool {
    let scripts = built.pending().filter_map(|index| built.scripts.get(&index));
    scripts.flat_map(|script| &script.drops).any(|object| {
        matches!(object.kind.family(), ObjectKind::Relation | ObjectKind::Schema | ObjectKind::Routine)
    })
}

/// Whether it is about a part of a file that an earlier run has applied.
fn is_done(built: &Built, finding: &Located) -> bool {
    let is_in = |unit: &UnitSummary| {
        let lines = unit.lines.as_ref();
        unit.state == UnitState::Done
            && lines.is_some_and(|lines| (lines.first..=lines.last).contains(&finding.line))
    };
    let step = built.plan.steps.iter().find(|step| step.path == finding.path);
    step.is_some_and(|step| step.units.iter().any(is_in))
}

#[cfg(test)]
mod tests;
