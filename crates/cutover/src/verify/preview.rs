//! Preconditions of pending migrations, as far as they can be known before a run: measured where what they read is
//! there already, reading alone. What only the run can measure is said to be so.

use std::fmt;

use cutover_analysis::effects::{ObjectRef, effects_of_text};
use cutover_postgres::session::Session;
use serde::{Deserialize, Serialize};

use super::measure::Ctx;
use super::prepare::{Prepared, prepare};
use super::{Limits, complaint, runner, succeeded};
use crate::migration::MigrationId;
use crate::plan::build::Built;
use crate::plan::{label, prerequisites};
use crate::project::{Problems, Project, When};
use crate::run::CheckResult;
use crate::script::{Script, same_name};
use crate::text::visible;

/// What a check reads, as far as it says.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// What must be there to measure it.
    pub(crate) objects: Vec<ObjectRef>,
    /// It reads nothing else that could be named.
    pub(crate) all: bool,
    /// It is not in our grammar.
    pub(crate) unparsed: bool,
}

impl Reads {
    /// What a statement reads.
    pub(crate) fn of(sql: &str) -> Self {
        // What our grammar does not know the server may.
        let Ok(effects) = effects_of_text(sql) else { return Self { unparsed: true, ..Self::default() } };
        let objects = effects.references.into_iter().map(|reference| reference.object).collect();
        Self { objects, all: effects.opaque.is_none(), unparsed: false }
    }
}

/// What is known of a precondition before the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Precondition {
    /// The migration it comes before.
    pub migration: MigrationId,
    /// Path of that migration.
    pub path: String,
    /// Name of the check.
    pub name: String,
    /// What was measured now; nothing where it cannot be measured yet.
    pub answers: Vec<CheckResult>,
    /// Why it is for the run to measure it: what it reads is not there yet, or changes first. None where the answers
    /// are what the run would find.
    pub later: Option<String>,
}

impl Precondition {
    /// Whether a run would stop at it, as far as is known.
    pub fn stops(&self) -> bool {
        self.later.is_none() && !succeeded(&self.answers)
    }
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: what must hold before it does not", visible(&self.path))?;
        let bad = self.answers.iter().filter(|answer| !succeeded(std::slice::from_ref(answer)));
        bad.into_iter().try_for_each(|answer| write!(f, "\n  {}", complaint(answer)))
    }
}

/// Looks at the preconditions of what would run. `session` is one that only reads and has the search path that
/// migrations run with.
///
/// # Errors
/// When checks are written wrong.
pub async fn preview(
    project: &Project,
    built: &Built,
    session: &mut Session,
) -> Result<Vec<Precondition>, Problems> {
    let prepared = prepare(project)?;
    let mut found = Vec::new();
    let mut before: Vec<usize> = Vec::new();
    for index in built.pending() {
        let id = &project.migrations[index].id;
        for check in prepared.iter().filter(|check| check.when == When::Before(id.clone())) {
            found.push(look(project, built, session, check, index, &before).await);
        }
        before.push(index);
    }
    Ok(found)
}

async fn look(
    project: &Project,
    built: &Built,
    session: &mut Session,
    check: &Prepared,
    index: usize,
    before: &[usize],
) -> Precondition {
    let migration = &project.migrations[index];
    let mut precondition = Precondition {
        migration: migration.id.clone(),
        path: migration.path.clone(),
        name: check.name.clone(),
        answers: Vec::new(),
        later: None,
    };
    let earlier = Earlier { project, built, before };
    let reads = check.check.reads();
    precondition.later = earlier.keeps_from_measuring(check, &reads, session).await;
    if precondition.later.is_none() {
        let mut ctx = Ctx { session, project, limits: Limits::default(), wider: None };
        precondition.answers = runner::measure(check, &mut ctx, &built.history).await;
        precondition.later = earlier.changes(&reads);
    }
    precondition
}

/// Migrations that run before the one in question.
struct Earlier<'a> {
    project: &'a Project,
    built: &'a Built,
    before: &'a [usize],
}

impl Earlier<'_> {
    fn label(&self, index: usize) -> String {
        let migration = &self.project.migrations[index];
        label(&migration.path, &migration.id.version)
    }

    fn scripts(&self) -> impl Iterator<Item = (usize, &Script)> {
        self.before.iter().filter_map(|index| Some((*index, self.built.scripts.get(index)?)))
    }

    /// Why a check cannot be measured before these ran; none where it can be tried.
    async fn keeps_from_measuring(
        &self,
        check: &Prepared,
        reads: &Reads,
        session: &mut Session,
    ) -> Option<String> {
        if reads.unparsed {
            return Some(
                "it is not in the grammar of PostgreSQL 18, so what it reads is not known".to_owned(),
            );
        }
        if check.check.writes() {
            return Some("it tries rows of its own, which only a run does".to_owned());
        }
        if let Some(required) = check.requires.iter().find(|required| self.before.contains(required)) {
            return Some(format!("{} is applied first", self.label(*required)));
        }
        let objects: Vec<&ObjectRef> = reads.objects.iter().collect();
        // A question that fails here fails when it is measured, and is answered there.
        let there = prerequisites::exist(session, &objects).await.ok()?;
        let absent = objects.iter().zip(there).filter(|(_, there)| !there).map(|(object, _)| *object);
        for object in absent {
            let made = |script: &Script| script.creates.iter().any(|made| same_name(made, object));
            if let Some((index, _)) = self.scripts().find(|(_, script)| made(script)) {
                return Some(format!("it reads {}, which {} creates first", object.name, self.label(index)));
            }
            if let Some((index, _)) = self.scripts().find(|(_, script)| script.opaque.is_some()) {
                return Some(format!(
                    "it reads {}, which is not there yet; what {} creates is not known",
                    object.name,
                    self.label(index)
                ));
            }
        }
        None
    }

    /// Which of these may change what a check reads before it is measured again.
    fn changes(&self, reads: &Reads) -> Option<String> {
        for (index, script) in self.scripts() {
            let touched = [&script.creates, &script.alters, &script.writes, &script.drops];
            let mut touched = touched.into_iter().flatten();
            if let Some(object) =
                touched.find(|touched| reads.objects.iter().any(|object| same_name(touched, object)))
            {
                return Some(format!("{} changes {} first", self.label(index), object.name));
            }
            if script.opaque.is_some() {
                return Some(format!("what {} changes first is not known", self.label(index)));
            }
        }
        if !reads.all {
            let (first, _) = self.scripts().next()?;
            return Some(format!("{} comes first and may change the answer", self.label(first)));
        }
        None
    }
}
