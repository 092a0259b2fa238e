//! A plan as a file: reviewed by people, applied later, only to the database it was made for and only while nothing has
//! moved there or among the files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::select::Selection;
use super::{Plan, Step, StepState, UnitSummary, kept, statements};
use crate::catalog::State;
use crate::inspect::Inspection;
use crate::migration::MigrationId;
use crate::project::Project;
use crate::project::text::hex;
use crate::verify::Precondition;

/// Version of the JSON form of [`PlanFile`]. 3 has the statements and the digest.
pub const FILE_VERSION: u32 = 3;
/// Name of [`PlanFile::digest`].
const DIGEST: &str = "digest";

/// A plan with what it depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// [`FILE_VERSION`].
    pub format_version: u32,
    /// Name and version of the program that made it.
    pub tool: String,
    /// When, microseconds since the Unix epoch.
    pub made_micros: i64,
    /// SHA-256, hex, over all the rest: what was reviewed is what the program wrote. It finds what was edited by hand; it is
    /// no signature, since whoever edits on purpose can make it anew.
    pub digest: String,
    /// Which migrations were asked for.
    pub selection: Selection,
    /// Values of placeholders, as far as they may be shown; those given from outside are stars.
    pub values: BTreeMap<String, String>,
    /// What [`value_digests`](Self::value_digests) are salted with, made for this plan alone.
    pub salt: String,
    /// A digest of each placeholder's value, also of those that are not shown. Neither the digest nor the salt keeps
    /// anybody who can read the plan from trying whether a short value is the one he guesses.
    pub value_digests: BTreeMap<String, String>,
    /// Required backups, claims and checks, each with a digest.
    pub requirements: BTreeMap<String, String>,
    /// Roles and settings of the sessions that migrations would run in, see [`crate::catalog::terms`].
    pub terms: BTreeMap<String, String>,
    /// Everything the database is made of, each with a digest of all that belongs to it, see [`crate::catalog::state`].
    pub objects: State,
    /// What was known of preconditions when it was made.
    pub preconditions: Vec<Precondition>,
    /// What was doubtful then and stops no run, in words.
    pub doubts: Vec<String>,
    /// The plan itself, with the statements of what would run.
    pub plan: Plan,
}

/// What a plan finds around it in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// See [`PlanFile::terms`].
    pub terms: BTreeMap<String, String>,
    /// See [`PlanFile::objects`].
    pub objects: State,
}

/// Why a text is no plan that can be applied.
#[derive(Debug, Error)]
pub enum PlanFileError {
    /// It is not JSON, or not that of a plan.
    #[error("it is no plan written by `cutover plan --out`: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error(
        "its format is {0}, this program knows {FILE_VERSION}: use the program that wrote it, or a newer one"
    )]
    Newer(u32),
    /// An older program wrote it.
    #[error(
        "its format is {0}, this program knows {FILE_VERSION}: make it anew with `cutover plan --out`, and review it again"
    )]
    Older(u32),
    /// It is not as it was written.
    #[error(
        "it is not as `cutover plan --out` wrote it: what it says now does not go with its digest. A plan is not edited: \
         change the files or cutover.toml, make it anew with `cutover plan --out`, and review it again"
    )]
    Edited,
    /// A file whose statements belong into it cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl PlanFile {
    /// A plan made for a database as it was found, from what was looked at with
    /// [`Read::Listed`](super::build::Read::Listed).
    ///
    /// # Errors
    /// [`PlanFileError::Unreadable`]
    pub fn new(
        project: &Project,
        inspection: Inspection,
        selection: Selection,
        found: Surroundings,
        (tool, made_micros): (String, i64),
    ) -> Result<Self, PlanFileError> {
        let salt = kept::new_salt();
        let Surroundings { terms, objects } = found;
        let doubts = inspection.doubts(&[]).map(ToString::to_string).collect();
        let mut plan = inspection.built.plan;
        statements::fill(project, &inspection.built.scripts, &mut plan.steps)
            .map_err(PlanFileError::Unreadable)?;
        let mut file = Self {
            format_version: FILE_VERSION,
            tool,
            made_micros,
            digest: String::new(),
            selection,
            values: values(project),
            value_digests: kept::values(project, &salt),
            salt,
            requirements: kept::requirements(project),
            terms,
            objects,
            preconditions: inspection.preconditions,
            doubts,
            plan,
        };
        // Of what a reader finds: a number with a fraction may come out of the text a trifle other than it went in.
        file.digest = digest(&serde_json::from_str(&serde_json::to_string(&file)?)?);
        Ok(file)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// [`PlanFileError`]
    pub fn read(text: &str) -> Result<Self, PlanFileError> {
        #[derive(Deserialize)]
        struct Head {
            format_version: u32,
        }
        let Head { format_version } = serde_json::from_str(text)?;
        match format_version {
            older if older < FILE_VERSION => return Err(PlanFileError::Older(older)),
            newer if newer > FILE_VERSION => return Err(PlanFileError::Newer(newer)),
            _ => {}
        }
        let value: Value = serde_json::from_str(text)?;
        let written = value.get(DIGEST).and_then(Value::as_str).unwrap_or_default();
        if written != digest(&value) {
            return Err(PlanFileError::Edited);
        }
        Ok(serde_json::from_value(value)?)
    }

    /// What has moved since it was made, in words; empty where nothing has. `now` is planned with the same selection.
    pub fn moved(&self, project: &Project, now: &Plan, found: &State) -> Vec<String> {
        let mut moved = Vec::new();
        if self.plan.project != now.project {
            moved.push(format!("it was made for project {}, this is {}", self.plan.project, now.project));
        }
        if self.plan.target != now.target {
            moved.push(self.other_target(now));
        }
        let values = kept::values(project, &self.salt);
        let words = ["has a value now", "has another value", "has no value any more"];
        let names = kept::differ(&self.value_digests, &values, words);
        moved.extend(names.into_iter().map(|name| format!("placeholder {name}")));
        let words = ["is new", "was changed", "is gone"];
        moved.extend(kept::differ(&self.requirements, &kept::requirements(project), words));
        let known: HashMap<&MigrationId, &Step> =
            self.plan.steps.iter().map(|step| (&step.migration, step)).collect();
        for step in &now.steps {
            match known.get(&step.migration) {
                None => moved.push(format!("{} is new", step.path)),
                Some(planned) => moved.extend(step_moved(planned, step)),
            }
        }
        let here: HashSet<&MigrationId> = now.steps.iter().map(|step| &step.migration).collect();
        let gone = self.plan.steps.iter().filter(|step| !here.contains(&step.migration));
        moved.extend(gone.map(|step| format!("{} is gone", step.path)));
        moved.extend(at_most(self.objects_moved(found)));
        moved
    }

    /// How roles and settings of the sessions that migrations run in are others than when it was made, in words.
    pub fn terms_moved(&self, now: &BTreeMap<String, String>) -> Vec<String> {
        let names: BTreeSet<&String> = self.terms.keys().chain(now.keys()).collect();
        let value = |terms: &BTreeMap<String, String>, name: &String| {
            terms.get(name).map_or_else(|| "unknown".to_owned(), |value| format!("{value:?}"))
        };
        let other = names.into_iter().filter(|name| self.terms.get(*name) != now.get(*name));
        other
            .map(|name| {
                let (then, now) = (value(&self.terms, name), value(now, name));
                format!("it was made where {name} is {then}, here it is {now}")
            })
            .collect()
    }

    fn objects_moved(&self, found: &State) -> Vec<String> {
        let mut moved = Vec::new();
        for (name, digest) in found {
            match self.objects.get(name) {
                None => moved.push(format!("{name} was created in the database")),
                Some(planned) if planned != digest => {
                    moved.push(format!("{name} was changed in the database"));
                }
                Some(_) => {}
            }
        }
        let dropped = self.objects.keys().filter(|name| !found.contains_key(*name));
        moved.extend(dropped.map(|name| format!("{name} was dropped from the database")));
        moved
    }

    fn other_target(&self, now: &Plan) -> String {
        let words = |plan: &Plan| {
            plan.target.as_ref().map_or_else(
                || "no database".to_owned(),
                |target| {
                    format!(
                        "database {} of server {} (version {})",
                        target.database, target.system_identifier, target.server_version_num
                    )
                },
            )
        };
        format!("it was made for {}, this is {}", words(&self.plan), words(now))
    }
}

/// A digest of what a document says but for the digest in it, however it is laid out.
fn digest(document: &Value) -> String {
    let mut hasher = Sha256::new();
    match document.as_object() {
        Some(fields) => add_fields(&mut hasher, fields, |name| name != DIGEST),
        None => add(&mut hasher, document),
    }
    hex(&hasher.finalize())
}

/// With lengths in front, so that no two documents come to one text; fields by their names, as they may stand in any order.
fn add(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => add_fields(hasher, fields, |_| true),
        Value::Array(items) => {
            hasher.update(format!("[{};", items.len()));
            for item in items {
                add(hasher, item);
            }
        }
        Value::String(text) => hasher.update(format!("\"{}:{text}", text.len())),
        other => hasher.update(format!("{other};")),
    }
}

fn add_fields(hasher: &mut Sha256, fields: &serde_json::Map<String, Value>, counts: impl Fn(&str) -> bool) {
    let mut sorted: Vec<_> = fields.iter().filter(|(name, _)| counts(name)).collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    hasher.update(format!("{{{};", sorted.len()));
    for (name, value) in sorted {
        hasher.update(format!("{}:{name}", name.len()));
        add(hasher, value);
    }
}

/// The values of placeholders as settings show them.
fn values(project: &Project) -> BTreeMap<String, String> {
    let settings = project.settings.0.iter();
    settings
        .filter_map(|setting| Some((setting.key.strip_prefix("vars.")?.to_owned(), setting.value.clone())))
        .collect()
}

/// So many are told; the rest is counted.
fn at_most(mut moved: Vec<String>) -> Vec<String> {
    /// More say nothing more: most likely another database has taken the place of this one.
    const TOLD: usize = 50;
    if moved.len() > TOLD {
        let more = moved.len() - TOLD;
        moved.truncate(TOLD);
        moved.push(format!("and {more} more"));
    }
    moved
}

/// How a migration stands otherwise than planned.
fn step_moved(planned: &Step, now: &Step) -> Option<String> {
    if planned.checksum != now.checksum {
        return Some(format!("{} was edited", now.path));
    }
    if planned.path != now.path {
        return Some(format!("{} was renamed to {}", planned.path, now.path));
    }
    // What is known of an open statement is asked for by who looks, and by a run again.
    let recorded = |step: &Step| -> Vec<UnitSummary> {
        step.units.iter().map(|unit| UnitSummary { finding: None, ..unit.clone() }).collect()
    };
    if planned.state == now.state && recorded(planned) == recorded(now) {
        return None;
    }
    Some(match (&planned.state, &now.state) {
        (StepState::Applied { .. }, StepState::Applied { run, .. }) => {
            format!("{} was applied again, by run {run}", now.path)
        }
        (_, StepState::Applied { run, .. }) => format!("{} was applied by run {run}", now.path),
        (StepState::Applied { .. }, _) => format!("{} is not applied any more", now.path),
        _ => format!("{} stands otherwise than planned", now.path),
    })
}
