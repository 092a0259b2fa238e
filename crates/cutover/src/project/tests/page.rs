//! `docs/conventions.md`, made of what the conventions say of themselves, so that it cannot fall behind them.

use std::fmt::Write as _;

use super::super::FOLDERS;
use super::super::conventions::{self, About};

const HEAD: &str = "# Conventions

How the files of a folder of migrations are named, ordered and divided. Which convention a folder follows is seen by its
files; where that is not certain, cutover says which it might be, and `convention = \"…\"` under `[[migrations]]` of
`cutover.toml` settles it. Files are read as they are: nothing has to be renamed, and the tool they were written for can
go on reading them.

Names alone tell `numbered`, `flyway` and `golang-migrate`. The others are told by what only they have: a text that begins
with `-- no-transaction`, a section, a folder, a plan.

What the folder's own tool would run and cutover cannot (goose's migrations in Go, refinery's in Rust, Flyway's in Java and its
callbacks, node-pg-migrate's in JavaScript) is refused by name with what to do instead, and never left out; in a folder of
numbered files, everything that is numbered as they are. Migrations in other languages that stand elsewhere are pointed out;
of Rails, Django, Alembic and Ecto it is said how to get the SQL. What a tool's own table says is applied, `cutover adopt`
takes over ([adopt](adopt.md)); without one, `cutover baseline` records what is in a database already.

A section that is not run (the way back, in files of dbmate, goose and node-pg-migrate) is treated as if it were not there; lines keep their
numbers. The history compares and keeps the section that is run: another way back is no change. The way back is shown (`down` in
`plan --format json`), and run by `cutover revert` alone; where a migration has none, what undoes it is found out.

A file that its tool runs without a transaction consists of as many parts as statements. A statement that PostgreSQL refuses
in a transaction, a `CALL` and a `DO` run outside one; every other statement commits together with the record of it, which
means the same and leaves nothing to be decided after a crash.

";

const TAIL: &str = "
## Flyway's other migrations

`R__views.sql` is **repeatable**: made anew whenever its text is another one than when it was last applied, after all
versioned migrations of its folder, in the order of the descriptions, one at a time also with `--jobs`. The history keeps
each run. Its description identifies it, not its folder. `--to VERSION` leaves it out.

`B5__all.sql` is a **baseline migration**: in a database where nothing of its folder is applied, the newest one (within
`--to`) is applied in place of all versions up to its own. Everywhere else it is not needed, and said to be so.

`U5__users.sql` is the way back of `V5`.

`flyway.toml`, or else `flyway.conf`, beside `cutover.toml` or where it would be, is followed where that can be done exactly:
`locations` (one folder of the project, where `[[migrations]]` names none), `placeholders` (`[vars]` goes before them),
`outOfOrder`, and `defaultSchema` or the first of `schemas`: the search path of sessions begins with it and goes on with
`\"$user\", public`, unless the URL's `options` have a search path; a database without that schema is refused, and a throwaway
one has it made. What else changes which files are run or how they are read (other prefixes, separators and suffixes,
`encoding`, `initSql`, `callbackLocations`, `target` and so on) is refused by name unless it is as usual. Where to connect to,
and what only Flyway's other commands heed, is not looked at.

## Files that come late

A file below the highest applied version, from a branch that was merged late, is refused until it is meant: `apply
--out-of-order`, `apply VERSION` for just it, or `deferred = true` in its `[[stage.migration]]`. That holds for all conventions,
also where the tool would run it without a word (sqlx, dbmate, diesel, Prisma), where the tool never would (golang-migrate), and
where it asks too (goose, Supabase, node-pg-migrate). Only refinery's `U` and, with `outOfOrder` in Flyway's settings, Flyway's
versions go in late by themselves. A setting for it in `cutover.toml` there is not.

## Sqitch

`[users !carts]` behind a change says what it requires and what it must not meet: the first becomes an edge of the graph, the
second stops the project where both are in the plan. `users@v1.0` is the change as of a tag. A change that was reworked is
two migrations, of which the earlier one is in `deploy/users@v1.0.sql`; the history follows it there. `verify/users.sql`
becomes a [check](checks.md) once its change is applied. `top_dir` of `sqitch.conf` is followed where no folder is named;
other settings of where things are, are refused by name. `${name}` is filled in as in any migration; psql's variables are not.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| convention | tool | files | order |\n|---|---|---|---|\n");
    for convention in conventions::all() {
        let About { tool, files, order, .. } = convention.about();
        let _ = writeln!(page, "| [`{0}`](#{0}) | {tool} | {files} | {order} |", convention.name());
    }
    let folders = FOLDERS.map(|folder| format!("`{folder}`")).join(", ");
    let _ = writeln!(
        page,
        "\nFolders that are looked for where none is named: the project itself, where there is no `cutover.toml`; the \
         `top_dir` of a `sqitch.conf`; {folders}."
    );
    for convention in conventions::all() {
        let About { back, no_transaction, right, declines, .. } = convention.about();
        let _ = write!(
            page,
            "\n## {}\n\nE.g. `{}`.\n\n- The way back: {back}.\n- Without a transaction: {no_transaction}.\n- It gets right: \
             {right}.\n- It declines: {declines}.\n",
            convention.name(),
            convention.example()
        );
    }
    page + TAIL
}

#[test]
fn the_page_says_what_the_conventions_say() {
    expect_test::expect_file!["../../../../../docs/conventions.md"].assert_eq(&page());
}

#[test]
fn every_convention_says_all_of_itself() {
    for convention in conventions::all() {
        let About { tool, files, order, back, no_transaction, right, declines } = convention.about();
        for said in [files, order, back, no_transaction, right, declines] {
            assert!(
                !said.is_empty() && !said.contains('|') && !said.ends_with('.'),
                "{}: {said:?}",
                convention.name()
            );
        }
        assert_eq!(tool.is_empty(), convention.name() == "numbered");
    }
    let readme = include_str!("../../../../../README.md");
    for convention in conventions::all() {
        let tool = convention.about().tool;
        assert!(readme.contains(tool), "{tool} is missing in README.md");
    }
}
