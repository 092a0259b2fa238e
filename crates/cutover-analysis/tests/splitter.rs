//! Where statements end.

use cutover_analysis::sql::{Item, Splitter};

fn split(text: &str) -> Vec<Item> {
    Splitter::new(text.as_bytes())
        .collect::<Result<_, _>>()
        .expect(text)
}

fn statements(text: &str) -> Vec<String> {
    split(text)
        .into_iter()
        .map(|item| match item {
            Item::Statement(statement) => statement.text,
            other => panic!("a statement, not {other:?}"),
        })
        .collect()
}

#[test]
fn a_semicolon_ends_a_statement() {
    assert_eq!(statements("SELECT 1; SELECT 2;\n"), ["SELECT 1", "SELECT 2"]);
    assert_eq!(statements("SELECT 1; SELECT 2"), ["SELECT 1", "SELECT 2"]);
    assert_eq!(statements(";; ; SELECT 1 ;;\n;"), ["SELECT 1"]);
    assert!(statements("").is_empty());
    assert!(statements(" -- nothing\n/* at all */\n").is_empty());
}
