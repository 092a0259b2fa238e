//! The report of the stored run shows the whole roadmap and every answer.

use std::time::Duration;

use cutover::history::journal;
use cutover::inspect;
use cutover::report::{html, markdown};
use cutover::run::{CheckResult, EventKind, RunEvent};
use cutover::verify::VerifyRequest;

use crate::roadmap::{MIGRATIONS, OPTIONAL, SPRINTS};
use crate::support::{applying, measured, system};

/// Markdown without its escapes, on one line.
fn plain_markdown(text: &str) -> String {
    html_entities(&text.replace('\\', "").replace("<br>", " "))
}

/// HTML without its tags, on one line.
fn plain_html(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        plain.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    html_entities(&plain)
}

fn html_entities(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    text.replace("&amp;", "&")
}

#[tokio::test]
async fn report_shows_all_sprints() {
    let (project, database) = (system(), testkit::database());
    let options = database.options();
    let run = applying(&project, &options).deferring("0330").completes().await;
    let request = VerifyRequest { fresh: true, ..VerifyRequest::default() };
    let results = measured(&project, &options, &request).await;
    assert!(results.len() > 100);
    let mut session = inspect::connect(&options, None).await.unwrap();
    journal::append_events(&mut session, &run.id, &events(&results)).await.unwrap();
    let stored = inspect::stored_run(&mut session, &project.name, None).await.unwrap().unwrap();
    session.close().await;
    assert_eq!(stored.id, run.id);
    for (form, text) in
        [("Markdown", plain_markdown(&markdown(&stored))), ("HTML", plain_html(&html(&stored)))]
    {
        for (id, title) in SPRINTS {
            assert!(text.contains(id) && text.contains(title), "{form}: sprint {id} {title} in\n{text}");
        }
        for entry in MIGRATIONS.iter().chain(&OPTIONAL) {
            assert!(text.contains(entry.name()), "{form}: {}", entry.file);
        }
        for note in project.stages.iter().flat_map(|stage| &stage.notes) {
            assert!(text.contains(note), "{form}: {note:?} in\n{text}");
        }
        let lower = text.to_lowercase();
        for result in &results {
            // Answers of one check stand together, with its name as their title.
            for part in result.name.to_lowercase().split(": ") {
                assert!(lower.contains(part), "{form}: {:?}", result.name);
            }
        }
        assert!(text.contains("deferred"), "{form}");
    }
}

fn events(results: &[CheckResult]) -> Vec<RunEvent> {
    let event = |result: &CheckResult| RunEvent {
        at_micros: 1_800_000_000_000_000,
        elapsed: Duration::from_secs(1),
        kind: EventKind::CheckDone(result.clone()),
    };
    results.iter().map(event).collect()
}
