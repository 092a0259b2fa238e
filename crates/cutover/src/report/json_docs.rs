//! `docs/json.md` against the documents themselves: each list of fields is what serde writes, and the examples are
//! documents that can be read.

use std::collections::BTreeSet;
use std::time::Duration;

use cutover_analysis::effects::{ObjectKind, SmolStr};
use cutover_analysis::schema::{Id as SchemaId, Object as SchemaObject, Schema};
use serde::Serialize;
use serde_json::Value;

use super::fixture;
use super::graph::ProjectGraph;
use crate::lint::{self, Located, Seen, Severity};
use crate::migration::{MigrationKind, Version};
use crate::plan::{
    Dependency, DownSummary, Lines, LockSummary, Plan, PlannedStatement, StepState, UnitFailure, UnitState,
    UnitSummary, WorkSummary,
};
use crate::project::{Overrides, Project};
use crate::run::{EventKind, Outcome, PartsDone, Run, RunEvent, Verdict};
use crate::verify::Precondition;

const PAGE: &str = include_str!("../../../../docs/json.md");

/// The text under a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let (_, after) =
        PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{heading} is missing"));
    after.split("\n## ").next().unwrap().split("\n### ").next().unwrap()
}

/// Names in backticks in a cell.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the table under a heading, as cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let lines = section(heading).lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn documented(heading: &str) -> BTreeSet<String> {
    rows(heading).iter().flat_map(|cells| names(cells[0])).collect()
}

fn fields(value: &impl Serialize) -> BTreeSet<String> {
    let Value::Object(fields) = serde_json::to_value(value).unwrap() else { panic!("no object") };
    fields.keys().cloned().collect()
}

fn way_back() -> DownSummary {
    DownSummary {
        path: String::new(),
        checksum: String::new(),
        lines: vec![Lines { first: 1, last: 2 }],
        no_transaction: true,
    }
}

fn finding() -> Located {
    Located {
        code: String::new(),
        severity: Severity::Error,
        path: String::new(),
        line: 1,
        column: 1,
        source_line: String::new(),
        message: String::new(),
        help: String::new(),
        seen_by: Seen::Catalogue,
        mending: None,
    }
}

/// A document with one more field.
fn with(mut value: Value, field: &str) -> Value {
    value[field] = Value::Null;
    value
}

#[test]
fn every_object_has_the_fields_that_the_page_lists() {
    let run = fixture::eventful();
    let mut step = run.plan.steps[0].clone();
    // What is left out where there is none of it.
    step.notes = vec![String::new()];
    let dependency = Dependency { migration: fixture::id("1"), why: Vec::new() };
    let lock = LockSummary { relation: String::new(), mode: String::new(), line: 1, new: true };
    let work = WorkSummary {
        relation: String::new(),
        kind: String::new(),
        sure: true,
        why: String::new(),
        line: 1,
        new: true,
    };
    (step.needs, step.conflicts) = (vec![dependency.clone()], vec![dependency.clone()]);
    (step.locks, step.work) = (vec![lock.clone()], vec![work.clone()]);
    (step.late, step.more_locks) = (vec![String::new()], vec![String::new()]);
    (step.unseen, step.renames) = (vec![String::new()], vec![String::new()]);
    let finding = finding();
    step.findings = vec![finding.clone()];
    let statement = PlannedStatement {
        line: 1,
        unit: 1,
        text: String::new(),
        cut: 1,
        data: 1,
        locks: vec![lock.clone()],
        hazards: vec![String::new()],
    };
    (step.sql, step.sql_more) = (vec![statement.clone()], 1);
    let down = way_back();
    (step.kind, step.no_transaction, step.down) = (MigrationKind::Repeatable, true, Some(down.clone()));
    let failure =
        UnitFailure { at_micros: 0, code: String::new(), message: String::new(), next: String::new() };
    let unit = UnitSummary {
        lines: Some(Lines { first: 1, last: 2 }),
        state: UnitState::Done,
        failure: Some(failure.clone()),
        finding: Some(String::new()),
        ..step.units[0].clone()
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("0001_a.sql"), "CREATE TABLE a (n int);").unwrap();
    let project = Project::load(folder.path(), &Overrides::default()).unwrap();
    let graph = serde_json::to_value(ProjectGraph::of(&project).document()).unwrap();
    let step = &step;
    let event = &run.events[0];
    let check = fixture::check("a", "no_rows", "", "", Verdict::Holds);
    let precondition = Precondition {
        migration: fixture::id("1"),
        path: String::new(),
        name: String::new(),
        answers: vec![check.clone()],
        later: None,
    };
    for (heading, found) in [
        ("### The plan", fields(&run.plan)),
        ("### Target", fields(&run.plan.target)),
        ("### Stage", fields(&run.plan.stages[0])),
        ("### Step", fields(step)),
        ("### Way back", fields(&down)),
        ("### Migration", fields(&step.migration)),
        ("### Claims", fields(&step.claims)),
        ("### Unit", fields(&unit)),
        ("### Failure of a unit", fields(&failure)),
        ("### Statement", fields(&statement)),
        ("### Finding", fields(&finding)),
        ("### lint", fields(&lint::document("p", &lint::Found::default()))),
        ("### Dependency", fields(&dependency)),
        ("### Lock", fields(&lock)),
        ("### Work", fields(&work)),
        ("### Precondition", fields(&precondition)),
        ("### Blocker", fields(&fixture::blocker())),
        ("### Answer", fields(&check)),
        ("## Graph", fields(&graph)),
        ("### The run", fields(&Run { jobs: 2, ..run.clone() })),
    ] {
        assert_eq!(documented(heading), found, "{heading}");
    }
    let common = documented("### Every event");
    assert!(common.is_subset(&fields(event)), "{common:?}");
}

#[test]
fn an_alignment_has_the_fields_that_the_page_lists() {
    use crate::align::{AlignedTable, Alignment, Difference, FORMAT_VERSION, NotCompared, Severity};
    let text = String::new;
    let table = AlignedTable {
        name: text(),
        label: text(),
        path: text(),
        line: 1,
        differences: 0,
        is_compared: true,
    };
    let difference = Difference {
        code: "column-type",
        severity: Severity::Error,
        table: text(),
        column: None,
        model: None,
        there: None,
        path: text(),
        line: 1,
        message: text(),
        subject: crate::align::Subject::default(),
    };
    let open = NotCompared { path: text(), line: 1, what: text() };
    let alignment = Alignment {
        format_version: FORMAT_VERSION,
        against: text(),
        tables: vec![table.clone()],
        differences: vec![difference.clone()],
        not_compared: vec![open.clone()],
        beyond: Vec::new(),
        kept: Vec::new(),
        remarks: Vec::new(),
        took: Duration::ZERO,
    };
    assert_eq!(documented("### align"), fields(&alignment));
    let mut written = fields(&crate::align::Generated::default());
    // What the command says besides.
    written.extend(["format_version", "paths"].map(str::to_owned));
    assert_eq!(documented("### align --write"), written);
    for (field, within) in
        [("tables", fields(&table)), ("differences", fields(&difference)), ("not_compared", fields(&open))]
    {
        let rows = rows("### align");
        let cells = rows.iter().find(|cells| names(cells[0]).contains(field)).unwrap();
        let listed = names(cells[1]);
        assert!(within.is_subset(&listed), "{field}: {within:?} of {listed:?}");
    }
}

#[test]
fn a_report_of_an_adoption_has_the_fields_that_the_page_lists() {
    let catalogue = crate::adopt::Catalogue::default();
    let line = crate::adopt::FileLine {
        path: String::new(),
        version: String::new(),
        state: "pending",
        text: None,
        why: None,
        at_micros: None,
    };
    let row = crate::adopt::RowLine { row: String::new(), state: "missing" };
    let report = crate::adopt::Report {
        database: String::new(),
        tool: "flyway",
        called: "Flyway",
        table: String::new(),
        rows: 0,
        files: vec![line.clone()],
        without_file: vec![row.clone()],
        catalogue: catalogue.clone(),
        remarks: Vec::new(),
        refused: Vec::new(),
    };
    let around = ["format_version", "project", "recorded"].map(str::to_owned);
    let found: BTreeSet<String> = fields(&report).into_iter().chain(around).collect();
    assert_eq!(documented("### adopt"), found);
    for (field, within) in
        [("files", fields(&line)), ("without_file", fields(&row)), ("catalogue", fields(&catalogue))]
    {
        let rows = rows("### adopt");
        let cells = rows.iter().find(|cells| names(cells[0]).contains(field)).unwrap();
        let listed = names(cells[1]);
        assert!(within.iter().all(|field| listed.contains(field)), "{field}: {within:?} {listed:?}");
    }
}

#[test]
fn what_lint_writes_has_the_fields_that_the_page_lists() {
    use crate::lint;
    let files: &[(&str, &[u8])] =
        &[("0001_a.sql", b"CREATE INDEX i ON a (n);\nDROP INDEX j CASCADE;"), ("0002_b.sql", b"X;")];
    let project = Project::embedded("x", files).unwrap();
    let found = lint::look(&project, &lint::Which::Each, None);
    let mended = lint::fix::mended(&project, &lint::Which::Each, &[0, 1].into(), None, 0);
    let document = as_value(&lint::document("x", &found));
    let (fixed, rules) =
        (as_value(&lint::mended_document("x", &mended, true)), as_value(&lint::rules_document()));
    assert_eq!(documented("### lint"), fields(&document));
    assert_eq!(documented("### Finding"), fields(&document["findings"][0]));
    assert_eq!(documented("### lint --fix"), fields(&fixed));
    assert_eq!(documented("### lint --rules"), fields(&rules));
    for (heading, field, within) in [
        ("### lint", "broken", &document["broken"][0]),
        ("### Finding", "fix", &document["findings"][0]["fix"]),
        ("### lint --fix", "files", &fixed["files"][0]),
        ("### lint --fix", "fixed", &fixed["fixed"][0]),
        ("### lint --fix", "left", &fixed["left"][0]),
        ("### lint --rules", "rules", &rules["rules"][0]),
    ] {
        let rows = rows(heading);
        let row = rows.iter().find(|row| row[0] == format!("`{field}`")).unwrap();
        let within = fields(within);
        assert!(within.is_subset(&names(row[1])), "{heading} {field}: {within:?}");
    }
    let explained = fields(&lint::rule_document(lint::by_code("drop-table").unwrap()));
    let rule = fields(&rules["rules"][0]);
    let more: Vec<&String> = explained.difference(&rule).collect();
    assert_eq!(more, ["format_version", "page"]);
}

#[test]
fn a_version_has_the_fields_that_the_page_lists() {
    let version_fields =
        |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(fields(&fixture::id("1").version), version_fields(&["parts", "text"]));
    let named = fields(&Version::named("a", 1, "a"));
    assert_eq!(named, version_fields(&["parts", "text", "sort", "name"]));
    let row = rows("### Migration").into_iter().find(|row| row[0] == "`version`").unwrap();
    assert!(named.is_subset(&names(row[1])), "{row:?}");
}

#[test]
fn a_saved_schema_has_the_fields_that_the_page_lists() {
    let column = SchemaObject {
        needs: [SchemaId::global(ObjectKind::Schema, "app")].into(),
        ..SchemaObject::default()
    };
    let column_id = SchemaId {
        arguments: Some(SmolStr::default()),
        ..SchemaId::part(ObjectKind::Column, "app", "users", "id")
    };
    let mut saved = Schema::empty(150_018, "shop");
    saved.objects.insert(column_id, column);
    let one = serde_json::to_value(&saved).unwrap()["objects"][0].clone();
    // Attributes are left out where there are none.
    let one = with(one, "attributes");
    assert_eq!(documented("## Schema"), fields(&saved));
    assert_eq!(documented("### Object"), fields(&one));
}

#[test]
fn a_rehearsal_has_the_fields_that_the_page_lists() {
    let rehearsal = fixture::rehearsal();
    let traced = &rehearsal.migrations[0];
    assert_eq!(documented("### The rehearsal"), fields(&rehearsal));
    assert_eq!(documented("### Ground"), fields(&rehearsal.ground));
    assert_eq!(documented("### Rehearsed migration"), fields(traced));
    assert_eq!(documented("### Rehearsed statement"), fields(&traced.statements[0]));
    assert_eq!(documented("### Held lock"), fields(&traced.locks[0]));
    assert_eq!(documented("### Finding of a rehearsal"), fields(&rehearsal.findings[0]));
    let (workload, proof) = (rehearsal.workload.as_ref().unwrap(), rehearsal.proof.as_ref().unwrap());
    assert_eq!(documented("### Workload"), fields(workload));
    assert_eq!(documented("### Proof"), fields(proof));
    // What stands in the second column, of what is within.
    let within = |heading: &str, field: &str| {
        let row = rows(heading).into_iter().find(|row| names(row[0]).contains(field)).unwrap();
        names(row[1])
    };
    for (heading, field, value) in [
        ("### The rehearsal", "disagreements", fields(&rehearsal.disagreements[0])),
        ("### Ground", "left_out", fields(&rehearsal.ground.left_out[0])),
        ("### Rehearsed migration", "failure", fields(traced.failure.as_ref().unwrap())),
        ("### Rehearsed statement", "locks", fields(&traced.statements[0].locks[0])),
        ("### Rehearsed statement", "wrote", fields(&traced.statements[0].wrote[0])),
        ("### Rehearsed statement", "created", fields(&traced.statements[0].created[0])),
        ("### Workload", "felt", fields(&workload.felt[0])),
        ("### Workload", "felt", fields(&workload.felt[0].blocked[0])),
        ("### Workload", "felt", fields(&workload.felt[0].errors[0])),
        ("### Proof", "migrations", fields(&proof.migrations[0])),
        ("### Proof", "unresolved", fields(&proof.unresolved[0])),
    ] {
        let documented = within(heading, field);
        assert!(value.is_subset(&documented), "{heading} {field}: {value:?} is not {documented:?}");
    }
}

#[test]
fn every_kind_of_event_has_the_fields_that_the_page_lists() {
    let common = documented("### Every event");
    let table = rows("### Kinds of events");
    let mut seen = BTreeSet::new();
    for kind in kinds() {
        let event = RunEvent { at_micros: 1, elapsed: Duration::ZERO, kind };
        let found = fields(&event);
        let value = serde_json::to_value(&event).unwrap();
        let name = value["event"].as_str().unwrap();
        let row = table.iter().find(|row| row[0] == format!("`{name}`")).unwrap_or_else(|| panic!("{name}"));
        let listed = if name == "check_done" { documented("### Answer") } else { names(row[1]) };
        assert_eq!(listed.union(&common).cloned().collect::<BTreeSet<_>>(), found, "{name}");
        seen.insert(name.to_owned());
    }
    assert_eq!(seen.len(), table.len(), "{seen:?}");
}

#[test]
fn every_state_outcome_and_verdict_is_on_the_page() {
    let states = [
        StepState::Pending,
        StepState::PendingOutOfOrder,
        StepState::Resume { done: 1 },
        StepState::Applied { at_micros: 1, run: String::new() },
        StepState::Deferred,
        StepState::Optional,
        StepState::AboveTarget,
        StepState::NotNeeded { why: String::new() },
    ];
    let table = rows("### State");
    assert_eq!(states.len(), table.len());
    for state in &states {
        // A new state needs a line here, above and on the page.
        match state {
            StepState::Pending
            | StepState::PendingOutOfOrder
            | StepState::Resume { .. }
            | StepState::Applied { .. }
            | StepState::Deferred
            | StepState::Optional
            | StepState::AboveTarget
            | StepState::NotNeeded { .. } => {}
        }
        let value = serde_json::to_value(state).unwrap();
        let name = value["state"].as_str().unwrap();
        let row = table.iter().find(|row| row[0] == format!("`{name}`")).unwrap_or_else(|| panic!("{name}"));
        let mut found = fields(state);
        found.remove("state");
        assert_eq!(names(row[1]), found, "{name}");
    }
    let outcomes = [
        Outcome::Completed,
        Outcome::NothingToDo,
        Outcome::FailedClean,
        Outcome::NeedsDecision,
        Outcome::Interrupted,
        Outcome::LockNotObtained,
        Outcome::ConnectionLost,
    ];
    let found: BTreeSet<String> = outcomes.iter().map(text).collect();
    assert_eq!(documented("### Outcome"), found);
    let verdicts = [Verdict::Holds, Verdict::False, Verdict::NotMeasured, Verdict::Skipped];
    let answer = rows("### Answer");
    let row = answer.iter().find(|row| row[0] == "`verdict`").unwrap();
    assert_eq!(names(row[1]), verdicts.iter().map(text).collect());
}

fn as_value(document: &impl Serialize) -> Value {
    serde_json::to_value(document).unwrap()
}

/// What is a string in JSON.
fn text(value: &impl Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn the_examples_can_be_read_and_lack_nothing() {
    let examples: Vec<&str> = PAGE
        .split("```json\n")
        .skip(1)
        .flat_map(|after| after.split("\n```").next().unwrap().lines())
        .collect();
    let value: Value = serde_json::from_str(examples[0]).unwrap();
    let plan: Plan = serde_json::from_value(value.clone()).unwrap();
    let Value::Object(mut keys) = value else { panic!("no object") };
    for beside in documented("### Beside the plan") {
        keys.remove(&beside).unwrap_or_else(|| panic!("{beside}"));
    }
    assert_eq!(serde_json::to_value(plan).unwrap(), Value::Object(keys));
    for line in &examples[1..] {
        let Value::Object(mut keys) = serde_json::from_str(line).unwrap() else { panic!("no object") };
        assert_eq!(keys.remove("format_version"), Some(Value::from(1)));
        let event: RunEvent = serde_json::from_value(Value::Object(keys.clone())).unwrap();
        assert_eq!(serde_json::to_value(event).unwrap(), Value::Object(keys), "{line}");
    }
    assert_eq!(examples.len(), 5);
}

/// A run of the first version that has none of the fields added since is still read.
#[test]
fn a_run_without_later_fields_is_read() {
    let mut value = serde_json::to_value(fixture::eventful()).unwrap();
    for step in value["plan"]["steps"].as_array_mut().unwrap() {
        for added in ["references", "writes"] {
            step.as_object_mut().unwrap().remove(added).unwrap();
        }
    }
    let run: Run = serde_json::from_value(value).unwrap();
    assert!(run.plan.steps.iter().all(|step| step.references.is_empty() && step.writes.is_empty()));
}

/// One of each kind.
fn kinds() -> Vec<EventKind> {
    let migration = || fixture::id("1");
    let text = String::new;
    let took = Duration::ZERO;
    let all = vec![
        EventKind::RunStarted { run: text(), steps: 1 },
        EventKind::RunnerWaiting { holder: text() },
        EventKind::RunnerLocked { token: 1 },
        EventKind::RunnerLockLost { why: text() },
        EventKind::RunnerLockRegained { token: 1 },
        EventKind::Renumbered { migration: migration(), path: text(), from: migration(), from_path: text() },
        EventKind::BackupStarted { stage: text(), path: text() },
        EventKind::BackupTaken { stage: text(), path: text(), bytes: 1, sha256: text() },
        EventKind::BackupRestored { stage: text(), path: text(), tables: 1, rows: 1, took },
        EventKind::StepStarted { migration: migration(), path: text() },
        EventKind::StepNote { migration: migration(), note: text() },
        EventKind::LockWaiting { migration: migration(), attempt: 1, blockers: Vec::new() },
        EventKind::Notice {
            migration: migration(),
            severity: text(),
            code: text(),
            message: text(),
            line: 1,
        },
        EventKind::UnitFinished { migration: migration(), unit: 1, units: 2, took },
        EventKind::StepFinished { migration: migration(), statements: 1, took, attempts: 1 },
        EventKind::StepFailed {
            migration: migration(),
            message: text(),
            code: None,
            state: text(),
            parts: PartsDone { done: 1, of: 2 },
        },
        EventKind::StepSkipped { migration: migration(), why: text() },
        EventKind::Figures { table: text(), rows: 1, digest: text() },
        EventKind::VerificationStarted { operator: text() },
        EventKind::CheckDone(fixture::check("", "", "", "", Verdict::Holds)),
        EventKind::SchemaLeft { erd: Some(crate::erd::Erd::default()) },
        EventKind::RunFinished { outcome: Outcome::Completed },
    ];
    for kind in &all {
        // A new kind needs a line here, above and on the page.
        match kind {
            EventKind::RunStarted { .. }
            | EventKind::RunnerWaiting { .. }
            | EventKind::RunnerLocked { .. }
            | EventKind::RunnerLockLost { .. }
            | EventKind::RunnerLockRegained { .. }
            | EventKind::Renumbered { .. }
            | EventKind::BackupStarted { .. }
            | EventKind::BackupTaken { .. }
            | EventKind::BackupRestored { .. }
            | EventKind::StepNote { .. }
            | EventKind::StepStarted { .. }
            | EventKind::LockWaiting { .. }
            | EventKind::Notice { .. }
            | EventKind::UnitFinished { .. }
            | EventKind::StepFinished { .. }
            | EventKind::StepFailed { .. }
            | EventKind::StepSkipped { .. }
            | EventKind::Figures { .. }
            | EventKind::VerificationStarted { .. }
            | EventKind::CheckDone(_)
            | EventKind::SchemaLeft { .. }
            | EventKind::RunFinished { .. } => {}
        }
    }
    all
}
