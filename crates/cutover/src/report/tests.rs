//! Whole documents against the expected files in `testdata/`. `UPDATE_EXPECT=1 cargo test -p cutover report` writes
//! them anew; read the difference before you commit it.

use std::time::Duration;

use expect_test::expect_file;

use super::fixture;
use super::text::{Detail, Progress, TextStyle, plan_lines, plan_overview, summary, verification_table};
use crate::plan::StepState;
use crate::run::{Blocker, EventKind, Outcome, Run, RunEvent, Verdict};

#[test]
fn markdown_of_every_outcome() {
    use super::markdown;
    expect_file!["testdata/eventful.md"].assert_eq(&markdown(&fixture::eventful()));
    expect_file!["testdata/failed.md"].assert_eq(&markdown(&fixture::failed()));
    expect_file!["testdata/partly.md"].assert_eq(&markdown(&fixture::partly()));
    expect_file!["testdata/killed.md"].assert_eq(&markdown(&fixture::killed()));
    expect_file!["testdata/empty.md"].assert_eq(&markdown(&fixture::empty()));
    expect_file!["testdata/hostile.md"].assert_eq(&markdown(&fixture::hostile()));
}

/// The JSON form is read by other programs and by later versions: it changes only on purpose.
#[test]
fn json_is_as_it_was_and_comes_back() {
    for (run, file) in [
        (fixture::eventful(), expect_file!["testdata/eventful.json"]),
        (fixture::killed(), expect_file!["testdata/killed.json"]),
    ] {
        let mut json = serde_json::to_string_pretty(&run).expect("a run is JSON");
        json.push('\n');
        file.assert_eq(&json);
        let back: Run = serde_json::from_str(&json).expect("its own JSON");
        assert_eq!(back, run);
    }
    for run in
        [fixture::failed(), fixture::partly(), fixture::empty(), fixture::hostile(), fixture::thousand(true)]
    {
        let json = serde_json::to_string(&run).expect("a run is JSON");
        assert_eq!(serde_json::from_str::<Run>(&json).expect("its own JSON"), run);
    }
}

#[test]
fn html_of_every_outcome() {
    use super::html;
    expect_file!["testdata/eventful.html"].assert_eq(&html(&fixture::eventful()));
    expect_file!["testdata/failed.html"].assert_eq(&html(&fixture::failed()));
    expect_file!["testdata/partly.html"].assert_eq(&html(&fixture::partly()));
    expect_file!["testdata/killed.html"].assert_eq(&html(&fixture::killed()));
    expect_file!["testdata/empty.html"].assert_eq(&html(&fixture::empty()));
    expect_file!["testdata/hostile.html"].assert_eq(&html(&fixture::hostile()));
}

#[test]
fn a_rehearsal_as_page_and_text() {
    let rehearsal = fixture::rehearsal();
    let page = super::rehearsal_html(&rehearsal);
    assert!(!page.contains("<b>change"), "what a file is called is text");
    expect_file!["testdata/rehearsal.html"].assert_eq(&page);
    expect_file!["testdata/rehearsal.txt"].assert_eq(&crate::rehearse::lines(&rehearsal, true));
}

#[test]
fn a_thousand_migrations_make_a_page_one_can_open() {
    for staged in [true, false] {
        let run = fixture::thousand(staged);
        let page = super::html(&run);
        assert!(page.len() < 2_000_000, "{} bytes", page.len());
        assert_eq!(page.matches("<tr class=\"good\">").count(), 1_000);
        assert!(super::markdown(&run).contains("| 1000 | "));
    }
}

/// Everything the command line prints of a run.
fn printed(run: &Run, style: TextStyle) -> String {
    let mut progress = Progress::new(&run.plan, style);
    let mut out = plan_overview(&run.plan, style);
    out.push('\n');
    out.push_str(&plan_lines(&run.plan, style));
    out.push('\n');
    for event in &run.events {
        for line in progress.lines(event) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out.push('\n');
    for detail in [Detail::Groups, Detail::Checks, Detail::Full] {
        out.push_str(&verification_table(&super::answers(run), detail, style));
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&summary(run, style));
    out
}

#[test]
fn text_of_every_outcome() {
    let at = |width| TextStyle { color: false, width };
    expect_file!["testdata/eventful.txt"].assert_eq(&printed(&fixture::eventful(), at(120)));
    expect_file!["testdata/eventful_narrow.txt"].assert_eq(&printed(&fixture::eventful(), at(70)));
    expect_file!["testdata/failed.txt"].assert_eq(&printed(&fixture::failed(), at(100)));
    expect_file!["testdata/partly.txt"].assert_eq(&printed(&fixture::partly(), at(100)));
    expect_file!["testdata/killed.txt"].assert_eq(&printed(&fixture::killed(), TextStyle::PLAIN));
    expect_file!["testdata/empty.txt"].assert_eq(&printed(&fixture::empty(), at(80)));
    expect_file!["testdata/hostile.txt"].assert_eq(&printed(&fixture::hostile(), at(100)));
}

#[test]
fn how_many_migrations_were_worked_on_at_once_is_shown_where_it_is_more_than_one() {
    let mut run = fixture::eventful();
    let said = |run: &Run| [super::markdown(run), super::html(run), summary(run, TextStyle::PLAIN)];
    assert!(said(&run).iter().all(|text| !text.to_lowercase().contains("side by side")));
    run.jobs = 4;
    let [markdown, html, text] = said(&run);
    assert!(markdown.contains("\n| Side by side | up to 4 migrations |\n"), "{markdown}");
    assert!(html.contains("<dt>Side by side</dt><dd>up to 4 migrations</dd>"), "{html}");
    assert!(text.lines().next().unwrap().contains(", up to 4 side by side: "), "{text}");
    run.outcome = Some(Outcome::NothingToDo);
    assert!(!summary(&run, TextStyle::PLAIN).contains("side by side"));
}

/// Runs of text that would act if they were not escaped.
#[test]
fn no_form_lets_text_from_outside_act() {
    let run = fixture::hostile();
    for text in [super::html(&run), super::markdown(&run), printed(&run, TextStyle::PLAIN)] {
        let acting = text.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'));
        assert_eq!(acting, None);
    }
}

/// Each row of a Markdown table has as many cells as its head, and the only markup is ours.
#[test]
fn markdown_keeps_its_shape_with_hostile_names() {
    let text = super::markdown(&fixture::hostile());
    let (mut fence, mut cells, mut rows): (Option<&str>, _, _) = (None, None, 0);
    for line in text.lines() {
        if let Some(mark) = fence {
            fence = fence.filter(|_| line != mark);
            continue;
        }
        let opens = line.strip_suffix("text").or_else(|| line.strip_suffix("mermaid"));
        if let Some(mark) = opens.filter(|mark| mark.starts_with("```")) {
            fence = Some(mark);
            continue;
        }
        let bare = line.replace("<code>", "").replace("</code>", "");
        assert!(!bare.contains('<'), "{line}");
        assert_eq!(bare.matches('`').count() % 2, 0, "{line}");
        if line.starts_with('|') {
            let found = line.matches('|').count();
            assert_eq!(*cells.get_or_insert(found), found, "{line}");
            rows += 1;
        } else {
            cells = None;
        }
    }
    assert_eq!(fence, None);
    assert!(rows > 50);
}

#[test]
fn html_has_only_its_own_tags_and_fetches_nothing() {
    const TAGS: &str = "article b body code dd defs details div dl dt footer g h1 h2 h3 head header html i li line main marker \
                        meta ol p path pattern pre rect section span style summary svg table tbody td text th thead \
                        time title tr tspan ul";
    for run in [fixture::hostile(), fixture::eventful(), fixture::failed()] {
        let page = super::html(&run);
        for tag in page.split('<').skip(1).filter(|tag| !tag.starts_with("!DOCTYPE")) {
            let name = tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next();
            assert!(TAGS.split_whitespace().any(|known| Some(known) == name), "<{tag}");
        }
        assert_eq!(page.matches("<style>").count(), 1);
        for fetching in [" href=", " src=", "@import", "<link", " onload", "http://", "https://"] {
            assert!(!page.contains(fetching), "{fetching}");
        }
        assert_eq!(
            page.matches("url(").count(),
            ["url(#hatch)", "url(#needs)", "url(#refers)"]
                .map(|one| page.matches(one).count())
                .iter()
                .sum::<usize>()
        );
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn waiting_is_told_once_until_it_changes() {
    let run = fixture::eventful();
    let mut progress = Progress::new(&run.plan, TextStyle::PLAIN);
    let mut told = |attempt: u32, pids: &[i32]| {
        let blockers = pids.iter().map(|&pid| Blocker { pid, ..fixture::blocker() }).collect();
        let migration = run.plan.steps[0].migration.clone();
        let kind = EventKind::LockWaiting { migration, attempt, blockers };
        !progress.lines(&RunEvent { at_micros: 0, elapsed: Duration::ZERO, kind }).is_empty()
    };
    let attempts: Vec<bool> = (1..=8).map(|attempt| told(attempt, &[1])).collect();
    assert_eq!(attempts, [true, true, false, true, false, false, false, true]);
    assert!(told(9, &[1, 2]));
    assert!(!told(10, &[1, 2]));
    assert!(told(1, &[1, 2]));
}

#[test]
fn colour_is_the_styles_decision_alone() {
    let run = fixture::eventful();
    let colored = printed(&run, TextStyle { color: true, ..TextStyle::PLAIN });
    let plain = printed(&run, TextStyle::PLAIN);
    assert!(!plain.contains('\u{1b}'));
    let mut stripped = colored.clone();
    for code in ["0", "1", "2", "32", "1;31", "33"] {
        stripped = stripped.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_ne!(colored, plain);
    assert_eq!(stripped, plain);
}

/// Ten thousand applied migrations are one line, and the pending one after them is seen.
#[test]
fn long_histories_are_folded_in_plans() {
    let mut plan = fixture::thousand(false).plan;
    for step in plan.steps.iter_mut().rev().skip(1) {
        step.state = StepState::Applied { at_micros: 0, run: "r".into() };
    }
    let text = plan_lines(&plan, TextStyle::PLAIN);
    assert!(text.contains("✓ V0001 – V0999: 999 applied"), "{text}");
    assert!(text.contains("1,000  +  V1000"), "{text}");
    assert_eq!(text.lines().count(), 7, "{text}");
}

/// The order is that of execution, whatever stages say.
#[test]
fn a_plan_is_listed_in_the_order_in_which_it_runs() {
    let mut plan = fixture::plan();
    plan.stages.truncate(3);
    let (a, empty, b) = (&plan.stages[0].id, &plan.stages[1].id, &plan.stages[2].id);
    let stages = [Some(a), Some(b), Some(a), None, Some(b), None];
    plan.steps = stages
        .iter()
        .zip(1..)
        .map(|(stage, n)| fixture::step(&n.to_string(), "x", stage.map(String::as_str), &[]))
        .collect();
    let expected: Vec<String> = [
        format!("sprint {a}"),
        "1".into(),
        format!("sprint {empty}"),
        format!("sprint {b}"),
        "2".into(),
        format!("sprint {a} (continued)"),
        "3".into(),
        "Without a stage".into(),
        "4".into(),
        format!("sprint {b} (continued)"),
        "5".into(),
        "Without a stage".into(),
        "6".into(),
    ]
    .into();
    let text = plan_lines(&plan, TextStyle::PLAIN);
    let seen: Vec<String> = text
        .lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["sprint", id, ..] if line.ends_with("(continued)") => {
                    Some(format!("sprint {id} (continued)"))
                }
                ["sprint", id, ..] => Some(format!("sprint {id}")),
                ["Without", ..] => Some("Without a stage".to_owned()),
                [number, "+", ..] => Some((*number).to_owned()),
                _ => None,
            }
        })
        .collect();
    assert_eq!(seen, expected, "{text}");
    let overview = plan_overview(&plan, TextStyle::PLAIN);
    assert_eq!(overview.matches("continued").count(), 2, "{overview}");
}

/// A precondition that keeps its migration from starting is told by the failure, and not again beside it.
#[test]
fn a_failed_precondition_is_said_once() {
    let mut run = fixture::failed();
    let place =
        run.events.iter().position(|event| matches!(event.kind, EventKind::StepFailed { .. })).unwrap();
    let EventKind::StepFailed { migration, message, .. } = &mut run.events[place].kind else { panic!() };
    *message = "V1: what must hold before it does not\n  no orphans: expected no rows, found 3 rows".into();
    let mut check = fixture::check("no orphans", "no_rows", "no rows", "3 rows", Verdict::False);
    check.migration = Some(migration.clone());
    let event = RunEvent { kind: EventKind::CheckDone(check), ..run.events[place].clone() };
    run.events.insert(place, event);
    let text = summary(&run, TextStyle::PLAIN);
    assert!(!text.contains("claim") && !text.contains("1 false"), "{text}");
    assert_eq!(super::answers_besides_failures(&run), []);
    assert_eq!(super::answers(&run).len(), 1);
    for page in [super::html(&run), super::markdown(&run)] {
        assert!(!page.contains("Claims that do not hold"), "{page}");
    }
}

/// An empty cell would say that it does nothing.
#[test]
fn a_migration_that_was_not_read_is_said_not_to_be() {
    let mut before = fixture::step("0001", "a", None, &[]);
    before.state = StepState::Applied { at_micros: 0, run: "r".into() };
    before.statements = 0;
    let mut empty = fixture::step("0002", "b", None, &[]);
    empty.statements = 0;
    let plan = crate::plan::Plan { stages: Vec::new(), steps: vec![before, empty], ..fixture::plan() };
    let run = fixture::document(plan, None, Vec::new());
    let markdown = super::markdown(&run);
    let contents = markdown.split("## What each migration does").nth(1).unwrap_or_default();
    assert!(contents.contains("| `V0001` | not read |"), "{contents}");
    assert_eq!(contents.matches("not read").count(), 1, "{contents}");
    assert_eq!(super::html(&run).matches("the file was not read").count(), 1);
}

#[test]
fn the_only_part_of_a_migration_has_no_line_of_its_own() {
    let step = fixture::step("0001", "a", None, &[]);
    let plan = crate::plan::Plan { steps: vec![step.clone()], ..fixture::plan() };
    let mut progress = Progress::new(&plan, TextStyle { color: false, width: 80 });
    let mut line = |units| {
        let took = Duration::from_millis(2);
        let kind = EventKind::UnitFinished { migration: step.migration.clone(), unit: 1, units, took };
        progress.lines(&RunEvent { at_micros: 0, elapsed: took, kind })
    };
    assert_eq!(line(1), [""; 0]);
    assert_eq!(line(2), ["    V0001  part 1 of 2  2.0 ms"]);
}

/// A run says what it leaves out before its first step; whoever reads along finds it where it stands in the order.
#[test]
fn what_is_left_out_has_its_line_where_it_stands_in_the_order() {
    let step = |version: &str| fixture::step(version, "a", None, &[]);
    let steps: Vec<_> = ["0001", "0002", "0003", "0004", "0005"].map(step).into();
    let plan = crate::plan::Plan { steps, ..fixture::plan() };
    let migration = |at: usize| plan.steps[at].migration.clone();
    let told = |outcome: Outcome, also: Option<EventKind>| {
        let mut progress = Progress::new(&plan, TextStyle { color: false, width: 80 });
        let mut kinds: Vec<EventKind> = [0, 2, 4]
            .map(|at| EventKind::StepSkipped { migration: migration(at), why: "deferred".into() })
            .into();
        for at in [1, 3] {
            let path = plan.steps[at].path.clone();
            kinds.push(EventKind::StepStarted { migration: migration(at), path });
            let took = Duration::from_millis(2);
            kinds.push(EventKind::StepFinished {
                migration: migration(at),
                statements: 1,
                took,
                attempts: 1,
            });
        }
        kinds.extend(also);
        kinds.push(EventKind::RunFinished { outcome });
        let event = |kind| RunEvent { at_micros: 0, elapsed: Duration::ZERO, kind };
        let lines: Vec<String> = kinds.into_iter().flat_map(|kind| progress.lines(&event(kind))).collect();
        lines.iter().map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(Outcome::Completed, None), ["V0001", "V0002", "V0003", "V0004", "V0005"]);
    // What comes behind the end of a run that did not get there was not reached.
    assert_eq!(told(Outcome::Interrupted, None), ["V0001", "V0002", "V0003", "V0004"]);
    // What comes from outside is made fit to be shown there too.
    let hostile = fixture::hostile();
    let mut progress = Progress::new(&hostile.plan, TextStyle { color: false, width: 80 });
    let end = EventKind::RunFinished { outcome: Outcome::Completed };
    let end = RunEvent { at_micros: 0, elapsed: Duration::ZERO, kind: end };
    let last = hostile.events.iter().chain([&end]).flat_map(|event| progress.lines(event)).last().unwrap();
    assert!(last.starts_with("  – V0101  ") && !last.contains(char::is_control), "{last:?}");
    // One that is told late is not held back.
    let late = EventKind::StepSkipped { migration: migration(2), why: "deferred".into() };
    assert_eq!(told(Outcome::Interrupted, Some(late)), ["V0001", "V0002", "V0003", "V0004", "V0003"]);
}
