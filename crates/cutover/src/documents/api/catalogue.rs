//! What the database has to call, to read and to write: routines with their signatures and texts, relations with their triggers.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{Event, ObjectRef, RoutineName};
use cutover_analysis::sql::{identifier_list, quote_ident, quote_qualified};
use cutover_analysis::{ours, own_schemas};
use cutover_postgres::session::{Failure, Session};
use serde::Deserialize;

use crate::catalog::{Fields, read_all};

/// Routines of everybody but PostgreSQL and cutover.
const ROUTINES: &str = concat!(
    "
SELECT p.oid::text, n.nspname, p.proname, p.prokind, l.lanname,
       coalesce((SELECT string_agg(format_type(a.t, NULL), ', ' ORDER BY a.i) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, i)), ''),
       pg_get_function_arguments(p.oid), coalesce(pg_get_function_result(p.oid), ''), p.provolatile, p.proisstrict, p.prosecdef, p.proparallel,
       pg_get_userbyid(p.proowner), to_json(p.proconfig)::text,
       (SELECT json_agg(g.name ORDER BY g.name = 'PUBLIC' DESC, g.name COLLATE \"C\")::text FROM (
          SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END
            FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.privilege_type = 'EXECUTE') g(name)),
       obj_description(p.oid, 'pg_proc'),
       CASE WHEN m.objid IS NULL AND p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END,
       m.objid IS NOT NULL, p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype),
       p.pronargs, p.pronargdefaults, p.provariadic <> 0,
       (SELECT json_agg(json_build_object('name', coalesce(p.proargnames[a.i], ''), 'mode', coalesce(p.proargmodes[a.i], 'i'),
               'type', format_type(a.t, NULL), 'default', pg_get_function_arg_default(p.oid, a.i::integer)) ORDER BY a.i)::text
          FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY a(t, i)),
       (SELECT json_agg(f.oid::oid::text)::text FROM pg_aggregate g,
          LATERAL unnest(ARRAY[g.aggtransfn::oid, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn]) f(oid)
         WHERE g.aggfnoid = p.oid AND f.oid <> 0)
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
  LEFT JOIN pg_depend m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.deptype = 'e' AND m.refclassid = 'pg_extension'::regclass
 WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")
   AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')"
);

/// What PostgreSQL itself has by these names: functions, and types, which look like them in a cast.
const OWN_NAMES: &str = "
SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
UNION SELECT typname FROM pg_type WHERE typelem = 0 OR typcategory <> 'A'";

const RELATIONS: &str = "
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_(toast|temp)'";

/// Triggers that fire for ordinary sessions.
const TRIGGERS: &str = "
SELECT n.nspname, c.relname, t.tgfoid::text, t.tgtype::text
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')";

/// A function, procedure or aggregate.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "as the catalogue has them")]
pub(super) struct Routine {
    pub(super) oid: String,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) language: String,
    /// The types by which it is called.
    pub(super) types: String,
    /// Arguments with names, modes and defaults, in PostgreSQL's words.
    pub(super) declared: String,
    pub(super) result: String,
    pub(super) volatility: &'static str,
    pub(super) strict: bool,
    pub(super) definer: bool,
    pub(super) parallel: &'static str,
    pub(super) owner: String,
    pub(super) settings: Vec<String>,
    pub(super) execute: Vec<String>,
    pub(super) comment: Option<String>,
    pub(super) definition: Option<String>,
    /// An extension made it.
    pub(super) is_member: bool,
    pub(super) is_trigger: bool,
    inputs: usize,
    defaults: usize,
    is_variadic: bool,
    pub(super) arguments: Vec<Argument>,
    /// Of an aggregate: what it calls.
    pub(super) parts: Vec<String>,
}

/// An argument, or a column of the result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) mode: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) default: Option<String>,
}

impl Routine {
    /// `schema.name(types)`
    pub(super) fn signature(&self) -> String {
        format!("{}({})", quote_qualified(&self.schema, &self.name), self.types)
    }

    /// Where it looks for names: what it says itself, else what sessions do.
    fn path(&self, of_sessions: &[String]) -> Vec<String> {
        match self.settings.iter().find_map(|setting| setting.strip_prefix("search_path=")) {
            Some(path) => identifier_list(path),
            None => of_sessions.to_vec(),
        }
    }

    /// Whether it can be called with so many arguments.
    fn takes(&self, arguments: usize) -> bool {
        let fewest = self.inputs.saturating_sub(self.defaults).saturating_sub(usize::from(self.is_variadic));
        // What a procedure gives back is written too.
        let most = if self.kind == "procedure" { self.arguments.len() } else { self.inputs };
        arguments >= fewest && (self.is_variadic || arguments <= most)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) routines: Vec<Routine>,
    by_oid: BTreeMap<String, usize>,
    by_name: BTreeMap<String, Vec<usize>>,
    own: BTreeSet<String>,
    relations: BTreeSet<(String, String)>,
    /// Functions with the events they are fired by, by relation.
    triggers: BTreeMap<(String, String), Vec<(String, i32)>>,
    /// Where sessions look for names.
    path: Vec<String>,
}

/// What a call may mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// One of these: of several, which is only known with the types of the arguments.
    These(Vec<usize>),
    /// PostgreSQL's own.
    Own,
    /// Of a schema of cutover's own, which is not read.
    NotRead,
    /// There is none.
    Nothing,
}

/// Reads it; `path` is where sessions look for names.
pub(super) async fn read(session: &mut Session, path: Vec<String>) -> Result<Catalogue, Failure> {
    let [routines, own, relations, triggers] =
        read_all(session, [ROUTINES, OWN_NAMES, RELATIONS, TRIGGERS]).await?;
    let mut all = Catalogue { path, ..Catalogue::default() };
    let mut routines: Vec<Routine> = routines.into_iter().map(|row| routine(&mut Fields::new(row))).collect();
    let name = |one: &Routine| (one.schema.clone(), one.name.clone(), one.types.clone());
    routines.sort_by_cached_key(name);
    for (at, routine) in routines.into_iter().enumerate() {
        all.by_oid.insert(routine.oid.clone(), at);
        all.by_name.entry(routine.name.clone()).or_default().push(at);
        all.routines.push(routine);
    }
    all.own = own.into_iter().map(|row| Fields::new(row).text()).collect();
    for row in relations {
        let mut fields = Fields::new(row);
        all.relations.insert((fields.text(), fields.text()));
    }
    for row in triggers {
        let mut fields = Fields::new(row);
        let (relation, oid) = ((fields.text(), fields.text()), fields.text());
        all.triggers.entry(relation).or_default().push((oid, fields.text().parse().unwrap_or(0)));
    }
    Ok(all)
}

fn routine(fields: &mut Fields) -> Routine {
    let letter = |text: String| text.chars().next().unwrap_or_default();
    Routine {
        oid: fields.text(),
        schema: fields.text(),
        name: fields.text(),
        kind: match letter(fields.text()) {
            'p' => "procedure",
            'a' => "aggregate",
            'w' => "window function",
            _ => "function",
        },
        language: fields.text(),
        types: fields.text(),
        declared: fields.text(),
        result: fields.text(),
        volatility: match letter(fields.text()) {
            'i' => "IMMUTABLE",
            's' => "STABLE",
            _ => "VOLATILE",
        },
        strict: fields.flag(),
        definer: fields.flag(),
        parallel: match letter(fields.text()) {
            's' => "SAFE",
            'r' => "RESTRICTED",
            _ => "UNSAFE",
        },
        owner: fields.text(),
        settings: list(fields),
        execute: list(fields),
        comment: fields.optional(),
        definition: fields.optional(),
        is_member: fields.flag(),
        is_trigger: fields.flag(),
        inputs: fields.text().parse().unwrap_or_default(),
        defaults: fields.text().parse().unwrap_or_default(),
        is_variadic: fields.flag(),
        arguments: list(fields),
        parts: list(fields),
    }
}

/// A list as JSON has it.
fn list<T: for<'a> Deserialize<'a>>(fields: &mut Fields) -> Vec<T> {
    fields.optional().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

impl Catalogue {
    pub(super) fn by_oid(&self, oid: &str) -> Option<usize> {
        self.by_oid.get(oid).copied()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Routine> {
        self.routines.get(at)
    }

    /// The one routine that a text names, where its types could not be looked up.
    pub(super) fn only(&self, name: &RoutineName) -> Option<usize> {
        let fits = |at: &&usize| {
            self.get(**at).is_some_and(|one| {
                name.schema.as_ref().is_none_or(|schema| *schema == one.schema)
                    && name.arguments.as_ref().is_none_or(|types| types.len() == one.inputs)
            })
        };
        let found: Vec<&usize> = self.by_name.get(&name.name)?.iter().filter(fits).collect();
        match found.as_slice() {
            [one] => Some(**one),
            _ => None,
        }
    }

    /// All of a name, in its schema or where sessions look.
    pub(super) fn named(&self, name: &RoutineName, path: &[String]) -> Vec<usize> {
        let is_it = |at: &usize| {
            self.get(*at).is_some_and(|one| match &name.schema {
                Some(schema) => *schema == one.schema,
                None => path.contains(&one.schema),
            })
        };
        self.by_name.get(&name.name).into_iter().flatten().copied().filter(is_it).collect()
    }

    /// What a call in the body of a routine means.
    pub(super) fn called(&self, by: &Routine, name: &ObjectRef, arguments: usize) -> Called {
        let is_own_schema = |schema: &str| schema.starts_with("pg_") || schema == "information_schema";
        let path = match name.schema.as_deref() {
            Some(schema) if is_own_schema(schema) => return Called::Own,
            Some(schema) if ours::is_ours(schema) => return Called::NotRead,
            Some(schema) => vec![schema.to_owned()],
            None => by.path(&self.path),
        };
        let is_own = name.schema.is_none() && self.own.contains(name.name.as_str());
        let candidates = self.by_name.get(name.name.as_str()).into_iter().flatten().copied();
        let found: Vec<usize> = candidates
            .filter(|at| {
                self.get(*at).is_some_and(|one| {
                    path.contains(&one.schema) && one.takes(arguments) && !(is_own && one.is_member)
                })
            })
            .collect();
        match (found.is_empty(), is_own) {
            (false, _) => Called::These(found),
            (true, true) => Called::Own,
            (true, false) => Called::Nothing,
        }
    }

    /// A relation as a body names it: the schema in which it is found, and its name. None for PostgreSQL's own.
    pub(super) fn relation(&self, by: &Routine, name: &ObjectRef) -> Option<(Option<String>, String)> {
        let has = |schema: &str| self.relations.contains(&(schema.to_owned(), name.name.to_string()));
        let is_own = |schema: &str| schema.starts_with("pg_") || schema == "information_schema";
        if let Some(schema) = name.schema.as_deref() {
            let known = Some(schema.to_owned()).filter(|schema| has(schema));
            return (!is_own(schema) || schema == "pg_temp").then(|| (known, shown(schema, &name.name)));
        }
        let path = by.path(&self.path);
        let found = path.iter().find(|schema| has(schema));
        match found {
            Some(schema) if is_own(schema) => None,
            None if has("pg_catalog") => None,
            Some(schema) => Some((Some(schema.clone()), shown(schema, &name.name))),
            None => Some((None, quote_ident(&name.name))),
        }
    }

    /// Functions that are called when rows of a relation are written.
    pub(super) fn fired(&self, schema: &str, name: &str, event: Option<Event>) -> BTreeSet<usize> {
        let all = self.triggers.get(&(schema.to_owned(), name.to_owned())).into_iter().flatten();
        all.filter(|(_, bits)| event.is_none_or(|event| Event::of_bits(*bits).contains(&event)))
            .filter_map(|(oid, _)| self.by_oid(oid))
            .collect()
    }
}

/// A relation's name, with its schema where that is not `public`.
fn shown(schema: &str, name: &str) -> String {
    if schema == "public" { quote_ident(name) } else { quote_qualified(schema, name) }
}
