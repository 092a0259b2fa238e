//! `API.md` of the applied system: every function with what the catalogue says of it, every error that the tests see raised listed, and
//! every listed one raised.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cutover::baseline;
use cutover::documents::{Request, gather};
use cutover::verify::SandboxProvider;
use cutover::{Project, SystemClock};
use testkit::Database;
use testkit::markdown::{Row, table};

use crate::flows::misuse;
use crate::support::{Spark, applied, system};

fn scratch() -> SandboxProvider {
    SandboxProvider::dev_url(testkit::server().server().options("postgres"))
}

/// A database that had the tables and the old backend before, and got the 44 files.
async fn live(project: &Project) -> Database {
    let database = testkit::database();
    for file in project.migrations.iter().filter(|file| file.path.starts_with("base/")) {
        database
            .run(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file.path)).unwrap());
    }
    let (sandbox, clock) = (scratch(), SystemClock::new());
    let request = baseline::Request {
        to: "base/010",
        allow: &[],
        sandbox: &sandbox,
        operator: "test".into(),
        tool: "test".into(),
        clock: &clock,
    };
    let options = database.options();
    let outlook = baseline::look(project, &options, &request).await.unwrap();
    baseline::record(project, &options, &request, &outlook).await.unwrap();
    applied(project, &options, None, &mut |_: &_| {}).await;
    database
}

async fn document(project: &Project, database: &Database) -> String {
    let (options, sandbox) = (database.options(), scratch());
    let request = Request { options: &options, sandbox: &sandbox, folder: None, wait: None };
    let found = Box::pin(gather(project, request)).await.unwrap();
    assert!(found.unresolved().is_empty(), "{:?}", found.unresolved());
    let made = found.render(None).unwrap();
    made.into_iter().find(|document| document.name == "API.md").unwrap().text
}

/// Functions of the catalogue, without the old backend's and those of triggers.
const CATALOGUE: &str = "SET search_path = pg_catalog; SET client_min_messages = warning;
    SELECT format('%I.%I(%s)', n.nspname, p.proname,
                  coalesce((SELECT string_agg(format_type(a.t, NULL), ', ' ORDER BY a.i) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, i)), '')),
           format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_arguments(p.oid)), pg_get_function_result(p.oid), l.lanname,
           CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END,
           (SELECT substr(c, 13) FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%'),
           coalesce((SELECT string_agg(c, ', ') FROM unnest(p.proconfig) c WHERE c NOT LIKE 'search_path=%'), 'none'),
           p.pronargs, p.proname
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
     WHERE n.nspname = 'public' AND p.prorettype <> 'trigger'::regtype AND p.proname !~ '^old_'
     ORDER BY 1";

/// What is listed, of clients and what is internal.
fn listed(text: &str) -> [Vec<Row>; 2] {
    ["## Functions", "## Internal functions"].map(|heading| table(text, heading))
}

/// The table of what is said of a function, as names and values.
fn said(text: &str, signature: &str) -> BTreeMap<String, String> {
    let rows = table(text, &format!("## `{signature}`"));
    rows.into_iter().map(|mut row: Row| (row.remove("What").unwrap(), row.remove("").unwrap())).collect()
}

#[tokio::test]
async fn the_document_says_what_the_catalogue_has() {
    let project = system();
    let database = live(&project).await;
    let text = document(&project, &database).await;
    assert_eq!(document(&project, &database).await, text);

    let rows = database.rows(CATALOGUE);
    let [of_clients, internal] = listed(&text);
    let counted = format!("\n{} functions that migrations made and that are in database", of_clients.len());
    assert!(text.contains(&counted), "{text}");
    let is_internal = |row: &Row| row["Function"].starts_with("public.spark_");
    assert!(internal.iter().any(is_internal) && !of_clients.iter().any(is_internal));
    let functions: Vec<Row> = of_clients.into_iter().chain(internal).collect();
    let listed: BTreeSet<&str> = functions.iter().map(|row| row["Function"].as_str()).collect();
    assert_eq!((listed.len(), functions.len()), (rows.len(), rows.len()));
    for row in rows {
        let cell: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
        let [signature, whole, result, language, volatility, path, settings, arguments, name] = &cell[..]
        else {
            panic!()
        };
        let listed = functions
            .iter()
            .find(|row| row["Function"] == *signature)
            .unwrap_or_else(|| panic!("{signature}"));
        assert_eq!((&listed["Result"], listed["Kind"].as_str()), (result, "function"), "{signature}");
        let said = said(&text, signature);
        for (what, value) in [
            ("Call", whole),
            ("Result", result),
            ("Language", language),
            ("Volatility", volatility),
            ("Looks for names in", path),
            ("Other settings", settings),
        ] {
            assert_eq!(said[what], *value, "{signature}: {what}");
        }
        assert!(
            said["Runs as"].contains("INVOKER") && said["May execute it"].starts_with("PUBLIC, "),
            "{said:?}"
        );
        if arguments != "0" {
            let listed = table(&text, &format!("### Arguments of `{signature}`"));
            assert_eq!(listed.len().to_string(), *arguments, "{signature}");
        }
        // The line is that of its statement.
        let made = &said["Made by"];
        let (file, line) = made.rsplit_once(", ").unwrap().1.rsplit_once(':').unwrap();
        let file = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let line = file.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap();
        assert!(line.starts_with(&format!("CREATE FUNCTION public.{name}(")), "{made}: {line}");
    }
    let calls = table(&text, "## Old call, new call");
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|row| row["Verdict"] == "both are there"), "{calls:?}");
    assert!(calls[0]["What is otherwise"].contains("argument 2, p_prefs jsonb, is new"), "{calls:?}");
    assert!(!text.contains("## Without a new call"));
    assert_eq!(said(&text, "public.queue_join(uuid, jsonb)")["In the place of"], "public.old_join(uuid)");
    let voted = table(&text, "### Results of `public.spark_resolve_votes(uuid)`");
    let mut outcomes: Vec<&str> = voted.iter().map(|row| row["Keys"].as_str()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["outcome = \"both_yes\"", "outcome = \"one_pass\"", "outcome = \"waiting\""]);
}

/// Whether a message is one of a format.
fn is_of(message: &str, format: &str) -> bool {
    let mut rest = message;
    for (at, piece) in format.split('%').enumerate() {
        match rest.find(piece) {
            Some(0) => rest = &rest[piece.len()..],
            Some(found) if at > 0 => rest = &rest[found + piece.len()..],
            _ => return false,
        }
    }
    format.ends_with('%') || rest.is_empty()
}

/// The errors that a function is said to raise: SQLSTATE and format.
fn errors(text: &str, signature: &str) -> Vec<Row> {
    let heading = format!("### Errors of `{signature}`");
    if text.contains(&format!("\n{heading}\n")) { table(text, &heading) } else { Vec::new() }
}

/// What calls raise: function, SQLSTATE and message.
fn raised() -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    let mut note = |spark: &Spark, call: &str| {
        let (code, message) = spark.try_at(0, &format!("SELECT {call}")).expect_err(call);
        all.push((call.split('(').next().unwrap().to_owned(), code, message));
    };
    let spark = Spark::with_voters();
    spark.0.run("INSERT INTO profiles (id, name, age, gender, is_online) VALUES (test.u(3), 'other', 30, 'male', true)");
    let id = spark.0.value("SELECT test.m()");
    for (call, _) in misuse(&id).iter().filter(|(_, code)| code.starts_with("SP")) {
        note(&spark, call);
    }
    note(&spark, "state_machine_transition(test.u(1), 'match_found')");
    note(&spark, "state_machine_transition(test.u(1), 'nonsense')");
    note(&spark, "setup_schedulers()");
    note(&spark, "spark_now() FROM set_config('spark.now', 'infinity', false)");
    note(&spark, &format!("handle_idle_voter('{id}', test.u(2))"));
    let late = "FROM set_config('spark.now', '2026-01-01 12:00:40+00', false)";
    note(&spark, &format!("submit_vote(test.u(1), test.m(), 'yes') {late}"));
    spark.value(0, &format!("SELECT submit_vote(test.u(1), '{id}', 'yes')"));
    note(&spark, &format!("handle_idle_voter('{id}', test.u(1))"));
    let spark = Spark::with_a_pair();
    note(&spark, "handle_reveal_timeout(test.m(), test.u(1))");
    note(&spark, &format!("complete_reveal(test.u(1), test.m()) {late}"));
    note(&spark, "submit_vote(test.u(1), test.m(), 'yes')");
    spark.value(0, "SELECT complete_reveal(test.u(1), test.m())");
    note(&spark, "handle_reveal_timeout(test.m(), test.u(1))");
    spark.value(0, "SELECT handle_user_offline(test.u(2))");
    note(&spark, "complete_reveal(test.u(2), test.m())");
    all
}

#[tokio::test]
async fn each_error_that_is_seen_is_listed_and_each_listed_one_is_seen() {
    let project = system();
    let database = live(&project).await;
    let text = document(&project, &database).await;
    let functions: Vec<String> =
        listed(&text).into_iter().flatten().map(|mut row| row.remove("Function").unwrap()).collect();
    let raised = raised();
    for (name, code, message) in &raised {
        let signature = functions.iter().find(|one| one.starts_with(&format!("public.{name}("))).unwrap();
        let listed = errors(&text, signature);
        let is_it = |row: &Row| row["SQLSTATE"] == *code && is_of(message, &row["Message"]);
        assert!(listed.iter().any(is_it), "{name} raises {code} {message}, and is said to raise {listed:#?}");
    }
    let all: BTreeSet<(String, String, String)> = functions
        .iter()
        .flat_map(|signature| errors(&text, signature))
        .map(|row| (row["Raised by"].clone(), row["SQLSTATE"].clone(), row["Message"].clone()))
        .collect();
    assert!(all.len() >= 10, "{all:?}");
    for (by, code, format) in &all {
        let is_seen = raised.iter().any(|(_, seen, message)| seen == code && is_of(message, format));
        // What two others have to change again and again in the same moment.
        assert!(is_seen || code == "40001", "nobody has seen {code} {format} of {by}");
        // It never leaves a function.
        assert_ne!(code, "SP020");
    }
}
