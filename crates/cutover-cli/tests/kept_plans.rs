//! What a kept plan shows to whoever reviews it, and that it is applied as it was shown.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Place, says};
use serde_json::Value;

/// Orders are there; what would run changes them, makes something new, copies, and builds an index outside a transaction.
fn place() -> Place {
    let place = Place::new();
    place.database().run("CREATE TABLE orders (n int)");
    place.write(
        "cutover.toml",
        "[project]\nname = \"p\"\n[[migrations]]\npath = \"migrations\"\n[vars]\nkind = \"small\"\nboth = '''/*\n*/'''\n",
    );
    place.write(
        "migrations/0001_a.sql",
        "BEGIN;\nCREATE TABLE a (n int, t text);\nALTER TABLE a ADD k text DEFAULT '${kind}';\n${both} ALTER TABLE orders\n  \
         ALTER n TYPE bigint;\nCOPY a (n, t) FROM stdin;\n1\tx\n2\ty\n\\.\nCOMMIT;",
    );
    place.write(
        "migrations/0002_b.sql",
        "ALTER TABLE a ADD m int;\nCREATE INDEX CONCURRENTLY o ON orders (n);\nCREATE ROLE ${ROLE} PASSWORD 'Hunter2x';\n\
         COMMENT ON TABLE a IS 'hunter2x ${TOKEN}';",
    );
    place
}

const GIVEN: [&str; 4] = ["--var", "ROLE=r1", "--var", "TOKEN=4711"];

fn planned(place: &Place) -> String {
    place.run(&[&["plan", "--out", "plan.json"][..], &GIVEN].concat()).ends_with(0);
    std::fs::read_to_string(place.folder.join("plan.json")).unwrap()
}

#[test]
fn a_kept_plan_holds_what_will_be_sent_and_no_secret() {
    let place = place();
    let text = planned(&place);
    for secret in ["Hunter2x", "hunter2x", "4711"] {
        assert!(!text.contains(secret), "{text}");
    }
    let file: Value = serde_json::from_str(&text).unwrap();
    let texts = |step: usize| -> Vec<String> {
        let sql = file["plan"]["steps"][step]["sql"].as_array().unwrap();
        sql.iter()
            .map(|one| format!("{} {} {}", one["line"], one["unit"], one["text"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(
        texts(0),
        [
            "2 1 CREATE TABLE a (n int, t text)",
            "3 1 ALTER TABLE a ADD k text DEFAULT 'small'",
            "4 1 ALTER TABLE orders\n  ALTER n TYPE bigint",
            "6 1 COPY a (n, t) FROM stdin",
        ],
        "the outer transaction is not sent, and lines are those of the file"
    );
    assert_eq!(
        texts(1),
        [
            "1 1 ALTER TABLE a ADD m int",
            "2 2 CREATE INDEX CONCURRENTLY o ON orders (n)",
            "3 3 CREATE ROLE r1 PASSWORD '********'",
            "4 4 COMMENT ON TABLE a IS '******** ****'",
        ]
    );
    let alter = &file["plan"]["steps"][0]["sql"][2];
    assert_eq!(alter["locks"][0]["relation"], "orders");
    assert_eq!(alter["locks"][0]["mode"], "ACCESS EXCLUSIVE");
    let hazards: Vec<&str> =
        alter["hazards"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(hazards[0], "ACCESS EXCLUSIVE of orders: reads and writes wait");
    assert!(hazards[1].starts_with("rewrites orders"), "{hazards:?}");
    assert_eq!(file["plan"]["steps"][0]["sql"][1].get("locks"), None, "its own table is nobody else's");
    assert_eq!(file["plan"]["steps"][0]["sql"][3]["data"], 8);
    let new = &file["plan"]["steps"][1]["sql"][0];
    assert_eq!((&new["locks"][0]["new"], new.get("hazards")), (&Value::Bool(true), None));
    assert_eq!(
        file["plan"]["steps"][1]["sql"][1]["hazards"][0],
        "outside a transaction: CREATE INDEX CONCURRENTLY"
    );
}

/// Without the project and without a database, as it was when it was made.
#[test]
fn a_kept_plan_is_shown_as_it_was_made() {
    let place = place();
    let made = place.run(&[&["plan"][..], &GIVEN].concat()).ends_with(0);
    planned(&place);
    let elsewhere = Place::without_database();
    std::fs::copy(place.folder.join("plan.json"), elsewhere.folder.join("plan.json")).unwrap();
    let shown = elsewhere.run(&["plan", "plan.json"]).ends_with(0).stdout;
    let mut rest = shown.as_str();
    for part in [
        "kept plan of ",
        ", made by cutover ",
        &made.stdout,
        "Values of placeholders\n  ROLE = ",
        "Statements\n\nmigrations/0001_a.sql\n  line 2\n      CREATE TABLE a (n int, t text)\n",
        "  line 4, locks orders (ACCESS EXCLUSIVE); ACCESS EXCLUSIVE of orders: reads and writes wait; rewrites orders",
        "      ALTER TABLE orders\n        ALTER n TYPE bigint\n",
        "  line 6, with 8 bytes of data\n      COPY a (n, t) FROM stdin\n",
        "migrations/0002_b.sql\n  line 1, part 1, locks a (ACCESS EXCLUSIVE, made by this plan)\n",
        "  line 2, part 2, locks orders (SHARE UPDATE EXCLUSIVE); outside a transaction: CREATE INDEX CONCURRENTLY",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is not in\n{shown}"));
        rest = &rest[at + part.len()..];
    }
    let json = elsewhere.run(&["plan", "plan.json", "--format", "json"]).ends_with(0).stdout;
    let mut document: Value = serde_json::from_str(&json).unwrap();
    for step in document["steps"].as_array_mut().unwrap() {
        assert!(step.as_object_mut().unwrap().remove("sql").is_some());
    }
    let planned = place.run(&[&["plan", "--format", "json"][..], &GIVEN].concat()).ends_with(0).stdout;
    assert_eq!(document, serde_json::from_str::<Value>(&planned).unwrap());
    let refused = elsewhere.run(&["plan", "plan.json", "--out", "other.json"]).ends_with(2);
    says(&refused, &["plan.json is shown as it was made", "--out"]);
}

#[test]
fn an_edited_plan_is_neither_applied_nor_shown() {
    let place = place();
    let text = planned(&place);
    let edits = [
        ("ALTER TABLE a ADD m int", "ALTER TABLE a ADD m bigint"),
        ("\"line\": 2,", "\"line\": 3,"),
        ("\"only\": []", "\"only\": [\"0001\"]"),
        ("\"digest\": \"", "\"digest\": \"0"),
    ];
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        place.write("plan.json", &text.replacen(from, to, 1));
        for arguments in
            [&["apply", "plan.json"][..], &["apply", "plan.json", "--dry-run"], &["plan", "plan.json"]]
        {
            let given = if arguments[0] == "apply" { &GIVEN[..] } else { &[] };
            let refused = place.run(&[arguments, given].concat()).ends_with(2);
            says(
                &refused,
                &[
                    "plan.json: it is not as `cutover plan --out` wrote it",
                    "make it anew with `cutover plan --out`",
                ],
            );
        }
    }
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NULL"), "t");
    // How it is laid out says nothing.
    let value: Value = serde_json::from_str(&text).unwrap();
    place.write("plan.json", &value.to_string());
    place.run(&[&["apply", "plan.json", "--dry-run"][..], &GIVEN].concat()).ends_with(0);
    place.write("plan.json", &text.replacen("\"format_version\": 3", "\"format_version\": 2", 1));
    says(
        &place.run(&["plan", "plan.json"]).ends_with(2),
        &["its format is 2, this program knows 3", "make it anew with `cutover plan --out`"],
    );
}

/// A file may have millions of statements, and one may be of any length.
#[test]
fn what_is_too_much_to_show_is_counted() {
    let place = Place::new();
    let rows = "INSERT INTO a VALUES (1);\n".repeat(2_500);
    place.write("migrations/0001_a.sql", &format!("CREATE TABLE a (n int);\n{rows}"));
    let long = "é".repeat(40_000);
    place.write("migrations/0002_b.sql", &format!("COMMENT ON TABLE a IS '{long}';"));
    place.run(&["plan", "--out", "plan.json"]).ends_with(0);
    let text = std::fs::read_to_string(place.folder.join("plan.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let steps = &file["plan"]["steps"];
    assert_eq!(
        (steps[0]["sql"].as_array().unwrap().len(), &steps[0]["sql_more"]),
        (2_000, &Value::from(501))
    );
    let comment = &steps[1]["sql"][0];
    assert_eq!(comment["text"].as_str().unwrap().len() as u64 + comment["cut"].as_u64().unwrap(), 80_024);
    let shown = place.run(&["plan", "plan.json"]).ends_with(0).stdout;
    assert!(shown.contains("  and 501 more statements, in the file\n"), "{}", shown.len());
    assert!(shown.contains(" more bytes of it, in the file\n"), "{}", shown.len());
    place.run(&["apply", "plan.json"]).ends_with(0);
}

#[test]
fn a_plan_is_named_alone() {
    let place = Place::without_database();
    place.write("001_a.sql", "CREATE TABLE a (n int);");
    for (verb, done) in [("apply", "applied"), ("plan", "shown")] {
        for order in [["plan.json", "001"], ["001", "plan.json"]] {
            let refused = place.run(&[verb, order[0], order[1]]).ends_with(2);
            says(
                &refused,
                &[
                    &format!(
                        "error: plan.json is a kept plan, which is {done} as a whole: no version can be chosen from it, and 001 is named beside it\n"
                    ),
                    &format!(
                        "hint: `cutover {verb} plan.json` for all of it; for 001 alone `cutover {verb} 001`"
                    ),
                    "`cutover plan 001 --out FILE.json`",
                ],
            );
        }
    }
    let refused = place.run(&["apply", "a.json", "b.json"]).ends_with(2);
    says(
        &refused,
        &["a.json and b.json are kept plans: one at a time", "`cutover apply a.json`, then plan anew"],
    );
}
