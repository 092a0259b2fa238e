//! Each rule finds what it says it finds, and nothing else.

use super::*;
use crate::effects::{Context, Name, Prepared};
use crate::sql::{Item, Splitter, Statement};

fn statements(sql: &str) -> Vec<Statement> {
    let items = Splitter::new(sql.as_bytes()).map(|item| item.expect("SQL that can be split"));
    items
        .filter_map(|item| if let Item::Statement(statement) = item { Some(statement) } else { None })
        .collect()
}

/// What is found in an example with every rule at work.
fn found(example: &Example) -> Vec<Finding> {
    let mut context = Context::default();
    context.server_major = example.server / 10_000;
    context.complete = example.complete;
    let mut facts = Facts { server: example.server, ..Facts::default() };
    for table in example.empty {
        let (schema, name) = table.split_once('.').expect("a schema");
        let name = Name { schema: schema.into(), name: name.into() };
        facts.sizes.insert(name, Size::default());
    }
    let mut known = Known::new(context, facts);
    for statement in statements(example.there) {
        known.before(Prepared::of(&statement.text)).expect("what is there parses");
    }
    let mut linter = Linter::new(known);
    let selected = Selected::everything();
    let mut file = linter.file(&selected, false);
    for statement in statements(example.sql) {
        file.statement(&statement, Prepared::of(&statement.text))
            .unwrap_or_else(|error| panic!("{}: {error}", statement.text));
    }
    let mut findings = file.end();
    findings.extend(linter.end().into_iter().map(|(_, finding)| finding));
    findings
}

#[test]
fn each_rule_finds_its_bad_examples_and_not_its_good_ones() {
    let mut wrong = Vec::new();
    for about in all().filter(|about| about.origin == Origin::Sql) {
        assert!(!about.bad.is_empty() && !about.good.is_empty(), "{} has no examples", about.code);
        for example in about.bad {
            if !found(example).iter().any(|finding| finding.code == about.code) {
                wrong.push(format!("{} does not find {example:?}", about.code));
            }
        }
        for example in about.good {
            if let Some(finding) = found(example).iter().find(|finding| finding.code == about.code) {
                wrong.push(format!("{} finds {example:?}: {}", about.code, finding.message));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn codes_are_different_and_sentences_end() {
    let mut codes: Vec<&str> = all().map(|about| about.code).collect();
    codes.sort_unstable();
    assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
    for about in all() {
        assert!(about.why.ends_with('.') && !about.safe.ends_with('.'), "{}", about.code);
        assert!(!about.seen.is_empty(), "{}", about.code);
    }
}

#[test]
fn what_is_allowed_with_a_reason_is_not_said() {
    let codes = |sql: &'static str| -> Vec<&str> {
        let findings = found(&Example::of(sql));
        let of_interest = ["create-index-blocks-writes", "unused-suppression"];
        findings.iter().map(|finding| finding.code).filter(|code| of_interest.contains(code)).collect()
    };
    assert_eq!(codes("CREATE INDEX ON a (n);"), ["create-index-blocks-writes"]);
    let allowed =
        "-- cutover: allow create-index-blocks-writes nobody writes at night\nCREATE INDEX ON a (n);";
    assert_eq!(codes(allowed), [""; 0]);
}
