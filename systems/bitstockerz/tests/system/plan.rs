//! The plan: the roadmap flattened into one order, with what each file creates and where it is cut from.

use cutover::inspect;
use cutover::plan::select::Selection;
use cutover::plan::{Plan, Step, StepState};
use cutover::report::text::{TextStyle, plan_lines};

use crate::roadmap::{Entry, MIGRATIONS, OPTIONAL, SPRINTS};
use crate::support::{applying, finished, system};

fn planned() -> Plan {
    let inspection = inspect::files_only(&system(), &Selection::default()).unwrap();
    inspection.built.plan
}

fn assert_is(step: &Step, entry: &Entry) {
    assert_eq!(step.migration.version.text(), entry.version);
    assert_eq!(step.path, format!("migrations/{}", entry.file));
    assert_eq!(step.stage.as_deref(), Some(entry.stage), "{}", entry.file);
    assert_eq!(step.creates.first().map(String::as_str), Some(entry.creates), "{}", entry.file);
    assert_eq!(step.claims.creates, step.creates, "{}: what is claimed is what the file says", entry.file);
    assert_eq!(step.claims.source.as_deref().unwrap_or_default(), entry.ddl, "{}", entry.file);
    assert_eq!(step.opaque, None, "{}: its effects are fully known", entry.file);
}

#[test]
fn plan_is_the_spec_order() {
    let plan = planned();
    let (optional, main): (Vec<&Step>, Vec<&Step>) =
        plan.steps.iter().partition(|step| step.state == StepState::Optional);
    assert_eq!(main.len(), MIGRATIONS.len());
    assert_eq!(optional.len(), OPTIONAL.len());
    for (step, entry) in main.iter().zip(&MIGRATIONS) {
        assert_is(step, entry);
        assert_eq!(step.creates.len(), 1, "{}: one thing a file", entry.file);
        assert_eq!(step.state, StepState::Pending, "{}", entry.file);
        assert!(!step.claims.optional && !step.claims.deferred, "{}", entry.file);
    }
    for (step, entry) in optional.iter().zip(&OPTIONAL) {
        assert_is(step, entry);
        assert!(step.claims.optional, "{}", entry.file);
    }
    let text = plan_lines(&plan, TextStyle::PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    let place = |entry: &Entry| {
        let version = format!("V{}", entry.version);
        let is_its = |line: &&str| line.contains(&version) && line.contains(entry.name());
        lines.iter().position(is_its).unwrap_or_else(|| panic!("no line of {version} in\n{text}"))
    };
    let places: Vec<usize> = MIGRATIONS.iter().map(place).collect();
    assert!(places.is_sorted(), "{text}");
    for (entry, line) in MIGRATIONS.iter().zip(places.iter().map(|place| lines[*place])) {
        let created = entry.creates.rsplit([' ', '.']).next().unwrap_or_default();
        assert!(line.contains(created) && line.contains(entry.ddl), "{line}");
    }
}

/// Also where there is no room for it in each line.
#[test]
fn the_design_files_are_said_at_any_width() {
    let plan = planned();
    for width in [60, 80, 120, 160, 200] {
        let text = plan_lines(&plan, TextStyle { color: false, width });
        for entry in &MIGRATIONS {
            assert!(text.contains(entry.ddl), "{width}: {} in\n{text}", entry.ddl);
        }
    }
}

#[tokio::test]
async fn what_is_planned_is_what_runs() {
    let database = testkit::database();
    let run = applying(&system(), &database.options()).completes().await;
    let planned: Vec<&str> = MIGRATIONS.iter().map(|entry| entry.version).collect();
    assert_eq!(finished(&run), planned);
}

/// Words of the notes that sprints must carry.
const NOTES: [(&str, &[&str]); 4] = [
    ("1.3", &["checkpoints", "jobs.payload_json"]),
    ("2.2", &["ndicators and conditions", "definition_json"]),
    ("3.2", &["V0330", "deferred"]),
    ("7.1", &["cache metadata"]),
];

#[test]
fn notes_reach_the_plan() {
    let plan = planned();
    let sprints: Vec<(&str, &str)> =
        plan.stages.iter().map(|stage| (stage.id.as_str(), stage.title.as_str())).collect();
    assert_eq!(sprints, SPRINTS);
    assert!(plan.stages.iter().all(|stage| stage.kind == "sprint"));
    for (id, words) in NOTES {
        let stage = plan.stages.iter().find(|stage| stage.id == id).unwrap();
        let notes = stage.notes.join("\n");
        for word in words {
            assert!(notes.contains(word), "{id}: {word:?} in {notes:?}");
        }
    }
    let text = plan_lines(&plan, TextStyle::PLAIN);
    for note in plan.stages.iter().flat_map(|stage| &stage.notes) {
        assert!(text.contains(note), "{note:?} in\n{text}");
    }
}
