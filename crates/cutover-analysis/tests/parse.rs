//! The parser front: exact positions, and limits that never end in a crash.

use cutover_analysis::effects::{effects, effects_of_text};
use cutover_analysis::sql::{LONGEST_ANALYSED, ParseError, SyntaxError, parse};

fn syntax_error(sql: &str) -> SyntaxError {
    match parse(sql) {
        Err(ParseError::Syntax(error)) => error,
        other => panic!("a syntax error in {sql:?}, not {other:?}"),
    }
}

#[test]
fn an_error_has_the_byte_offset_of_the_wrong_token() {
    let error = syntax_error("SELECT 1 FRM t");
    assert_eq!((error.message.as_str(), error.offset), ("syntax error at or near \"t\"", 13));
    let error = syntax_error("SELECT 'äöü€😀' AS \"ß\", , 2");
    assert_eq!(error.offset, "SELECT 'äöü€😀' AS \"ß\", ".len());
    let error = syntax_error("SELECT (1");
    assert_eq!((error.message.as_str(), error.offset), ("syntax error at end of input", 9));
    assert_eq!(syntax_error("CREATE TABLE").offset, 12);
}

#[test]
fn lexical_errors_have_a_place_too() {
    let error = syntax_error("SELECT 1, 'open");
    assert_eq!(error.message, "unterminated quoted string at or near \"'open\"");
    assert_eq!(error.offset, 10);
    assert_eq!(syntax_error("SELECT \\x").offset, 7);
    assert_eq!(syntax_error("SELECT 1, 12ab").offset, 10);
}

#[test]
fn a_nul_is_refused_with_its_offset() {
    assert_eq!(syntax_error("SELECT 1\0 + 2").offset, 8);
}

#[test]
fn text_without_statements_is_no_error() {
    for text in ["", "  \n", "-- only a comment", "/* a */ ; ;"] {
        assert_eq!(parse(text).expect(text).statement_count(), 0, "{text:?}");
    }
}

#[test]
fn ordinary_long_expressions_are_analysed() {
    let concatenation = vec!["'x'"; 150].join(" || ");
    parse(&format!("SELECT {concatenation}")).expect("150 operators are analysed");
    let alternatives = vec!["a = 1"; 20_000].join(" OR ");
    parse(&format!("SELECT 1 FROM t WHERE {alternatives}")).expect("a flat list is analysed");
}

#[test]
fn depth_beyond_the_limits_is_an_answer_and_no_crash() {
    let texts = [
        format!("SELECT {}1{}", "(".repeat(9_000), ")".repeat(9_000)),
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1", "- ".repeat(3_000)),
        format!("SELECT {}1", "NOT ".repeat(9_000)),
        format!("SELECT {}", vec!["1"; 9_000].join("+")),
        format!("SELECT {}", vec!["1"; 200_000].join("+")),
        format!("SELECT {}1{}", "(SELECT ".repeat(3_000), ")".repeat(3_000)),
        format!("SELECT {}1{}", "f(".repeat(9_000), ")".repeat(9_000)),
        format!("SELECT {}", vec!["(a AND b)"; 10_000].join(" OR ")),
        format!("{}SELECT 1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT 1 FROM {}t{}", "(SELECT 1 FROM ".repeat(2_000), ") x".repeat(2_000)),
        format!("SELECT {}", vec!["SELECT 1"; 5_000].join(" UNION ").trim_start_matches("SELECT ")),
        format!("SELECT a{}", "[1]".repeat(9_000)),
        format!("SELECT CASE {}WHEN 1 THEN 1{}", "WHEN 1 THEN CASE ".repeat(3_000), " END".repeat(3_001)),
    ];
    for text in &texts {
        let name = &text[..text.len().min(40)];
        if let Err(ParseError::Syntax(error)) = parse(text) {
            // A server has the same limit and says the same.
            assert!(error.message.starts_with("memory exhausted"), "{name}: {error}");
        }
        let _ = effects_of_text(text);
    }
}

/// A test has a stack of 2 MiB, like most threads.
#[test]
fn what_is_just_not_too_deep_is_analysed_on_an_ordinary_stack() {
    let shapes: [fn(usize) -> String; 6] = [
        |n| format!("SELECT {}", vec!["1"; n].join("+")),
        |n| format!("SELECT {}1{}", "f(".repeat(n), ")".repeat(n)),
        |n| format!("SELECT {}1", "NOT ".repeat(n)),
        |n| format!("SELECT {}1{}", "(SELECT ".repeat(n), ")".repeat(n)),
        |n| format!("SELECT 1 FROM {}t{}", "(SELECT 1 FROM ".repeat(n), ") x".repeat(n)),
        |n| format!("SELECT {}1{}", "CASE WHEN a THEN ".repeat(n), " END".repeat(n)),
    ];
    for (index, shape) in shapes.iter().enumerate() {
        let mut analysed = 0;
        for depth in (10..600).step_by(20) {
            let text = shape(depth);
            if let Ok(parsed) = parse(&text) {
                analysed = depth;
                let _ = effects(&parsed.clone());
            }
        }
        assert!((50..590).contains(&analysed), "shape {index}: {analysed}");
    }
}

#[test]
fn a_text_over_the_limit_gets_no_tree() {
    let text = format!("SELECT '{}'", "x".repeat(LONGEST_ANALYSED));
    let Err(ParseError::NotAnalysable(reason)) = parse(&text) else { panic!("no tree") };
    assert!(reason.contains("bytes"), "{reason}");
    assert!(effects_of_text(&text).expect("no error").opaque.is_some());
}

#[test]
fn a_chain_that_is_too_long_for_a_tree_says_so_in_our_words() {
    let text = format!("CREATE VIEW v AS SELECT 1{}", "+1".repeat(3_000));
    let effects = effects_of_text(&text).expect("no error");
    let reason = effects.opaque.expect("said");
    assert!(reason.contains("nested") && !reason.contains("protobuf"), "{reason}");
    assert_eq!(effects.creates.iter().map(ToString::to_string).collect::<Vec<_>>(), ["view v"]);
}

/// The library redirects the standard error of the process while it parses.
#[test]
fn threads_do_not_disturb_each_other() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..200 {
                    let text = format!("SELECT {thread}, {round}, , 1");
                    assert_eq!(syntax_error(&text).offset, text.len() - 3);
                    parse(&format!("SELECT {thread} + {round}")).expect("right");
                }
            });
        }
    });
}

/// Each notice goes to the redirected standard error, a pipe of 64 KiB.
#[test]
fn many_truncated_names_do_not_block() {
    let long = "n".repeat(100);
    let names = vec![long.as_str(); 5_000].join(", ");
    parse(&format!("SELECT {names}")).expect("right");
}

#[test]
#[cfg(target_os = "linux")]
fn several_threads_parse_at_once_and_standard_error_stays_where_it_is() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let there = || std::fs::read_link("/proc/self/fd/2").expect("standard error");
    let (before, done) = (there(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let parsing: Vec<_> = (0..3)
            .map(|thread| {
                scope.spawn(move || {
                    for n in 0..500 {
                        let sql = format!("CREATE TABLE t{thread} (c{n} int CHECK (c{n} > {n}))");
                        assert_eq!(parse(&sql).expect("right").statement_count(), 1);
                        let wrong = format!("SELECT {n} FRM t{thread}");
                        assert_eq!(syntax_error(&wrong).offset, wrong.len() - 2);
                    }
                })
            })
            .collect();
        let watching = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(there(), before);
            }
        });
        for thread in parsing {
            thread.join().expect("no panic");
        }
        done.store(true, Ordering::Relaxed);
        watching.join().expect("standard error stays");
    });
}
