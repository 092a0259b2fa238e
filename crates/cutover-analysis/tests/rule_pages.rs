//! `docs/rules/` is what is compiled in: a page a rule, the index, and the rules of other tools. `UPDATE_EXPECT=1` rewrites it.

#![allow(clippy::unwrap_used, reason = "a test helper")]

use std::collections::BTreeSet;
use std::path::Path;

use cutover_analysis::lint::{all, page};
use expect_test::ExpectFile;

#[test]
fn the_pages_say_what_the_rules_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules");
    let of_rules = all().map(|about| (format!("{}.md", about.code), page::page(about)));
    let others =
        [("README.md".to_owned(), page::index()), ("other-tools.md".to_owned(), page::other_tools())];
    let pages: Vec<(String, String)> = of_rules.chain(others).collect();
    std::fs::create_dir_all(&folder).unwrap();
    for (name, page) in &pages {
        ExpectFile { path: folder.join(name), position: file!() }.assert_eq(page);
    }
    let known: BTreeSet<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(name.as_str()), "docs/rules/{name} is the page of no rule");
    }
}

/// Links between the pages lead somewhere.
#[test]
fn links_lead_to_pages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules");
    let pages = all().map(page::page).chain([page::index(), page::other_tools()]);
    for page in pages {
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(folder.join(target).is_file(), "{target}");
        }
    }
}
