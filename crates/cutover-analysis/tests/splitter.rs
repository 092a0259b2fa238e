//! Where statements end, and what else a file consists of.
#![allow(clippy::expect_used, reason = "a test helper")]

use std::io::Read;

use cutover_analysis::sql::{Directive, Item, SplitError, Splitter, Statement, Unterminated};
use proptest::prelude::*;

fn split(text: &str) -> Vec<Item> {
    Splitter::new(text.as_bytes()).collect::<Result<_, _>>().expect(text)
}

fn whole(text: &str) -> Vec<Statement> {
    split(text)
        .into_iter()
        .map(|item| match item {
            Item::Statement(statement) => statement,
            other => panic!("a statement, not {other:?}"),
        })
        .collect()
}

fn statements(text: &str) -> Vec<String> {
    whole(text).into_iter().map(|statement| statement.text).collect()
}

fn error(text: &str) -> SplitError {
    Splitter::new(text.as_bytes()).find_map(Result::err).expect(text)
}

#[test]
fn a_semicolon_ends_a_statement() {
    assert_eq!(statements("SELECT 1; SELECT 2;\n"), ["SELECT 1", "SELECT 2"]);
    assert_eq!(statements("SELECT 1; SELECT 2"), ["SELECT 1", "SELECT 2"]);
    assert_eq!(statements(";; ; SELECT 1 ;;\n;"), ["SELECT 1"]);
    assert!(statements("").is_empty());
    assert!(statements(" -- nothing\n/* at all */\n").is_empty());
}

#[test]
fn quotes_hide_semicolons() {
    for statement in [
        "SELECT 'a;b', 'it''s;', ''",
        r"SELECT 'back\', 1",
        r"SELECT E'it\'s; \\', e'\\'",
        r"SELECT U&'\0061;', B'01;', X'1F;', N'n;'",
        r#"SELECT "a;b", "say ""x;""", U&"d\0061t;a""#,
        "SELECT $$a;b$$, $tag$ $$;$tag $ ;$tag$, $_ü1$;$_ü1$",
        "SELECT a$b$c FROM t",
        "SELECT 1 -- it's; \"open\" $$\n + 2",
        "SELECT 1 /* ; /* nested; ' */ ; $$ */ + 2",
        "SELECT 'a'\n  'b;c'",
        "SELECT E'a' -- comment '\n  'it\\'s;'",
    ] {
        let text = format!("{statement};SELECT 2;");
        assert_eq!(statements(&text), [statement, "SELECT 2"]);
    }
}

#[test]
fn a_backslash_escapes_only_in_escape_strings() {
    assert_eq!(statements(r"SELECT 'a\'; SELECT 2"), [r"SELECT 'a\'", "SELECT 2"]);
    assert_eq!(statements(r"SELECT E'a\'; SELECT 2'"), [r"SELECT E'a\'; SELECT 2'"]);
    // A word that ends in E is no prefix.
    assert_eq!(statements(r"SELECT like'a\'; SELECT 2"), [r"SELECT like'a\'", "SELECT 2"]);
    // On one line there is no continuation.
    assert_eq!(statements(r"SELECT E'a' 'b\'; SELECT 2"), [r"SELECT E'a' 'b\'", "SELECT 2"]);
    assert_eq!(statements("SELECT E'a'\n'b\\'; SELECT 2'"), ["SELECT E'a'\n'b\\'; SELECT 2'"]);
}

#[test]
fn a_dollar_in_an_identifier_opens_nothing() {
    assert_eq!(statements("SELECT a$$ ; SELECT b$$"), ["SELECT a$$", "SELECT b$$"]);
    // A tag has no space.
    assert_eq!(statements("SELECT $a b$ ; SELECT 2"), ["SELECT $a b$", "SELECT 2"]);
    assert_eq!(statements("SELECT $1$$;$$; SELECT 2"), ["SELECT $1$$;$$", "SELECT 2"]);
    assert_eq!(statements("SELECT $a$ $b$ ; $a$; SELECT 2"), ["SELECT $a$ $b$ ; $a$", "SELECT 2"]);
}

#[test]
fn a_comment_ends_at_a_carriage_return_too() {
    assert_eq!(statements("SELECT 1 -- a\r; SELECT 2"), ["SELECT 1", "SELECT 2"]);
}

#[test]
fn parentheses_hide_semicolons() {
    let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b;)";
    assert_eq!(statements(&format!("{rule}; SELECT 1")), [rule, "SELECT 1"]);
    assert_eq!(statements("SELECT 1); SELECT 2"), ["SELECT 1)", "SELECT 2"]);
}

#[test]
fn an_atomic_body_is_part_of_its_statement() {
    for statement in [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
        "create or replace procedure p() begin atomic\n insert into t values (1);\n end",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 ELSE CASE b WHEN 1 THEN 2 END END; \
         SELECT 2; END",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT (CASE WHEN a THEN 1 END); SELECT 2; END",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT t.end, t.case FROM t; SELECT 1 AS end; SELECT 2; END",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 'END;'; SELECT \"end\" FROM t; END",
        "CREATE FUNCTION f() RETURNS int BEGIN /* ; */ ATOMIC END",
        "CREATE FUNCTION begin() RETURNS int RETURN 1",
        "CREATE FUNCTION \"atomic\"(begin int) RETURNS int AS $$ BEGIN ; END $$ LANGUAGE plpgsql",
    ] {
        assert_eq!(statements(&format!("{statement};SELECT 2;")), [statement, "SELECT 2"]);
    }
    assert_eq!(statements("BEGIN; SELECT 1; END;"), ["BEGIN", "SELECT 1", "END"]);
    assert_eq!(
        statements("CREATE TABLE begin (a int); SELECT 1"),
        ["CREATE TABLE begin (a int)", "SELECT 1"]
    );
}

#[test]
fn spans_lines_and_columns_are_those_of_the_first_token() {
    let text = "-- ä\n  SELECT 'ü' ;\n\n/* € */ SELECT\n 2 -- end\n;";
    let found = whole(text);
    assert_eq!(found.len(), 2);
    for statement in &found {
        assert_eq!(text.get(statement.span.start..statement.span.end), Some(statement.text.as_str()));
    }
    assert_eq!((found[0].line, found[0].column, found[0].text.as_str()), (2, 3, "SELECT 'ü'"));
    assert_eq!((found[1].line, found[1].column, found[1].text.as_str()), (4, 9, "SELECT\n 2"));
}

#[test]
fn directives_belong_to_the_statement_they_stand_above_or_in() {
    let text = "-- cutover: no-transaction\n-- other\n-- cutover: name  two words \nSELECT 1;\n\
                SELECT -- cutover: inside\n 2; SELECT '-- cutover: no'; -- cutover: behind\n/* cutover: late */";
    let mut splitter = Splitter::new(text.as_bytes());
    let found: Vec<_> = splitter
        .by_ref()
        .map(|item| match item.expect("right") {
            Item::Statement(statement) => statement.directives,
            other => panic!("a statement, not {other:?}"),
        })
        .collect();
    let directive = |name: &str, argument: &str, line| Directive {
        name: name.to_owned(),
        argument: argument.to_owned(),
        line,
    };
    assert_eq!(found[0], [directive("no-transaction", "", 1), directive("name", "two words", 3)]);
    assert_eq!(found[1], [directive("inside", "", 5)]);
    assert_eq!(found[2], [directive("behind", "", 6)]);
    assert_eq!(splitter.trailing_directives(), [directive("late", "", 7)]);
}

#[test]
fn copy_data_goes_to_the_marker() {
    let text = "COPY t (a, \"from\") FROM STDIN; -- data\n1\ta;b\n2\t'\n\\\\.\n\\.\nSELECT 1;";
    let items = split(text);
    assert!(matches!(&items[0], Item::Statement(s) if s.text == "COPY t (a, \"from\") FROM STDIN"));
    assert_eq!(items[1], Item::CopyData(b"1\ta;b\n2\t'\n\\\\.\n".to_vec()));
    assert_eq!(items[2], Item::CopyEnd);
    assert!(matches!(&items[3], Item::Statement(s) if s.text == "SELECT 1" && s.line == 6));
    assert_eq!(items.len(), 4);
    let empty = split("copy t from stdin with (format csv);\n\\.");
    assert_eq!(empty[1..], [Item::CopyEnd]);
}

#[test]
fn only_copy_from_stdin_has_data() {
    for statement in [
        "COPY t TO STDOUT",
        "COPY (SELECT a FROM stdin) TO STDOUT",
        "COPY t FROM '/tmp/stdin'",
        "COPY t FROM PROGRAM 'stdin'",
        "SELECT copy FROM stdin",
    ] {
        assert_eq!(statements(&format!("{statement};\nSELECT 1;")), [statement, "SELECT 1"]);
    }
}

#[test]
fn copy_data_comes_in_chunks_of_whole_lines() {
    let line = "x".repeat(999) + "\n";
    let data = line.repeat(200) + &"y".repeat(150_000) + "\nz\n";
    let text = format!("COPY t FROM STDIN;\n{data}\\.\n");
    let mut collected = Vec::new();
    for item in split(&text).into_iter().skip(1) {
        match item {
            Item::CopyData(chunk) => {
                assert!(chunk.len() <= 64 * 1024);
                assert!(chunk.ends_with(b"\n") || chunk.len() == 64 * 1024);
                collected.extend(chunk);
            }
            other => assert_eq!(other, Item::CopyEnd),
        }
    }
    assert!(collected == data.as_bytes());
}

#[test]
fn a_marker_counts_only_as_a_whole_line() {
    let long = "x".repeat(64 * 1024);
    for data in ["a\\.\n", "\\.a\n", " \\.\n", &format!("{long}\\.\n"), &format!("{long}\n")] {
        let items = split(&format!("COPY t FROM STDIN;\n{data}\\.\n"));
        let collected: Vec<u8> = items
            .iter()
            .filter_map(|item| match item {
                Item::CopyData(chunk) => Some(chunk.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        assert!(collected == data.as_bytes(), "{:?}", &data[..data.len().min(20)]);
        assert_eq!(items.last(), Some(&Item::CopyEnd));
    }
}

#[test]
fn psql_commands_are_told_apart() {
    let items = split("\\restrict abc\nSELECT 1;\n  \\connect db \nSELECT 2;\n\\unrestrict abc\n\\i x.sql");
    let commands: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            Item::PsqlCommand { text, line, column } => Some((text.as_str(), *line, *column)),
            _ => None,
        })
        .collect();
    assert_eq!(commands, [("\\connect db", 3, 3), ("\\i x.sql", 6, 1)]);
    assert_eq!(items.len(), 4);
    assert_eq!(statements("SELECT 1 \\gset\n; SELECT 2"), ["SELECT 1 \\gset", "SELECT 2"]);
}

#[test]
fn what_is_not_terminated_is_reported_where_it_was_opened() {
    for (text, what, offset, line, column) in [
        ("SELECT 'a;\nb", Unterminated::String, 7, 1, 8),
        ("SELECT 1;\n ü + E'a\\'", Unterminated::String, 16, 2, 6),
        ("SELECT \"a", Unterminated::Identifier, 7, 1, 8),
        ("\nSELECT $a$ $b$ $ $a", Unterminated::DollarString, 8, 2, 8),
        ("SELECT 1; /* /* */ ", Unterminated::Comment, 10, 1, 11),
        ("COPY t FROM STDIN;\n1\n2\n", Unterminated::CopyData, 19, 2, 1),
        ("COPY t FROM STDIN", Unterminated::CopyData, 17, 1, 18),
    ] {
        let found = error(text);
        let SplitError::Unterminated { what: found_what, at } = &found else { panic!("{found:?}") };
        assert_eq!((*found_what, at.offset, at.line, at.column), (what, offset, line, column), "{text:?}");
    }
}

#[test]
fn text_behind_copy_is_refused() {
    let found = error("COPY t FROM STDIN; SELECT 1;\n\\.\n");
    assert!(matches!(&found, SplitError::TextAfterCopy { at } if at.offset == 19), "{found:?}");
}

#[test]
fn invalid_utf8_has_its_place() {
    let found = Splitter::new(&b"SELECT 1;\nSELECT '\xC3\xBC\xFF'"[..]).find_map(Result::err);
    assert!(
        matches!(&found, Some(SplitError::InvalidUtf8 { at }) if at.offset == 20 && at.column == 10),
        "{found:?}"
    );
}

#[test]
fn nothing_follows_an_error() {
    let mut splitter = Splitter::new(&b"SELECT 'open"[..]);
    assert!(splitter.next().is_some_and(|item| item.is_err()));
    assert!(splitter.next().is_none());
}

/// Gives the text in pieces of the lengths given, again and again.
struct Pieces<'a> {
    text: &'a [u8],
    lengths: Vec<usize>,
    next: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.lengths[self.next % self.lengths.len()];
        self.next += 1;
        let (piece, rest) = self.text.split_at(length.min(buffer.len()).min(self.text.len()));
        buffer[..piece.len()].copy_from_slice(piece);
        self.text = rest;
        Ok(piece.len())
    }
}

/// Items, or where the error is.
fn outcome(reader: impl Read) -> Vec<Result<Item, String>> {
    Splitter::new(reader).map(|item| item.map_err(|error| error.to_string())).collect()
}

/// The splitter reads 64 KiB at a time: behind filler of about that length its boundary falls inside `text`.
fn at_the_chunk_boundary(text: &str, before: usize) -> (String, String) {
    let near = format!("/*{}*/", " ".repeat((64 * 1024_usize).saturating_sub(before + 4)));
    let far = format!("/*{}*/", " ".repeat(16));
    (near + text, far + text)
}

fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        Just("SELECT 1"),
        Just(";"),
        Just("; "),
        Just("\n"),
        Just(" "),
        Just("'a;b'"),
        Just("'"),
        Just("''"),
        Just("E'\\'"),
        Just("E'a\\';'\n'b\\''"),
        Just("\\"),
        Just("\""),
        Just("\"ä;\""),
        Just("$$"),
        Just("$a$"),
        Just("$ä$;$ä$"),
        Just("$1"),
        Just("$"),
        Just("x$y$"),
        Just("--"),
        Just("-"),
        Just("/*"),
        Just("*/"),
        Just("/"),
        Just("("),
        Just(")"),
        Just("😀"),
        Just("CREATE FUNCTION f() BEGIN ATOMIC"),
        Just("CASE"),
        Just("END"),
        Just("COPY t FROM STDIN;\n"),
        Just("\\.\n"),
        Just("\\."),
        Just("\n\\.\n"),
        Just("1\t2\n"),
        Just("-- cutover: a b\n"),
        Just("U&'\\0061'"),
        Just("b'0'"),
        Just("1.5e3"),
        Just("."),
        Just("\\x y\n"),
    ];
    prop::collection::vec(fragment, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_reader_s_pieces_do_not_matter(text in fragments(), lengths in prop::collection::vec(1_usize..9, 1..6)) {
        let whole = outcome(text.as_bytes());
        let pieces = outcome(Pieces { text: text.as_bytes(), lengths, next: 0 });
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn the_splitter_s_own_chunks_do_not_matter(text in fragments(), before in 0_usize..80) {
        let (near, far) = at_the_chunk_boundary(&text, before.min(text.len() + 2));
        let shifted = near.len() - far.len();
        let texts = |source: &str, shift: usize| -> Vec<String> {
            Splitter::new(source.as_bytes())
                .map(|item| match item {
                    Ok(Item::Statement(s)) => format!("{} {} {}", s.span.start - shift, s.line, s.text),
                    Err(error) => format!("error at {:?}", error.place().map(|place| place.offset - shift)),
                    // What stands before it on its line is longer in one of the two.
                    Ok(Item::PsqlCommand { text, line, .. }) => format!("{line} {text}"),
                    Ok(other) => format!("{other:?}"),
                })
                .collect()
        };
        prop_assert_eq!(texts(&near, shifted), texts(&far, 0));
    }

    #[test]
    fn any_bytes_are_split_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = outcome(bytes.as_slice());
    }

    #[test]
    fn statements_stand_where_their_spans_say(text in fragments()) {
        let mut end = 0;
        for item in Splitter::new(text.as_bytes()).map_while(Result::ok) {
            if let Item::Statement(statement) = item {
                prop_assert!(statement.span.start >= end);
                prop_assert_eq!(&text[statement.span.start..statement.span.end], statement.text.as_str());
                let before = &text[..statement.span.start];
                prop_assert_eq!(before.matches('\n').count() + 1, statement.line as usize);
                end = statement.span.end;
            }
        }
    }
}
