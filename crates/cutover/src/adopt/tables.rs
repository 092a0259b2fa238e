//! Tables of other tools in a database: found by their names and columns in every schema, and read. Nothing is written.

use cutover_analysis::own_schemas;
use std::collections::BTreeMap;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Schema};
use cutover_analysis::sql::quote_ident;
use cutover_postgres::session::{Failure, Session};

use super::AdoptError;
use super::tools::{self, State, Tool};
use crate::project::Project;
use crate::text::{known_list, visible};

/// A table of another tool.
#[derive(Debug, Clone, Copy)]
pub struct Kind(pub(crate) &'static dyn Tool);

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}
impl Eq for Kind {}

/// Where the table of another tool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlace {
    /// Whose it is.
    pub tool: Kind,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Columns of text with their types as they are there: versions of a tool differ in them.
    pub(crate) types: Vec<(String, String)>,
}

impl TablePlace {
    /// As SQL names it.
    pub fn sql(&self) -> String {
        tools::qualified(&self.schema, &self.table)
    }

    /// As people know it.
    pub fn name(&self) -> String {
        visible(&format!("{}.{}", self.schema, self.table))
    }

    /// What the tool is called.
    pub fn called(&self) -> &'static str {
        self.tool.0.about().called
    }

    /// The statements that make it as its tool does.
    pub(crate) fn make(&self) -> Vec<String> {
        let mut statements = self.tool.0.make(&self.schema, &self.table);
        statements.extend(self.types.iter().map(|(column, type_name)| {
            format!("ALTER TABLE {} ALTER COLUMN {} TYPE {type_name}", self.sql(), quote_ident(column))
        }));
        statements
    }

    /// Whether it is the same table.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (&self.tool, &self.schema, &self.table) == (&other.tool, &other.schema, &other.table)
    }

    /// Looks up the types that its columns have there.
    ///
    /// # Errors
    /// As the server says.
    pub(crate) async fn learn_types(&mut self, session: &mut Session) -> Result<(), Failure> {
        let columns: Vec<&str> = self.tool.0.columns().iter().map(|(name, _)| *name).collect();
        let ask = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
                    WHERE attrelid = pg_catalog.to_regclass($1::text) AND attname = ANY ($2::text[]) AND NOT attisdropped
                      AND atttypid IN ('text'::regtype, 'varchar'::regtype) ORDER BY attnum";
        let rows = session.query(ask, &[&self.sql(), &columns]).await?;
        self.types = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(())
    }

    /// Takes what belongs to the tool out of a schema.
    pub(crate) fn take_from(&self, schema: &mut Schema) {
        schema.objects.retain(|id, _| !self.is_its_own(id));
    }

    fn is_its_own(&self, id: &Id) -> bool {
        let in_schema = id.schema.as_deref() == Some(self.schema.as_str());
        if self.tool.0.owns_schema() && self.schema != "public" {
            return in_schema || (id.kind == ObjectKind::Schema && id.name == self.schema);
        }
        let along = |table: &str| {
            let follows = matches!(id.kind, ObjectKind::Index | ObjectKind::Sequence);
            id.name == table
                || id.table.as_deref() == Some(table)
                || (follows && id.name.strip_prefix(table).is_some_and(|rest| rest.starts_with('_')))
        };
        in_schema && (along(&self.table) || self.tool.0.others().iter().any(|other| along(other)))
    }
}

/// A row of another tool's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// What names its file; none where it is nothing that its tool writes.
    pub key: Option<String>,
    /// As people know it there.
    pub label: String,
    /// What the tool kept of the text.
    pub checksum: Option<String>,
    /// When it was applied, microseconds since the Unix epoch.
    pub at_micros: Option<i64>,
    /// What became of it.
    pub state: State,
}

/// Every table, or view of one that is kept elsewhere, that has the name of one of theirs, or the one that is named, with its columns, what is beside it in its schema,
/// and whether it may be read.
const LOOK: &str = concat!(
    "
SELECT n.nspname::text, c.relname::text,
       coalesce((SELECT string_agg(a.attname || chr(31) || format_type(a.atttypid, NULL), chr(30) ORDER BY a.attnum)
                   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), ''),
       coalesce((SELECT string_agg(o.relname::text, chr(30)) FROM pg_class o
                  WHERE o.relnamespace = n.oid AND o.relkind IN ('r', 'p')
                    AND o.relname IN ('ar_internal_metadata', 'events', 'projects', 'tags')), ''),
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
       current_user::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")
   AND (CASE WHEN $2::text IS NULL THEN c.relname = ANY ($1::text[])
             ELSE c.relname = $2 AND ($3::text IS NULL OR n.nspname = $3) END)
 ORDER BY 1, 2"
);

/// What is found under a name.
struct Candidate {
    place: TablePlace,
    readable: bool,
    role: String,
}

impl Candidate {
    /// Whether its tool has files like those of the project.
    fn fits(&self, project: &Project) -> bool {
        let conventions = self.place.tool.0.conventions();
        project.roots.iter().any(|root| conventions.contains(&root.convention.name()))
    }
}

/// Whether there is any table, readable or not, of a tool whose files are like those of the project.
///
/// # Errors
/// As the server says.
pub(crate) async fn is_any_for(session: &mut Session, project: &Project) -> Result<bool, Failure> {
    Ok(candidates(session, None).await?.iter().any(|candidate| candidate.fits(project)))
}

/// The table to adopt from: the one that is named (`table` or `schema.table`), or the only one there is; of several the one
/// whose tool has files like those of the project. Gives what else was found, as remarks.
///
/// # Errors
/// [`AdoptError::NoTable`], [`AdoptError::SeveralTables`], [`AdoptError::Unreadable`], or as the server says.
pub(crate) async fn find(
    session: &mut Session,
    project: &Project,
    named: Option<&str>,
) -> Result<(TablePlace, Vec<String>), AdoptError> {
    let mut found = candidates(session, named).await?;
    let fits = |candidate: &Candidate| candidate.fits(project);
    let own = |candidate: &Candidate| {
        let first = candidate.place.tool.0.conventions().first();
        project.roots.iter().any(|root| first == Some(&root.convention.name()))
    };
    let mut remarks = Vec::new();
    if found.len() > 1 {
        let chosen = [&own as &dyn Fn(&Candidate) -> bool, &fits]
            .into_iter()
            .map(|which| found.iter().enumerate().filter(|(_, one)| which(one)).map(|(at, _)| at).collect())
            .find(|fitting: &Vec<usize>| fitting.len() == 1);
        let Some([chosen]) = chosen.as_deref() else {
            return Err(AdoptError::SeveralTables(found.iter().map(|one| told(&one.place)).collect()));
        };
        let candidate = found.swap_remove(*chosen);
        for other in &found {
            remarks.push(format!(
                "there is {} too, which the files of this project are not for; --from names another table",
                told(&other.place)
            ));
        }
        found = vec![candidate];
    }
    let Some(Candidate { mut place, readable, role }) = found.pop() else {
        return Err(no_table(session, named).await?);
    };
    if !readable {
        return Err(AdoptError::Unreadable {
            table: place.name(),
            role: visible(&role),
            grant: format!(
                "GRANT USAGE ON SCHEMA {} TO {role}; GRANT SELECT ON {} TO {role}",
                quote_ident(&place.schema),
                if place.tool.0.owns_schema() {
                    format!("ALL TABLES IN SCHEMA {}", quote_ident(&place.schema))
                } else {
                    place.sql()
                },
                role = quote_ident(&role),
            ),
        });
    }
    place.learn_types(session).await?;
    Ok((place, remarks))
}

fn told(place: &TablePlace) -> String {
    format!("{} of {}", place.name(), place.called())
}

async fn candidates(session: &mut Session, named: Option<&str>) -> Result<Vec<Candidate>, Failure> {
    let usual: Vec<&str> = tools::all().iter().flat_map(|tool| tool.tables()).copied().collect();
    let (schema, table) = match named {
        Some(named) => match named.split_once('.') {
            Some((schema, table)) => (Some(schema), Some(table)),
            None => (None, Some(named)),
        },
        None => (None, None),
    };
    let rows = session.query(LOOK, &[&usual, &table, &schema]).await?;
    let mut found = Vec::new();
    for row in &rows {
        let (schema, table): (String, String) = (row.get(0), row.get(1));
        let columns: BTreeMap<&str, &str> =
            row.get::<_, &str>(2).split('\u{1e}').filter_map(|one| one.split_once('\u{1f}')).collect();
        let beside: Vec<String> = row.get::<_, &str>(3).split('\u{1e}').map(str::to_owned).collect();
        let is_of = |tool: &&&dyn Tool| {
            let has_all = tool
                .columns()
                .iter()
                .all(|(name, family)| columns.get(name).is_some_and(|found| family.has(found)));
            let called_so = named.is_some() || tool.tables().contains(&table.as_str());
            has_all && called_so && tool.is_own(&schema, &beside)
        };
        if let Some(tool) = tools::all().iter().find(is_of) {
            let place = TablePlace { tool: Kind(*tool), schema, table, types: Vec::new() };
            found.push(Candidate { place, readable: row.get(4), role: row.get(5) });
        }
    }
    Ok(found)
}

/// Why there is nothing to adopt from: also a table that has the right name and other columns.
async fn no_table(session: &mut Session, named: Option<&str>) -> Result<AdoptError, Failure> {
    let usual: Vec<&str> = tools::all().iter().flat_map(|tool| tool.tables()).copied().collect();
    let (schema, table) = match named.map(|named| named.split_once('.').unwrap_or(("", named))) {
        Some((schema, table)) => (Some(schema).filter(|schema| !schema.is_empty()), Some(table)),
        None => (None, None),
    };
    let rows = session.query(LOOK, &[&usual, &table, &schema]).await?;
    let other: Vec<String> =
        rows.iter().map(|row| format!("{}.{}", row.get::<_, &str>(0), row.get::<_, &str>(1))).collect();
    Ok(AdoptError::NoTable {
        named: named.map(visible),
        other: if other.is_empty() { None } else { Some(known_list(other.iter().map(String::as_str))) },
    })
}

/// Reads the table.
///
/// # Errors
/// [`AdoptError::NotAsked`] where the project does not say what to ask for, or as the server says.
pub(crate) async fn rows(
    session: &mut Session,
    project: &Project,
    place: &TablePlace,
) -> Result<Vec<Row>, AdoptError> {
    let tool = place.tool.0;
    let query = tool.rows(&place.sql(), project).map_err(AdoptError::NotAsked)?;
    // A policy would hide rows: that is an error instead.
    session.execute("SET row_security = off").await?;
    let rows = session.query(&query, &[]).await;
    let _ = session.execute("RESET row_security").await;
    let rows = rows?;
    let mut read = Vec::with_capacity(rows.len());
    for row in &rows {
        let key: Option<String> = row.get(0);
        let label: Option<String> = row.get(1);
        read.push(Row {
            label: label.or_else(|| key.clone()).unwrap_or_else(|| "NULL".to_owned()),
            key: key.and_then(|key| tool.row_key(&key)),
            checksum: row.get(2),
            at_micros: row.get(3),
            state: State::of(row.get(4)).unwrap_or(State::Mark),
        });
    }
    Ok(read)
}
