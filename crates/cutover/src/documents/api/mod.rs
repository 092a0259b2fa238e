//! The API contract: what clients may call, what it takes and gives, what it raises, and which old call becomes which new one. Signatures are
//! the catalogue's; errors and results are read from the bodies that are in the database, and what these do not say is said.

mod catalogue;
mod described;
mod errors;
mod makers;
mod replaced;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{Returned, Shape};
use cutover_analysis::sql::{condition_name, quote_qualified};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use serde::Serialize;

use self::catalogue::{Argument, Called, Catalogue, Routine};
use self::errors::{Bodies, Body, Leaving};
use self::makers::Maker;
pub(super) use self::makers::{Counted, Place};
pub(super) use self::replaced::{ReplaceNote, SideNote};
use super::DocumentsError;
use crate::inspect;
use crate::project::{CONFIG_FILE, Internal};
use crate::secrets::Secrets;

/// The API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ApiNote {
    /// Functions, procedures and aggregates that migrations made.
    pub(super) functions: Vec<FunctionNote>,
    /// Those among them that `cutover.toml` says are no client's.
    pub(super) internal: Vec<FunctionNote>,
    /// Functions of triggers among them, which nobody calls.
    pub(super) triggers: Vec<FunctionNote>,
    /// Old calls and what they become.
    pub(super) replaces: Vec<ReplaceNote>,
    /// Functions of before that no call is said to replace.
    pub(super) without_new: Vec<SideNote>,
    /// Patterns of `cutover.toml` that mean no function, a line each.
    #[serde(skip)]
    pub(super) meaning_nothing: Vec<String>,
}

/// Something that is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct FunctionNote {
    pub(super) schema: String,
    pub(super) name: String,
    /// With its schema and the types by which it is called.
    pub(super) signature: String,
    /// With the names, modes and defaults of its arguments.
    pub(super) call: String,
    pub(super) kind: String,
    pub(super) arguments: Vec<ArgumentNote>,
    /// In PostgreSQL's words; empty for a procedure without one.
    pub(super) result: String,
    pub(super) language: String,
    pub(super) volatility: String,
    pub(super) strict: bool,
    /// `DEFINER` or `INVOKER`
    pub(super) security: String,
    pub(super) parallel: String,
    /// None where it is that of the session.
    pub(super) search_path: Option<String>,
    /// Other settings that it runs with.
    pub(super) settings: Vec<String>,
    pub(super) owner: String,
    /// Who may execute it.
    pub(super) execute: Vec<String>,
    pub(super) comment: Option<String>,
    /// What the file says above it; where there is no comment.
    pub(super) description: Option<String>,
    pub(super) made_by: Place,
    pub(super) changed_by: Option<Place>,
    pub(super) reads: Vec<String>,
    pub(super) writes: Vec<String>,
    /// Objects that it makes, changes or drops.
    pub(super) changes: Vec<String>,
    pub(super) calls: Vec<String>,
    /// The same of what it calls and fires, and of what that does, as far as it does not do so itself.
    pub(super) reads_through: Vec<String>,
    pub(super) writes_through: Vec<String>,
    pub(super) changes_through: Vec<String>,
    pub(super) calls_through: Vec<String>,
    pub(super) fires: Vec<String>,
    pub(super) errors: Vec<ErrorNote>,
    /// Whether it returns JSON.
    pub(super) returns_json: bool,
    pub(super) results: Vec<ResultNote>,
    pub(super) unknown: Vec<UnknownNote>,
    /// The old calls that become this one.
    pub(super) replaces: Vec<String>,
}

/// An argument, or a column of the result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ArgumentNote {
    pub(super) name: String,
    pub(super) mode: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) default: Option<String>,
}

/// An error that leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct ErrorNote {
    /// None where it is found out when it is raised.
    pub(super) sqlstate: Option<String>,
    /// The expression it is found out by.
    pub(super) sqlstate_from: Option<String>,
    /// PostgreSQL's name for it.
    pub(super) condition: Option<String>,
    /// In it, `%` is a value.
    pub(super) message: Option<String>,
    pub(super) message_from: Option<String>,
    pub(super) hint: Option<String>,
    /// The function that raises it.
    pub(super) from: String,
    /// By what statement.
    pub(super) by: String,
    /// It may be caught on the way.
    pub(super) perhaps: bool,
}

/// What one `RETURN` gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ResultNote {
    /// `object`, `null`, `another` or `not stated`.
    pub(super) kind: String,
    pub(super) keys: Vec<KeyNote>,
    /// There may be other keys.
    pub(super) open: bool,
    /// The functions whose result it is.
    pub(super) of: Vec<String>,
}

/// A key of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct KeyNote {
    pub(super) name: String,
    /// As JSON, where it is a constant.
    pub(super) value: Option<String>,
    pub(super) optional: bool,
}

/// What is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct UnknownNote {
    /// Of which function.
    pub(super) from: String,
    pub(super) why: String,
}

impl ApiNote {
    /// Whether there is anything to say to clients.
    pub(super) fn is_there(&self) -> bool {
        !self.functions.is_empty() || !self.internal.is_empty() || !self.replaces.is_empty()
    }

    /// What is wrong with the declared calls, a line each.
    pub(super) fn unresolved(&self) -> Vec<String> {
        let missing = self.replaces.iter().flat_map(|one| &one.missing);
        missing.chain(&self.meaning_nothing).cloned().collect()
    }
}

/// Reads what the database has, and says what of it is the API; with what is not to be shown of it.
pub(super) async fn gather(
    options: &ConnectOptions,
    counted: &Counted<'_>,
    secrets: &Secrets,
) -> Result<(ApiNote, Secrets), DocumentsError> {
    let mut secrets = secrets.clone();
    let makers = makers::of(counted);
    if makers.is_empty() && counted.project.replaces.is_empty() {
        return Ok((ApiNote::default(), secrets));
    }
    // Names mean here what they mean to the project's sessions.
    let mut session = Session::connect(options, &Startup::default()).await?;
    let path = session
        .query_text("SELECT pg_catalog.to_json(pg_catalog.current_schemas(false))::pg_catalog.text")
        .await?;
    let path: Vec<String> = serde_json::from_str(path.scalar().unwrap_or_default()).unwrap_or_default();
    let found = async {
        let mut reading = inspect::connect(options, None).await?;
        let catalogue = catalogue::read(&mut reading, path.clone()).await?;
        for definition in catalogue.routines.iter().filter_map(|routine| routine.definition.as_ref()) {
            secrets.learn(definition);
        }
        secrets.spare_known(&mut reading).await?;
        reading.close().await;
        Ok::<_, DocumentsError>(catalogue)
    };
    let catalogue = found.await?;
    let makers = makers::found(&mut session, &catalogue, makers).await?;
    let calls = replaced::read(&mut session, &catalogue, &counted.project.replaces, &path).await?;
    session.close().await;

    let ours: Vec<usize> = makers.iter().filter(|(_, maker)| !maker.is_before).map(|(at, _)| *at).collect();
    let bodies = Bodies::of(&catalogue, ours.iter().copied());
    let mut api = ApiNote::default();
    for at in &ours {
        let (Some(routine), Some(maker), Some(body)) = (catalogue.get(*at), makers.get(at), bodies.get(*at))
        else {
            continue;
        };
        let note = function(&catalogue, &bodies, (*at, routine, body), maker, &calls.becomes(*at));
        let is_internal = |one: &Internal| one.means(&routine.schema, &routine.name);
        let list = if routine.is_trigger {
            &mut api.triggers
        } else if counted.project.internal.iter().any(is_internal) {
            &mut api.internal
        } else {
            &mut api.functions
        };
        list.push(note);
    }
    let of_triggers_too = || api.internal.iter().chain(&api.triggers);
    let means_nothing = |one: &&Internal| !of_triggers_too().any(|note| one.means(&note.schema, &note.name));
    let nothing = counted.project.internal.iter().filter(means_nothing).map(|one| {
        format!(
            "{CONFIG_FILE}:{}: internal = {:?} means no function that migrations made",
            one.line, one.pattern
        )
    });
    api.meaning_nothing = nothing.collect();
    // What is replaced is not called any more, whoever made it.
    let old: BTreeSet<usize> = calls.old();
    let is_before = |(at, routine): &(usize, &Routine)| {
        !routine.is_member && !routine.is_trigger && !old.contains(at) && !ours.contains(at)
    };
    let before = catalogue.routines.iter().enumerate().filter(is_before);
    api.without_new = before.map(|(_, routine)| SideNote::of(routine)).collect();
    api.replaces = calls.notes;
    Ok((api, secrets))
}

fn function(
    catalogue: &Catalogue,
    bodies: &Bodies,
    (at, routine, body): (usize, &Routine, &Body),
    maker: &Maker,
    replaces: &[String],
) -> FunctionNote {
    let signatures = |places: &BTreeSet<usize>| -> Vec<String> {
        places.iter().filter_map(|at| Some(catalogue.get(*at)?.signature())).collect()
    };
    let path = |setting: &&String| setting.starts_with("search_path=");
    let search_path =
        routine.settings.iter().find(path).and_then(|setting| setting.strip_prefix("search_path="));
    let settings = routine.settings.iter().filter(|setting| !path(setting)).cloned().collect();
    let through = bodies.through(at);
    let (errors, unknown) = leaving(catalogue, bodies, at);
    let returns_json = matches!(routine.result.as_str(), "json" | "jsonb");
    FunctionNote {
        schema: routine.schema.clone(),
        name: routine.name.clone(),
        signature: routine.signature(),
        call: call(routine),
        kind: routine.kind.to_owned(),
        arguments: routine.arguments.iter().map(argument).collect(),
        result: routine.result.clone(),
        language: routine.language.clone(),
        volatility: routine.volatility.to_owned(),
        strict: routine.strict,
        security: if routine.definer { "DEFINER" } else { "INVOKER" }.to_owned(),
        parallel: routine.parallel.to_owned(),
        search_path: search_path.map(str::to_owned),
        settings,
        owner: routine.owner.clone(),
        execute: routine.execute.clone(),
        comment: routine.comment.clone(),
        description: routine.comment.is_none().then(|| maker.description.clone()).flatten(),
        made_by: maker.made.clone(),
        changed_by: maker.changed.clone(),
        reads: body.reads.iter().cloned().collect(),
        writes: body.writes.iter().cloned().collect(),
        changes: body.changes().into_iter().collect(),
        calls: signatures(&body.calls),
        reads_through: through.reads.into_iter().collect(),
        writes_through: through.writes.into_iter().collect(),
        changes_through: through.changes.into_iter().collect(),
        calls_through: signatures(&through.calls),
        fires: signatures(&body.fires),
        errors,
        results: if returns_json { results(catalogue, routine, body) } else { Vec::new() },
        returns_json,
        unknown,
        replaces: replaces.to_vec(),
    }
}

/// `schema.name(arguments with names, modes and defaults)`
fn call(routine: &Routine) -> String {
    format!("{}({})", quote_qualified(&routine.schema, &routine.name), routine.declared)
}

fn argument(argument: &Argument) -> ArgumentNote {
    let mode = match argument.mode.as_str() {
        "o" => "OUT",
        "b" => "INOUT",
        "v" => "VARIADIC",
        "t" => "TABLE",
        _ => "IN",
    };
    ArgumentNote {
        name: argument.name.clone(),
        mode: mode.to_owned(),
        kind: argument.kind.clone(),
        default: argument.default.clone(),
    }
}

/// The errors that leave it, by SQLSTATE, and what is not known of them.
fn leaving(catalogue: &Catalogue, bodies: &Bodies, at: usize) -> (Vec<ErrorNote>, Vec<UnknownNote>) {
    let (mut errors, mut unknown) = (BTreeMap::<ErrorNote, bool>::new(), BTreeSet::new());
    let from = |at: usize| catalogue.get(at).map(Routine::signature).unwrap_or_default();
    for (leaving, perhaps) in bodies.leaving(at) {
        match leaving {
            Leaving::Error(origin, number) => {
                let Some(raised) = bodies.raised(origin, number) else { continue };
                let condition = raised.code.as_deref().and_then(condition_name);
                let note = ErrorNote {
                    sqlstate: raised.code.clone(),
                    sqlstate_from: raised.code_from.clone(),
                    condition: condition.map(str::to_owned),
                    message: raised.message.clone(),
                    message_from: raised.message_from.clone(),
                    hint: raised.hint.clone(),
                    from: from(origin),
                    by: raised.by.to_owned(),
                    perhaps: false,
                };
                // One text may stand in several places.
                let known = errors.entry(note).or_insert(true);
                *known &= perhaps;
            }
            Leaving::Unknown(origin, number) => {
                let why = bodies.unknown(origin, number).unwrap_or_default().to_owned();
                unknown.insert(UnknownNote { from: from(origin), why });
            }
        }
    }
    let mut errors: Vec<ErrorNote> =
        errors.into_iter().map(|(note, perhaps)| ErrorNote { perhaps, ..note }).collect();
    // Those whose code is not known come last.
    errors.sort_by_key(|error| error.sqlstate.is_none());
    (errors, unknown.into_iter().collect())
}

/// What each `RETURN` gives; nothing where no body was read.
fn results(catalogue: &Catalogue, routine: &Routine, body: &Body) -> Vec<ResultNote> {
    let mut notes: Vec<ResultNote> = Vec::new();
    for returned in &body.contract.returns {
        let note = result(catalogue, routine, returned);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if notes.is_empty() {
        notes.push(ResultNote { kind: "not stated".to_owned(), ..ResultNote::default() });
    }
    notes
}

fn result(catalogue: &Catalogue, routine: &Routine, returned: &Returned) -> ResultNote {
    let kind = |kind: &str| ResultNote { kind: kind.to_owned(), ..ResultNote::default() };
    match &returned.shape {
        Shape::Object { keys, open } => {
            let keys = keys.iter().map(|key| KeyNote {
                name: key.name.clone(),
                value: key.value.clone(),
                optional: key.optional,
            });
            ResultNote { keys: keys.collect(), open: *open, ..kind("object") }
        }
        Shape::Null => kind("null"),
        Shape::NotStated => kind("not stated"),
        Shape::Of(call) => {
            let called = call.routine.as_ref().map(|name| catalogue.called(routine, name, call.arguments));
            match called {
                Some(Called::These(these)) => {
                    let of = these.iter().filter_map(|at| Some(catalogue.get(*at)?.signature()));
                    ResultNote { of: of.collect(), ..kind("another") }
                }
                _ => kind("not stated"),
            }
        }
    }
}
