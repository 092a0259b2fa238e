use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::checker::{Sample, Seen};
use crate::figures::{Figures, OUTCOMES, Wait, Waiting};
use crate::runs::{JobRun, Runs, Schedule};
use crate::simulation::Settings;
use crate::tally::Tally;

const HOSTILE: &str =
    "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u{202e}\n\u{1b}[31m";

/// An outcome in which everything that is text from elsewhere is hostile.
fn hostile() -> Outcome {
    let mut seen = Seen::default();
    (seen.rounds, seen.samples) =
        (2, vec![Sample { at: 0, counts: [0; 8] }, Sample { at: 9_000, counts: [3; 8] }]);
    for looked in &mut seen.invariants {
        (looked.violations, looked.examples) = (1, vec![HOSTILE.to_owned()]);
    }
    let mut tally = Tally::default();
    tally.kinds[5].micros = vec![900, 1_500];
    tally.kinds[5].errors = BTreeMap::from([(HOSTILE.to_owned(), 1), ("SP004".to_owned(), 2)]);
    let run = |job: &str| JobRun {
        job: job.to_owned(),
        began: 5_000,
        seconds: 0.02,
        lag: 7,
        error: Some(HOSTILE.to_owned()),
    };
    let schedule = |name: &str| Schedule { name: name.to_owned(), seconds: 5, command: HOSTILE.to_owned() };
    let wait = |gender, seconds| Wait { user: HOSTILE.to_owned(), gender, seconds, at: Some(6_000) };
    Outcome {
        settings: Settings {
            users: 2,
            men: 50,
            connections: 1,
            seconds: 10,
            seed: 7,
            speed: 20,
            deleting: 0,
        },
        server: HOSTILE.to_owned(),
        simulated: 10_000,
        took: Duration::from_millis(500),
        interrupted: true,
        figures: Figures {
            waits: vec![wait(Gender::Men, 2.0), wait(Gender::Women, 3.5)],
            pairs: vec![6_000],
            outcomes: OUTCOMES.iter().map(|name| (*name, 1)).collect(),
            waiting: vec![Waiting { gender: Gender::Others, score: 44.0 }],
            boosts: vec![(HOSTILE.to_owned(), 1)],
            ..Figures::default()
        },
        tally,
        runs: Runs {
            schedules: vec![schedule("matching-orchestrator"), schedule(HOSTILE)],
            runs: vec![run("matching-orchestrator"), run(HOSTILE)],
            ..Runs::default()
        },
        seen,
        taken: Vec::new(),
        problems: vec![HOSTILE.to_owned()],
    }
}

fn empty() -> Outcome {
    Outcome {
        figures: Figures::default(),
        tally: Tally::default(),
        runs: Runs::default(),
        seen: Seen::default(),
        simulated: 0,
        problems: Vec::new(),
        server: "15.1".to_owned(),
        ..hostile()
    }
}

/// Elements that are open at the end, or were closed without having been opened.
fn unbalanced(page: &str) -> Vec<String> {
    let void = ["meta", "!doctype", "br", "hr"];
    let mut open: Vec<String> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let Some(end) = rest[at..].find('>') else { break };
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default().to_lowercase();
        if void.contains(&name.as_str()) {
            continue;
        }
        if tag.starts_with('/') {
            if open.pop().as_deref() != Some(&name) {
                return vec![format!("{name} is closed and is not open")];
            }
        } else {
            open.push(name);
        }
    }
    open
}

#[test]
fn nothing_from_elsewhere_acts() {
    let page = page(&hostile());
    assert_eq!(unbalanced(&page), Vec::<String>::new());
    for acts in ["<script", "<img", "onerror=alert(1)>", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(acts), "{acts:?}");
    }
    // It is shown all the same: once for each invariant, and everywhere else.
    assert!(page.matches("&lt;script&gt;").count() > INVARIANTS.len());
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn nothing_is_fetched_and_everything_has_a_text() {
    for page in [page(&hostile()), page(&empty())] {
        for fetched in ["http:", "https:", "url(http", "@import", "src=", "href="] {
            assert!(!page.replace("src=x", "").contains(fetched), "{fetched}");
        }
        let pictures = page.matches("<svg").count();
        assert!(pictures >= 5, "{pictures}");
        assert_eq!(page.matches("role=\"img\"").count(), pictures);
        assert_eq!(page.matches("<desc").count(), pictures);
        assert!(!page.contains("NaN"));
        assert!(page.contains("prefers-color-scheme:dark"));
        for invariant in INVARIANTS {
            assert!(page.contains(invariant.name), "{}", invariant.name);
        }
    }
}

#[test]
fn the_verdict_is_that_of_the_eye() {
    assert_eq!(verdict(&empty()), "everything held");
    assert!(page(&empty()).contains("header class=\"good\""));
    assert_eq!(verdict(&hostile()), format!("{} violations", INVARIANTS.len()));
    assert!(page(&hostile()).contains("header class=\"bad\""));
    let unseen = Outcome { problems: vec!["no".to_owned()], ..empty() };
    assert_eq!(verdict(&unseen), "not looked at to the end");
}
