//! `access`: who may do what, measured as each of them. Keys: `matrix`; `actors`, the role and the settings behind each name
//! in it; `setup`; `insert`, statements that try what `a` says; `writes`, whether rows may be changed to count them.
//!
//! Privileges are asked of the server with `EXPLAIN` of the very statement under the role itself: it checks what the
//! statement would check, and runs nothing, no trigger or rule either. Rows that are read are counted. Rows that would be
//! changed are, and rolled back, only where `writes` says so.

mod grid;
mod probe;

use std::collections::BTreeMap;

use self::grid::{Cell, Grid, How, Rows};
use self::probe::{Answer, Probe, Target};
use super::{Check, Input};
use crate::project::config::Table;
use crate::reading::{self, Flush};
use crate::verify::measure::{Ctx, Measured, Measuring, Mode, Trouble, begin};
use crate::verify::{failure_text, statements};

/// Somebody whose access is measured.
#[derive(Debug)]
struct Actor {
    name: String,
    role: String,
    /// Names and values of what is set for the transaction.
    settings: Vec<(String, String)>,
}

#[derive(Debug)]
struct Access {
    grid: Grid,
    actors: Vec<Actor>,
    setup: Vec<String>,
    /// Statements that try what `a` says, by objects as the matrix names them.
    inserts: BTreeMap<String, String>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    let setup = statements::take_all(table, "setup");
    let span = table.span_of("matrix");
    let text = table.require_string("matrix");
    let grid = Grid::parse(&text).unwrap_or_else(|why| {
        if !text.trim().is_empty() {
            table.report(&span, why, None);
        }
        Grid::default()
    });
    let writes = table.take_bool("writes").unwrap_or(false);
    if grid.changes_rows() && !writes {
        let hint =
            "they are locked until then, and their triggers run: `writes = true` says that this may be";
        let message = "rows behind w and d are counted by changing them, which is rolled back";
        table.report(&span, message, Some(hint.to_owned()));
    }
    let actors = actors(table, &grid);
    let inserts = inserts(table, &grid);
    Box::new(Access { grid, actors, setup, inserts })
}

/// Those who act, each with a role: where nothing is said, the one of that name.
fn actors(table: &mut Table, grid: &Grid) -> Vec<Actor> {
    let mut declared = table.take_table("actors");
    let actor = |name: &String| {
        let mut actor = Actor { name: name.clone(), role: name.clone(), settings: Vec::new() };
        if let Some(declared) = &mut declared {
            if declared.peek_string(name).is_some() {
                actor.role = declared.require_string(name);
            } else if let Some(mut own) = declared.take_table(name) {
                actor.role = own.take_string("role").unwrap_or(actor.role);
                if let Some(mut settings) = own.take_table("settings") {
                    let all = settings.take_all_strings().into_iter();
                    actor.settings = all.map(|(key, value)| (key.into_inner(), value.into_inner())).collect();
                    finish(settings, declared);
                }
                finish(own, declared);
            }
        }
        actor
    };
    let actors = grid.actors.iter().map(actor).collect();
    if let Some(declared) = declared {
        finish(declared, table);
    }
    actors
}

fn inserts(table: &mut Table, grid: &Grid) -> BTreeMap<String, String> {
    let Some(mut own) = table.take_table("insert") else { return BTreeMap::new() };
    let mut inserts = BTreeMap::new();
    for row in &grid.rows {
        let key = row.object.to_string();
        if let Some(statement) = statements::take_one(&mut own, &key) {
            inserts.insert(key, statement);
        }
    }
    finish(own, table);
    inserts
}

fn finish(inner: Table, outer: &mut Table) {
    if let Err(problems) = inner.finish() {
        outer.absorb(problems);
    }
}

impl Access {
    fn mode(&self) -> Mode {
        if self.writes() { Mode::Write } else { Mode::ReadAsRole }
    }

    /// Measures what one of those who act may do with each target, in one transaction that is rolled back.
    async fn measure_as(&self, ctx: &mut Ctx<'_>, place: usize, plan: &Plan) -> Result<Vec<Answer>, Trouble> {
        let Some(actor) = self.actors.get(place) else { return Ok(Vec::new()) };
        let mut texts = vec![
            begin(ctx.limits, self.mode()),
            // All figures are of one moment.
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ".to_owned(),
        ];
        texts.extend(self.setup.iter().cloned());
        texts.push(probe::become_role(&actor.role, &actor.settings));
        let prepared = texts.len();
        let probes: Vec<&Probe> = plan.probes.iter().filter(|probe| probe.actor == place).collect();
        for probe in &probes {
            texts.push("SAVEPOINT cutover_access".to_owned());
            texts.push(probe.sql.clone());
            texts.push("ROLLBACK TO SAVEPOINT cutover_access".to_owned());
        }
        let mut flush = Flush::default();
        for text in &texts {
            flush.push(text, reading::depends_on_terms(text));
        }
        flush.push("ROLLBACK", false);
        let outcomes = ctx.session.pipeline(flush.texts()).await;
        let outcomes: Vec<_> = flush.outcomes(outcomes).into_iter().map(|outcome| outcome.result).collect();
        for (text, outcome) in texts.iter().zip(&outcomes).take(prepared) {
            if let Err(failure) = outcome {
                let what = if self.setup.contains(text) {
                    format!("the setup failed at: {text}")
                } else {
                    String::new()
                };
                let why = format!("as {}: {}", actor.name, failure_text(failure));
                return Err(Trouble(if what.is_empty() { why } else { format!("{what}: {why}") }));
            }
        }
        let tried = outcomes.into_iter().skip(prepared + 1).step_by(3);
        Ok(probes.iter().zip(tried).map(|(probe, outcome)| probe.answer(outcome)).collect())
    }

    /// Measures everything.
    async fn measured(&self, ctx: &mut Ctx<'_>) -> Result<Measured, Trouble> {
        let roles: Vec<&str> = self.actors.iter().map(|actor| actor.role.as_str()).collect();
        probe::look_at_roles(ctx.session, &roles).await?;
        let (targets, mut unknown) = probe::targets(ctx.session, &self.grid).await?;
        let plan = Plan::of(self, &targets);
        let mut wrong = Vec::new();
        let mut cells = 0_usize;
        for place in 0..self.actors.len() {
            let mut answers = self.measure_as(ctx, place, &plan).await?.into_iter().peekable();
            let of_actor = plan.probes.iter().filter(|probe| probe.actor == place);
            let targets_of: Vec<usize> = of_actor.map(|probe| probe.target).collect();
            let mut at = 0;
            while let Some(target) = targets_of.get(at).copied() {
                let count = targets_of[at..].iter().take_while(|one| **one == target).count();
                let of_cell: Vec<Answer> = answers.by_ref().take(count).collect();
                at += count;
                cells += 1;
                let (Some(target), Some(actor)) = (targets.get(target), self.actors.get(place)) else {
                    continue;
                };
                let Some(expected) = self.expected(target, place) else { continue };
                let (found, why) = cell_of(&of_cell, expected);
                let shown = format!("{} for {}", target.shown, actor.name);
                if let Some(why) = of_cell.iter().find_map(Answer::trouble) {
                    unknown.push(format!("{shown}: {why}"));
                } else if !fits(expected, &found, &of_cell) {
                    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                    wrong.push(format!("{shown}: {found} in place of {expected}{why}"));
                }
            }
        }
        Ok(verdict(cells, &wrong, &unknown))
    }

    fn expected(&self, target: &Target, actor: usize) -> Option<&Cell> {
        self.grid.rows.get(target.row)?.cells.get(actor)
    }
}

fn verdict(cells: usize, wrong: &[String], unknown: &[String]) -> Measured {
    let all = format!("{cells} {}", if cells == 1 { "cell" } else { "cells" });
    let mut said = Vec::new();
    if !wrong.is_empty() {
        said.push(format!("{} of {all} otherwise: {}", wrong.len(), wrong.join("; ")));
    }
    if !unknown.is_empty() {
        said.push(format!("not measured: {}", unknown.join("; ")));
    }
    match (wrong, unknown) {
        ([], []) => Measured::holds(format!("{all} as expected")),
        ([], _) => Measured::unknown(said.join("; ")),
        _ => Measured::wrong(said.join("; ")),
    }
}

/// What is tried, of everybody.
struct Plan {
    /// Those of one actor and one target stand together, in the order of the targets.
    probes: Vec<Probe>,
}

impl Plan {
    fn of(access: &Access, targets: &[Target]) -> Self {
        let mut probes = Vec::new();
        for actor in 0..access.actors.len() {
            for (place, target) in targets.iter().enumerate() {
                let Some(row) = access.grid.rows.get(target.row) else { continue };
                let Some(expected) = row.cells.get(actor) else { continue };
                let insert = access.inserts.get(&row.object.to_string());
                for letter in access.grid.operations(row) {
                    let how = expected.0.get(&letter);
                    let tried = probe::of(target, letter, how, insert.map(String::as_str));
                    probes.extend(tried.into_iter().map(|(part, sql)| Probe {
                        actor,
                        target: place,
                        letter,
                        part,
                        sql,
                        is_own: letter == 'a' && part == probe::Part::Whole && insert.is_some(),
                    }));
                }
            }
        }
        Self { probes }
    }
}

/// What was found of a cell, in the words of the matrix, and why something is refused that is expected.
fn cell_of(answers: &[Answer], expected: &Cell) -> (Cell, Option<String>) {
    let mut found = Cell::default();
    let mut why = None;
    for answer in answers {
        match &answer.told {
            probe::Told::Yes if answer.part == probe::Part::Whole => {
                found.0.insert(answer.letter, How::Fully);
            }
            probe::Told::Yes => {
                found.0.entry(answer.letter).or_insert(How::Partly);
            }
            probe::Told::Counted(count) => {
                if found.0.contains_key(&answer.letter) {
                    found.0.insert(answer.letter, How::Rows(Rows::Exactly(*count)));
                }
            }
            probe::Told::No(reason) if expected.0.contains_key(&answer.letter) => {
                why.get_or_insert_with(|| reason.clone());
            }
            probe::Told::No(_) | probe::Told::Unknown(_) => {}
        }
    }
    (found, why)
}

/// Whether what was found is what is expected.
fn fits(expected: &Cell, found: &Cell, answers: &[Answer]) -> bool {
    let is_met = |(letter, how): (&char, &How)| match (how, found.0.get(letter)) {
        (How::Fully, Some(How::Fully)) | (How::Partly, Some(How::Partly)) => true,
        (How::Rows(rows), Some(How::Rows(Rows::Exactly(count)))) => match rows {
            Rows::Exactly(wanted) => count == wanted,
            Rows::Some => *count > 0,
            Rows::All => answers.iter().any(|one| {
                one.letter == *letter
                    && one.part == probe::Part::Total
                    && matches!(one.told, probe::Told::Counted(total) if total == *count)
            }),
        },
        _ => false,
    };
    expected.0.len() == found.0.len() && expected.0.iter().all(is_met)
}

impl Check for Access {
    fn describe(&self) -> (String, String) {
        let objects: Vec<String> = self.grid.rows.iter().map(|row| row.object.to_string()).collect();
        let who: Vec<&str> = self.actors.iter().map(|actor| actor.name.as_str()).collect();
        let what = format!("what {} may do with {}", who.join(", "), objects.join(", "));
        (what, "as the matrix says".to_owned())
    }

    fn writes(&self) -> bool {
        !self.setup.is_empty() || !self.inserts.is_empty() || self.grid.changes_rows()
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move { Ok(vec![self.measured(ctx).await?]) })
    }
}
