//! The splitter against PostgreSQL's own parser, and what it leaves to it.
#![allow(clippy::expect_used, reason = "a test helper")]

use cutover_analysis::effects::effects_of_text;
use cutover_analysis::sql::{
    Item, ParseError, Splitter, Statement, parse, quote_ident, quote_literal, quote_qualified,
};
use pg_query::protobuf::KeywordKind as Kind;
use proptest::prelude::*;

const CORPUS: &str = include_str!("corpus.sql");

fn ours(text: &str) -> Vec<Statement> {
    Splitter::new(text.as_bytes())
        .map(|item| match item.expect("a right text") {
            Item::Statement(statement) => statement,
            other => panic!("a statement, not {other:?}"),
        })
        .collect()
}

/// Start, and the offset of the `;` (or the end), of each statement as the parser's tree has them.
fn parsers(text: &str) -> Vec<(usize, usize)> {
    let tree = pg_query::parse(text, 0).expect("a right text").protobuf;
    tree.stmts
        .iter()
        .map(|raw| {
            let start = usize::try_from(raw.stmt_location).expect("an offset");
            let len = usize::try_from(raw.stmt_len).expect("a length");
            (start, if len == 0 { text.len() } else { start + len })
        })
        .collect()
}

/// No token stands in `gap`.
fn is_empty(gap: &str) -> bool {
    ours(gap).is_empty()
}

fn compare(text: &str) {
    let (ours, parsers) = (ours(text), parsers(text));
    assert_eq!(ours.len(), parsers.len(), "{text}");
    for (statement, (start, end)) in ours.iter().zip(parsers) {
        let span = statement.span;
        assert!(start <= span.start && span.end <= end, "{}", statement.text);
        assert!(is_empty(&text[start..span.start]), "{}", &text[start..span.start]);
        assert!(is_empty(&text[span.end..end]), "{}", &text[span.end..end]);
    }
}

#[test]
fn the_corpus_is_split_as_the_parser_does() {
    assert!(ours(CORPUS).len() > 150);
    compare(CORPUS);
}

#[test]
fn every_statement_of_the_corpus_has_known_effects() {
    for statement in ours(CORPUS) {
        let effects = effects_of_text(&statement.text).expect(&statement.text);
        assert_ne!(
            effects.opaque.as_deref(),
            Some("a statement whose effects are not known"),
            "{}",
            statement.text
        );
    }
}

#[test]
fn keywords_and_tree_agree_about_transactions() {
    for statement in ours(CORPUS) {
        let parsed = effects_of_text(&statement.text).expect("right");
        // Too long for a tree.
        let long = format!("{} /* {} */", statement.text, " ".repeat(1024 * 1024));
        let by_keywords = effects_of_text(&long).expect("no tree, no error");
        let kind =
            |effects: &cutover_analysis::effects::Effects| std::mem::discriminant(&effects.transaction);
        let text = &statement.text;
        assert!(by_keywords.session_state || !parsed.session_state, "{text}");
        assert!(by_keywords.sets_search_path || !parsed.sets_search_path, "{text}");
        assert_eq!(by_keywords.copy_from_stdin, parsed.copy_from_stdin, "{text}");
        // What options alone decide is not looked for.
        if !text.contains("SUBSCRIPTION") && !text.contains("SET TABLESPACE") {
            assert_eq!(kind(&by_keywords), kind(&parsed), "{text}");
        }
    }
}

/// A constant in one of the ways to write one; any text may be inside.
fn constant() -> impl Strategy<Value = String> {
    let text = "[a-z;'\"$/*\\\\ äß😀\n-]{0,12}";
    prop_oneof![
        text.prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
        text.prop_map(|text| format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))),
        text.prop_map(|text| format!("E'a'\n '{}'", text.replace('\\', "\\\\").replace('\'', "''"))),
        text.prop_map(|text| format!("U&'{}'", text.replace('\\', "\\\\").replace('\'', "''"))),
        (text, "[a-zä_][a-z0-9ä_]{0,5}")
            .prop_map(|(text, tag)| { format!("${tag}${}${tag}$", text.replace('$', " ")) }),
        text.prop_map(|text| format!("$$ {} $$", text.replace('$', " "))),
        text.prop_map(|text| format!("{} ", quote_literal(&text))),
        Just("1.5e3".to_owned()),
        Just("$1".to_owned()),
        Just("0x1F".to_owned()),
        "[a-z][a-z$0-9]{0,6}x".prop_map(|name| format!("t.{name}")),
        text.prop_map(|text| format!("\"a{}\"", text.replace('"', "\"\""))),
    ]
}

fn space() -> impl Strategy<Value = String> {
    let comment = "[a-z;'\"$ ä]{0,8}";
    prop_oneof![
        3 => Just(" ".to_owned()),
        1 => Just("\n\t".to_owned()),
        1 => comment.prop_map(|text| format!(" --{text}\n")),
        1 => comment.prop_map(|text| format!(" /*{text}/*{text}*/*/ ")),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    let list = prop::collection::vec((space(), constant(), space()), 1..5)
        .prop_map(|parts| parts.iter().map(|(a, b, c)| format!("{a}{b}{c}")).collect::<Vec<_>>().join(","))
        .boxed();
    let corpus: Vec<String> = ours(CORPUS).into_iter().map(|statement| statement.text).collect();
    let rule = |list| format!("CREATE RULE r AS ON UPDATE TO t DO ALSO (SELECT{list}; SELECT {list})");
    let body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT";
    let atomic = move |list| format!("{body}{list}; SELECT CASE WHEN a THEN 1 END, {list}; END");
    prop_oneof![
        list.clone().prop_map(|list| format!("SELECT{list}")),
        list.clone().prop_map(|list| format!("INSERT INTO t VALUES ({list})")),
        list.clone().prop_map(rule),
        list.prop_map(atomic),
        prop::sample::select(corpus),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn files_are_split_as_the_parser_does(parts in prop::collection::vec((space(), statement(), space()), 1..8)) {
        let text = parts.iter().map(|(a, b, c)| format!("{a}{b}{c};")).collect::<Vec<_>>().concat();
        compare(&text);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        match parse(&text) {
            Err(ParseError::Syntax(error)) => prop_assert!(error.offset <= text.len()),
            Err(ParseError::NotAnalysable(_)) | Ok(_) => {}
        }
    }

    #[test]
    fn a_changed_statement_never_ends_in_a_panic(
        statement in statement(), at in any::<prop::sample::Index>(), new in "[a-z();,.*'\" ]{0,3}"
    ) {
        let mut characters: Vec<char> = statement.chars().collect();
        let at = at.index(characters.len());
        characters.splice(at..=at, new.chars());
        let text: String = characters.into_iter().collect();
        let _ = effects_of_text(&text);
    }

    #[test]
    fn a_quoted_name_is_read_as_the_name(name in "[^\0]{1,20}", schema in "[a-zA-Z\"ä. ;]{1,8}") {
        let text = format!("DROP TABLE {}, {}", quote_ident(&name), quote_qualified(&schema, &name));
        let effects = effects_of_text(&text).expect("right");
        prop_assume!(name.len() < 64 && schema.len() < 64);
        prop_assert_eq!(&effects.drops[0].name, &name);
        prop_assert_eq!(&effects.drops[1].name, &name);
        prop_assert_eq!(effects.drops[1].schema.as_deref(), Some(schema.as_str()));
    }

    #[test]
    fn a_quoted_text_is_read_as_the_text(text in "[^\0]{0,30}") {
        let tree = pg_query::parse(&format!("COMMENT ON TABLE t IS {}", quote_literal(&text)), 0).expect("right");
        let Some(pg_query::NodeEnum::CommentStmt(comment)) =
            tree.protobuf.stmts[0].stmt.as_ref().and_then(|stmt| stmt.node.as_ref())
        else {
            panic!("a comment");
        };
        prop_assert_eq!(&comment.comment, &text);
    }
}

/// Every keyword the parser knows that is not free for any use is quoted.
#[test]
fn keywords_are_quoted() {
    let mut quoted = 0;
    for number in 0..2_000 {
        let Ok(token) = pg_query::protobuf::Token::try_from(number) else {
            continue;
        };
        let word = token.as_str_name().to_ascii_lowercase();
        let word = word.strip_suffix("_p").unwrap_or(&word);
        let tokens = pg_query::scan(word).map(|result| result.tokens).unwrap_or_default();
        let [token] = tokens.as_slice() else { continue };
        match token.keyword_kind() {
            Kind::ReservedKeyword | Kind::ColNameKeyword | Kind::TypeFuncNameKeyword => {
                assert_eq!(quote_ident(word), format!("\"{word}\""));
                quoted += 1;
            }
            Kind::UnreservedKeyword => assert_eq!(quote_ident(word), word),
            Kind::NoKeyword => {}
        }
    }
    assert!(quoted > 120, "{quoted} keywords");
    assert_eq!(quote_ident("users"), "users");
    assert_eq!(quote_ident("Users"), "\"Users\"");
    assert_eq!(quote_ident(""), "\"\"");
    assert_eq!(quote_ident("1st"), "\"1st\"");
    assert_eq!(quote_literal("it's"), "'it''s'");
    assert_eq!(quote_literal("a\\b"), "E'a\\\\b'");
}
