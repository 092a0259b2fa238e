//! Which migrations a run is about: targets, deferred and optional ones, declared requirements and order.
//! Pure; the database is only present as its [`History`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{StepState, label};
use crate::history::records::{Applied, History};
use crate::migration::{Migration, MigrationId, MigrationKind, Version, VersionSort};
use crate::project::Project;
use crate::text::{known_list, suggest};

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Up to and including this version.
    pub to: Option<String>,
    /// Up to and including this stage.
    pub to_stage: Option<String>,
    /// Exactly these versions and no others; names deferred and optional ones.
    pub only: Vec<String>,
    /// Leave these versions for later and record that.
    pub defer: Vec<String>,
    /// Also those declared optional.
    pub optional: bool,
    /// Also those deferred.
    pub deferred: bool,
    /// Also pending versions below the highest applied one.
    pub out_of_order: bool,
}

/// Why a selection cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectError {
    /// No migration has this version.
    #[error("no migration has version {version}{}\n  hint: there are: {known}", hint(suggestion.as_deref()))]
    UnknownVersion {
        /// As asked for.
        version: String,
        /// The nearest one.
        suggestion: Option<String>,
        /// The first of those that there are.
        known: String,
    },
    /// The history knows no migration of this version.
    #[error(
        "no migration of version {version} is applied or begun{}\n  hint: applied or begun are: {known}",
        hint(suggestion.as_deref())
    )]
    NotApplied {
        /// As asked for.
        version: String,
        /// The nearest one.
        suggestion: Option<String>,
        /// The first of those that are.
        known: String,
    },
    /// The same version stands in several folders.
    #[error("version {version} is ambiguous: {}; write it as folder/version", paths.join(", "))]
    Ambiguous {
        /// As asked for.
        version: String,
        /// The files that have it.
        paths: Vec<String>,
    },
    /// No stage has this id.
    #[error("no stage has id {id:?}{}\n  hint: there are: {known}", hint(suggestion.as_deref()))]
    UnknownStage {
        /// As asked for.
        id: String,
        /// The nearest one.
        suggestion: Option<String>,
        /// The first of those that there are.
        known: String,
    },
    /// A stage is named in a project that has none.
    #[error("no stage has id {id:?}: cutover.toml of this project describes no stages")]
    NoStages {
        /// As asked for.
        id: String,
    },
    /// Pending below the highest applied version.
    #[error(
        "{} pending below the highest applied version {highest}\n  hint: apply in that order with --out-of-order, name it to apply just it, or declare it deferred",
        list(paths)
    )]
    OutOfOrder {
        /// Paths, in order.
        paths: Vec<String>,
        /// The highest applied version.
        highest: String,
    },
    /// What is to be left for later is applied.
    #[error("{path} is applied already: it cannot be left for later (--defer); nothing was done")]
    DeferApplied {
        /// Its path.
        path: String,
    },
    /// What is to be left for later is begun.
    #[error(
        "parts of {path} are applied already: it cannot be left for later (--defer); nothing was done\nlet it be finished, \
         or leave out the rest of the run with --to"
    )]
    DeferBegun {
        /// Its path.
        path: String,
    },
    /// What is to be left for later is named to be applied.
    #[error("{path} is named to be applied and to be left for later (--defer) at once; nothing was done")]
    DeferNamed {
        /// Its path.
        path: String,
    },
    /// What is to be left for later would not be applied anyway.
    #[error(
        "{path} is not among what is asked for ({asked}), so it is not to be left out of it (--defer); nothing was done\nleave \
         --defer to the run that would apply it"
    )]
    DeferOutside {
        /// Its path.
        path: String,
        /// The options that leave it out already.
        asked: String,
    },
    /// A declared requirement is neither applied nor planned before.
    #[error(
        "{path} requires {required}, which is neither applied nor planned before it\n  hint: apply {required} first"
    )]
    Requires {
        /// The migration that requires it.
        path: String,
        /// What it requires.
        required: String,
    },
}

impl SelectError {
    /// What was asked for is wrong; otherwise it is in order, and files and history do not allow it yet.
    pub fn is_of_the_request(&self) -> bool {
        !matches!(self, Self::OutOfOrder { .. } | Self::Requires { .. })
    }
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

fn list(paths: &[String]) -> String {
    match paths {
        [one] => format!("{one} is"),
        many => format!("{} are", many.join(", ")),
    }
}

/// Finds a migration by its version, written as in the file name (`V0330`, `0330`, `330`), by file name, or as
/// `folder/version` where several folders have it.
///
/// # Errors
/// [`SelectError::UnknownVersion`] or [`SelectError::Ambiguous`].
pub fn find<'a>(project: &'a Project, text: &str) -> Result<(usize, &'a Migration), SelectError> {
    let is_meant = |migration: &Migration| {
        names(migration, text) || within(&migration.id.root, text).is_some_and(|text| names(migration, text))
    };
    let matching: Vec<(usize, &Migration)> =
        project.migrations.iter().enumerate().filter(|(_, migration)| is_meant(migration)).collect();
    match matching.as_slice() {
        [one] => Ok(*one),
        [] => {
            let known = || project.migrations.iter().map(|migration| migration.id.version.text());
            let version = text.rsplit_once('/').map_or(text, |(_, version)| version);
            let near = suggest(version.strip_prefix(['V', 'v']).unwrap_or(version), known());
            let near =
                near.and_then(|near| project.migrations.iter().find(|other| other.id.version.text() == near));
            Err(SelectError::UnknownVersion {
                version: text.to_owned(),
                suggestion: near.map(|near| label(&near.path, &near.id.version)),
                known: known_list(known()),
            })
        }
        several => Err(SelectError::Ambiguous {
            version: text.to_owned(),
            paths: several.iter().map(|(_, migration)| migration.path.clone()).collect(),
        }),
    }
}

/// What a person calls a migration by that [`find`] finds: its version, with its folder where others have it too.
pub fn called(project: &Project, id: &MigrationId) -> String {
    let alone = id.version.text().to_owned();
    if find(project, &alone).is_ok() { alone } else { format!("{}/{alone}", id.root) }
}

/// What is meant within a folder, where a text begins with it.
fn within<'a>(root: &str, text: &'a str) -> Option<&'a str> {
    text.strip_prefix(root)?.strip_prefix('/')
}

fn names(migration: &Migration, text: &str) -> bool {
    migration.file_name() == text || names_version(&migration.id.version, text)
}

fn names_version(version: &Version, text: &str) -> bool {
    if version.text() == text {
        return true;
    }
    if !version.is_ordered() {
        // A time, of names that begin with one.
        let time = version.name().split_once('_').map(|(time, _)| time);
        return time == Some(text) && text.bytes().all(|byte| byte.is_ascii_digit());
    }
    let digits = text.strip_prefix(['V', 'v']).unwrap_or(text);
    let parts: Result<Vec<u64>, _> = digits.split(['.', '_']).map(str::parse).collect();
    parts.is_ok_and(|parts| Version::new(parts, "") == *version)
}

/// Finds a migration that is applied or begun, also one without a file, by its version or `folder/version` as [`find`]
/// takes them, by the path it was applied under or the name of that file.
///
/// # Errors
/// [`SelectError::NotApplied`] or [`SelectError::Ambiguous`].
pub fn find_in_history<'a>(history: &'a History, text: &str) -> Result<&'a MigrationId, SelectError> {
    let applied = history.applied().map(|row| (&row.id, row.path.as_str()));
    let begun = history.all_begun().map(|(id, begun)| (id, begun.path.as_str()));
    let is_meant = |(id, path): &(&MigrationId, &str)| {
        let of_version = names_version(&id.version, text)
            || within(&id.root, text).is_some_and(|text| names_version(&id.version, text));
        of_version || *path == text || path.rsplit('/').next() == Some(text)
    };
    let mut matching: Vec<(&MigrationId, &str)> = applied.chain(begun).filter(is_meant).collect();
    match matching.as_slice() {
        [(only, _)] => Ok(only),
        [] => Err(not_applied(history, text)),
        _ => {
            matching.sort_unstable();
            let paths = matching.into_iter().map(|(_, path)| path.to_owned()).collect();
            Err(SelectError::Ambiguous { version: text.to_owned(), paths })
        }
    }
}

fn not_applied(history: &History, text: &str) -> SelectError {
    let begun = history.all_begun().map(|(id, _)| id);
    let mut ids: Vec<&MigrationId> = history.applied().map(|row| &row.id).chain(begun).collect();
    ids.sort_unstable();
    let known = || ids.iter().map(|id| id.version.text());
    let suggestion = suggest(text.strip_prefix(['V', 'v']).unwrap_or(text), known()).map(str::to_owned);
    SelectError::NotApplied { version: text.to_owned(), suggestion, known: known_list(known()) }
}

/// The index of a stage.
///
/// # Errors
/// [`SelectError::UnknownStage`] or [`SelectError::NoStages`].
pub fn find_stage(project: &Project, id: &str) -> Result<usize, SelectError> {
    if let Some(index) = project.stages.iter().position(|stage| stage.id == id) {
        return Ok(index);
    }
    let id = id.to_owned();
    if project.stages.is_empty() {
        return Err(SelectError::NoStages { id });
    }
    let known = || project.stages.iter().map(|stage| stage.id.as_str());
    let suggestion = suggest(&id, known()).map(str::to_owned);
    let known = known_list(known());
    Err(SelectError::UnknownStage { id, suggestion, known })
}

/// Where each migration of the project stands, in the project's order, and the stage that is reached.
///
/// # Errors
/// [`SelectError`]; nothing has been done then.
pub fn states(
    project: &Project,
    history: &History,
    selection: &Selection,
) -> Result<(Vec<StepState>, Option<usize>), SelectError> {
    let Standing { states, reached, refused } = states_leniently(project, history, selection)?;
    match refused.into_iter().next() {
        Some(refused) => Err(refused),
        None => Ok((states, reached)),
    }
}

/// Where the migrations of a project stand, and what would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Of each migration, in the project's order.
    pub states: Vec<StepState>,
    /// The stage that is reached, where one was asked for.
    pub reached: Option<usize>,
    /// Why a run of this selection would be refused.
    pub refused: Vec<SelectError>,
}

/// As [`states`], but what would be refused is given beside the states: a look at a project shows what there is.
///
/// # Errors
/// [`SelectError`] for versions and stages that do not exist.
pub fn states_leniently(
    project: &Project,
    history: &History,
    selection: &Selection,
) -> Result<Standing, SelectError> {
    let target = Target::new(project, history, selection)?;
    let mut states = Vec::with_capacity(project.migrations.len());
    let mut below = Vec::new();
    for (index, migration) in project.migrations.iter().enumerate() {
        let state = target.state(index, migration, history, selection);
        if state == StepState::PendingOutOfOrder
            && !target.may_be_out_of_order(index, migration, history, selection)
        {
            below.push(migration);
        }
        states.push(state);
    }
    let mut refused = target.senseless_deferrals(history, selection);
    if let Some(first) = below.first() {
        let highest = history.highest(&first.id.root);
        let last = target.last_applied.get(first.id.root.as_str());
        let file = last.and_then(|last| project.migrations.get(*last));
        let highest = match (file, highest) {
            (Some(file), Some(highest)) if file.id.version < *highest && highest.is_ordered() => {
                highest.to_string()
            }
            (Some(file), _) => label(&file.path, &file.id.version),
            (None, highest) => highest.map_or_else(String::new, ToString::to_string),
        };
        let paths = below.iter().map(|migration| migration.path.clone()).collect();
        refused.push(SelectError::OutOfOrder { paths, highest });
    }
    refused.extend(missing_requirements(project, history, &states)?);
    Ok(Standing { states, reached: target.stage, refused })
}

/// Whether what is applied is what would be applied now: once applied, always, but for what is made anew when it changes.
fn is_up_to_date(migration: &Migration, row: &Applied, history: &History) -> bool {
    migration.kind != MigrationKind::Repeatable
        || row.checksum == migration.checksums.normalised && history.begun(&migration.id).is_none()
}

/// The baseline migrations that count, by folder: each stands for all versions up to its own.
#[derive(Default)]
struct Baselines<'a>(BTreeMap<&'a str, &'a Version>);

impl<'a> Baselines<'a> {
    /// The one that a folder's history begins with, or would: the newest of those within reach, where there is no history.
    fn of(project: &'a Project, history: &'a History, is_within: impl Fn(usize, &Migration) -> bool) -> Self {
        let mut found: BTreeMap<&str, &Version> = BTreeMap::new();
        let mut roots: BTreeSet<&str> = BTreeSet::new();
        let ids = history.applied().map(|row| &row.id).chain(history.all_begun().map(|(id, _)| id));
        for id in ids {
            roots.insert(id.root.as_str());
            if id.version.sort() == VersionSort::Baseline {
                let known = found.entry(id.root.as_str()).or_insert(&id.version);
                *known = (*known).max(&id.version);
            }
        }
        for (index, migration) in project.migrations.iter().enumerate() {
            let MigrationId { root, version } = &migration.id;
            let is_first = migration.kind == MigrationKind::Baseline && !roots.contains(root.as_str());
            if is_first && is_within(index, migration) {
                let known = found.entry(root.as_str()).or_insert(version);
                *known = (*known).max(version);
            }
        }
        Self(found)
    }

    /// Why a migration that is not applied is not to be.
    fn not_needed(&self, project: &Project, index: usize) -> Option<String> {
        let migration = project.migrations.get(index)?;
        let MigrationId { root, version } = &migration.id;
        let baseline = self.0.get(root.as_str()).copied();
        match (migration.kind, baseline) {
            (MigrationKind::Repeatable, _) | (MigrationKind::Versioned, None) => None,
            (MigrationKind::Versioned, Some(baseline)) => (version.parts() <= baseline.parts()).then(|| {
                let is_it = |other: &&Migration| other.id.root == *root && other.id.version == *baseline;
                let file = project.migrations.iter().find(is_it);
                format!("contained in {}", file.map_or(baseline.text(), |file| file.path.as_str()))
            }),
            (MigrationKind::Baseline, Some(baseline)) if baseline == version => None,
            (MigrationKind::Baseline, _) => {
                Some("a baseline migration begins a history, and is not needed in one".to_owned())
            }
        }
    }
}

struct Target<'a> {
    project: &'a Project,
    /// The baseline migrations that count.
    baselines: Baselines<'a>,
    /// The place of the last applied migration of each folder.
    last_applied: BTreeMap<&'a str, usize>,
    to: Option<usize>,
    stage: Option<usize>,
    only: BTreeSet<usize>,
    defer: BTreeSet<usize>,
}

impl<'a> Target<'a> {
    fn new(project: &'a Project, history: &'a History, selection: &Selection) -> Result<Self, SelectError> {
        let find_all = |texts: &[String]| -> Result<BTreeSet<usize>, SelectError> {
            texts.iter().map(|text| find(project, text).map(|(index, _)| index)).collect()
        };
        let applied =
            project.migrations.iter().enumerate().filter(|(_, migration)| {
                migration.kind.is_versioned() && history.get(&migration.id).is_some()
            });
        let last_applied = applied.map(|(index, migration)| (migration.id.root.as_str(), index)).collect();
        let mut target = Self {
            project,
            baselines: Baselines::default(),
            last_applied,
            to: selection.to.as_deref().map(|text| find(project, text)).transpose()?.map(|(index, _)| index),
            stage: selection.to_stage.as_deref().map(|id| find_stage(project, id)).transpose()?,
            only: find_all(&selection.only)?,
            defer: find_all(&selection.defer)?,
        };
        target.baselines = Baselines::of(project, history, |index, migration| {
            target.left_out(index, migration, history, selection).is_none()
        });
        Ok(target)
    }

    fn state(
        &self,
        index: usize,
        migration: &Migration,
        history: &History,
        selection: &Selection,
    ) -> StepState {
        if let Some(row) = history.get(&migration.id).filter(|row| is_up_to_date(migration, row, history)) {
            return StepState::Applied { at_micros: row.at_micros, run: row.run.clone() };
        }
        if let Some(why) = self.baselines.not_needed(self.project, index) {
            return StepState::NotNeeded { why };
        }
        if let Some(left_out) = self.left_out(index, migration, history, selection) {
            return left_out;
        }
        if let Some(begun) = history.begun(&migration.id) {
            return StepState::Resume { done: u32::try_from(begun.done()).unwrap_or(u32::MAX) };
        }
        if migration.kind.is_versioned() && self.is_below_applied(index, migration, history) {
            return StepState::PendingOutOfOrder;
        }
        StepState::Pending
    }

    /// Whether a later one of its folder is applied: one with a file by its place, one without by its number.
    fn is_below_applied(&self, index: usize, migration: &Migration, history: &History) -> bool {
        let MigrationId { root, version } = &migration.id;
        self.last_applied.get(root.as_str()).is_some_and(|last| index < *last)
            || version.is_ordered() && history.highest(root).is_some_and(|highest| version < highest)
    }

    /// Migrations that cannot be left for later: what a run remembers of them would be wrong, or never be heard of.
    fn senseless_deferrals(&self, history: &History, selection: &Selection) -> Vec<SelectError> {
        let migrations =
            self.defer.iter().filter_map(|index| Some((*index, self.project.migrations.get(*index)?)));
        let refuse = |(index, migration): (usize, &Migration)| {
            let path = migration.path.clone();
            if history.get(&migration.id).is_some() {
                Some(SelectError::DeferApplied { path })
            } else if history.begun(&migration.id).is_some() {
                Some(SelectError::DeferBegun { path })
            } else if self.only.contains(&index) {
                Some(SelectError::DeferNamed { path })
            } else if !self.only.is_empty() {
                Some(SelectError::DeferOutside { path, asked: selection.only.join(" ") })
            } else {
                let asked = match (&selection.to, &selection.to_stage) {
                    (Some(version), _) => format!("--to {version}"),
                    (None, Some(stage)) => format!("--to-stage {stage}"),
                    (None, None) => return None,
                };
                (!self.within(index, migration)).then_some(SelectError::DeferOutside { path, asked })
            }
        };
        migrations.filter_map(refuse).collect()
    }

    /// Why a migration that is not applied stays out of this run.
    fn left_out(
        &self,
        index: usize,
        migration: &Migration,
        history: &History,
        selection: &Selection,
    ) -> Option<StepState> {
        if self.defer.contains(&index) {
            return Some(StepState::Deferred);
        }
        if !self.only.is_empty() {
            return (!self.only.contains(&index)).then_some(StepState::AboveTarget);
        }
        if !self.within(index, migration) {
            return Some(StepState::AboveTarget);
        }
        // `--to VERSION` names its version.
        if self.to == Some(index) {
            return None;
        }
        if migration.claims.optional && !selection.optional {
            return Some(StepState::Optional);
        }
        let deferred = migration.claims.deferred || history.deferred.contains(&migration.id);
        (deferred && !selection.deferred).then_some(StepState::Deferred)
    }

    fn within(&self, index: usize, migration: &Migration) -> bool {
        if self.to.is_some_and(|to| index > to) {
            return false;
        }
        let Some(target) = self.stage else { return true };
        match migration.stage {
            Some(stage) => stage <= target,
            // A migration no stage names goes along with the last one before the target that a stage does name.
            None => self.project.migrations[index..]
                .iter()
                .any(|later| later.stage.is_some_and(|stage| stage <= target)),
        }
    }

    fn may_be_out_of_order(
        &self,
        index: usize,
        migration: &Migration,
        history: &History,
        selection: &Selection,
    ) -> bool {
        selection.out_of_order
            || self.only.contains(&index)
            || migration.any_time
            || migration.claims.deferred
            || migration.claims.optional
            || history.deferred.contains(&migration.id)
            || history.overtaken.contains(&migration.id)
    }
}

/// Requirements that are neither applied nor planned before what needs them.
fn missing_requirements(
    project: &Project,
    history: &History,
    states: &[StepState],
) -> Result<Vec<SelectError>, SelectError> {
    let mut there: BTreeSet<&MigrationId> = BTreeSet::new();
    let mut missing = Vec::new();
    for (migration, state) in project.migrations.iter().zip(states) {
        if !state.will_run() {
            continue;
        }
        for required in &migration.claims.requires {
            let (at, wanted) = find(project, required)?;
            let is_there = history.get(&wanted.id).is_some() || there.contains(&wanted.id);
            if !is_there && !matches!(states.get(at), Some(StepState::NotNeeded { .. })) {
                let required = wanted.path.clone();
                missing.push(SelectError::Requires { path: migration.path.clone(), required });
            }
        }
        there.insert(&migration.id);
    }
    Ok(missing)
}
