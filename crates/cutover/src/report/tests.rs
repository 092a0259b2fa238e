//! Whole documents against the expected files in `testdata/`. `UPDATE_EXPECT=1 cargo test -p cutover report` writes
//! them anew; read the difference before you commit it.

use expect_test::expect_file;

use super::fixture;
use crate::run::Run;

#[test]
fn markdown_of_every_outcome() {
    use super::markdown;
    expect_file!["testdata/eventful.md"].assert_eq(&markdown(&fixture::eventful()));
    expect_file!["testdata/failed.md"].assert_eq(&markdown(&fixture::failed()));
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
    for run in [
        fixture::failed(),
        fixture::empty(),
        fixture::hostile(),
        fixture::thousand(true),
    ] {
        let json = serde_json::to_string(&run).expect("a run is JSON");
        assert_eq!(serde_json::from_str::<Run>(&json).expect("its own JSON"), run);
    }
}

#[test]
fn html_of_every_outcome() {
    use super::html;
    expect_file!["testdata/eventful.html"].assert_eq(&html(&fixture::eventful()));
    expect_file!["testdata/failed.html"].assert_eq(&html(&fixture::failed()));
    expect_file!["testdata/killed.html"].assert_eq(&html(&fixture::killed()));
    expect_file!["testdata/empty.html"].assert_eq(&html(&fixture::empty()));
    expect_file!["testdata/hostile.html"].assert_eq(&html(&fixture::hostile()));
}
