//! The pages of the documentation about rules, made of what is compiled in: a page a rule, an index, and what of other tools' rules
//! ours see.

use std::fmt::Write as _;

use super::about::{About, Example, Origin};
use super::elsewhere::{Covered, OtherRule, of_other_tools};
use super::finding::{Seen, Severity};
use crate::sql::{Item, Splitter};

/// Parts of the index, each with the code of its first rule: rules stand in the order of [`super::all`].
const THEMES: [(&str, &str); 14] = [
    ("Indexes", "create-index-blocks-writes"),
    ("Constraints", "foreign-key-without-not-valid"),
    ("Columns, and tables that are written anew", "add-column-not-null-without-default"),
    ("Names that clients use", "rename-column"),
    ("What is gone for good", "drop-column"),
    ("What clients rely on", "drop-not-null"),
    ("Locks and transactions", "no-lock-timeout"),
    ("Partitions and upkeep", "detach-partition-locks"),
    ("Types", "alter-domain-add-constraint"),
    ("Design", "foreign-key-without-index"),
    ("Files", "out-of-order-file"),
    ("Rows", "backfill-with-ddl"),
    ("Who may see and do what", "security-definer-without-search-path"),
    ("Functions and triggers", "function-body-names-missing-object"),
];

/// The page of a rule, `docs/rules/CODE.md`.
pub fn page(about: &About) -> String {
    let About { code, severity, on, why, safe, .. } = about;
    let default = if *on { "looks unless told otherwise" } else { "looks only where it is switched on" };
    let mut page = format!(
        "# `{code}`\n\n{why}\n\n**Instead:** {safe}.\n\n| | |\n|---|---|\n| how bad | {severity} |\n| default | {default} |\n"
    );
    let _ = writeln!(page, "| seen by | {} |", seen(about));
    if super::fix::is_mechanical(code) {
        page += "| `cutover lint --fix` | writes the safe form, where that is mechanical |\n";
    }
    examples(&mut page, "Found", about.bad);
    examples(&mut page, "Not found", about.good);
    page += &elsewhere(code);
    page + &settings(about)
}

/// The page of a rule where no other page is beside it: without links.
pub fn page_alone(about: &About) -> String {
    page(about).lines().filter(|line| !line.starts_with("[All rules]")).fold(
        String::new(),
        |mut text, line| {
            text += line.split(" [What of them").next().unwrap_or_default();
            text.push('\n');
            text
        },
    )
}

fn seen(about: &About) -> String {
    let words = about.seen.iter().map(|seen| match seen {
        Seen::Static => "static: the text alone",
        Seen::Catalogue => "catalogue: what the database has",
        Seen::Trace => "trace: a rehearsal",
        Seen::Files => "files: their names, and what they say to cutover",
    });
    words.collect::<Vec<_>>().join("; ")
}

fn examples(page: &mut String, heading: &str, examples: &[Example]) {
    if examples.is_empty() {
        return;
    }
    let _ = write!(page, "\n## {heading}\n");
    for example in examples {
        let _ = write!(page, "\n```sql\n{}\n```\n", sql(example));
    }
}

/// An example as a text of SQL, with what is known before it in comments.
fn sql(example: &Example) -> String {
    let mut text = String::new();
    if example.server != 0 {
        let (major, minor) = (example.server / 10_000, example.server % 10_000);
        let _ = writeln!(text, "-- on PostgreSQL {major}.{minor}");
    }
    if example.complete {
        text += "-- nothing else is in the database\n";
    }
    if !example.empty.is_empty() {
        let _ = writeln!(text, "-- without rows: {}", example.empty.join(", "));
    }
    if !example.there.is_empty() {
        let _ = writeln!(text, "-- there before it:\n{}\n-- the migration:", in_lines(example.there));
    }
    text + &in_lines(example.sql)
}

/// The text with each statement on a line of its own.
fn in_lines(sql: &str) -> String {
    let mut text = String::new();
    let mut written = 0;
    for item in Splitter::new(sql.as_bytes()) {
        let Ok(Item::Statement(statement)) = item else { break };
        let between = sql.get(written..statement.span.start).unwrap_or_default();
        text += if between == "; " { ";\n" } else { between };
        text += sql.get(statement.span.start..statement.span.end).unwrap_or_default();
        written = statement.span.end;
    }
    text + sql.get(written..).unwrap_or_default()
}

/// What other tools call it.
fn elsewhere(code: &str) -> String {
    let called: Vec<String> = of_other_tools()
        .filter(|other| other.ours().any(|ours| ours == code))
        .map(|OtherRule { tool, code, .. }| format!("{tool} `{code}`"))
        .collect();
    if called.is_empty() {
        return String::new();
    }
    format!("\n## In other tools\n\n{}. [What of them is covered](other-tools.md).\n", called.join(", "))
}

fn settings(about: &About) -> String {
    let code = about.code;
    let other = if about.on { "off" } else { "on" };
    let mut text = "\n## Allowed, or switched off\n".to_owned();
    if about.origin == Origin::Sql {
        let _ = write!(
            text,
            "\nIn one statement, with the reason:\n\n```sql\n-- cutover: allow {code} why it does no harm here\n```\n"
        );
    }
    let _ = write!(
        text,
        "\nEverywhere, or in some files, in `cutover.toml` (`off`, `on`, `warning` or `error`):\n\n\
         ```toml\n[lint.rules]\n{quoted} = \"{other}\"\n\n[[lint.path]]\npath = \"migrations/00*.sql\"\n\
         rules = {{ {quoted} = \"{other}\" }}\n```\n\n[All rules](README.md) · [lint](../lint.md)\n",
        quoted = if code.contains('.') { format!("\"{code}\"") } else { code.to_owned() },
    );
    text
}

/// The index, `docs/rules/README.md`.
pub fn index() -> String {
    let errors = super::all().filter(|about| about.severity == Severity::Error).count();
    let off = super::all().filter(|about| !about.on).count();
    let mut page = format!(
        "# Rules\n\nWhat [`cutover lint`](../lint.md) looks for: {} rules, {errors} of them errors; {off} look only where they are \
         switched on. `cutover lint --explain CODE` prints the page of one. What other tools look for: \
         [other tools](other-tools.md).\n",
        super::all().count()
    );
    for About { code, severity, on, why, .. } in super::all() {
        if let Some((theme, _)) = THEMES.iter().find(|(_, first)| first == code) {
            let _ = write!(page, "\n## {theme}\n\n| rule | how bad | why |\n|---|---|---|\n");
        }
        let off = if *on { "" } else { ", off" };
        let _ = writeln!(page, "| [`{code}`]({code}.md) | {severity}{off} | {} |", cell(why));
    }
    page
}

/// What of other tools' rules ours see, `docs/rules/other-tools.md`.
pub fn other_tools() -> String {
    let count = |wanted| of_other_tools().filter(|other| other.covered() == wanted).count();
    let mut page = format!(
        "# Rules of other tools\n\n{} rules of other tools, as their documentation named them in November 2026: {} are covered by \
         [rules of cutover](README.md), {} partly or otherwise, and {} are not, each with the reason.\n",
        of_other_tools().count(),
        count(Covered::Yes),
        count(Covered::Partly),
        count(Covered::No)
    );
    let mut before = "";
    for other in of_other_tools() {
        if other.tool != before {
            let _ = write!(
                page,
                "\n## {}\n\n| theirs | covered | by | why not, or how |\n|---|---|---|---|\n",
                other.tool
            );
            before = other.tool;
        }
        let covered = match other.covered() {
            Covered::Yes => "yes",
            Covered::Partly => "partly",
            Covered::No => "no",
        };
        let ours: Vec<String> = other.ours().map(|code| format!("[`{code}`]({code}.md)")).collect();
        let _ =
            writeln!(page, "| `{}` | {covered} | {} | {} |", other.code, ours.join(", "), cell(other.why));
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_theme_begins_with_a_rule_and_the_first_one_with_the_first() {
        let codes: Vec<&str> = super::super::all().map(|about| about.code).collect();
        let places: Vec<usize> = THEMES
            .iter()
            .map(|(theme, first)| {
                codes.iter().position(|code| code == first).unwrap_or_else(|| panic!("{theme}"))
            })
            .collect();
        assert!(places.is_sorted() && places[0] == 0, "{places:?}");
    }

    #[test]
    fn what_is_known_before_an_example_stands_above_it() {
        let example = Example::of("CREATE INDEX ON a (n); DO $$ BEGIN; END $$;")
            .over("CREATE TABLE a (n int);")
            .on(140_002)
            .with_empty(&["public.a"])
            .and_nothing_else();
        assert_eq!(
            sql(&example),
            "-- on PostgreSQL 14.2\n-- nothing else is in the database\n-- without rows: public.a\n\
             -- there before it:\nCREATE TABLE a (n int);\n-- the migration:\n\
             CREATE INDEX ON a (n);\nDO $$ BEGIN; END $$;"
        );
    }
}
