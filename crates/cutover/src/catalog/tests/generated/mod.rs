//! Properties of schemas and their differences over generated databases, with `pg_dump` as the witness.
//!
//! `CUTOVER_TEST_CASES` is how many cases each test runs, `CUTOVER_TEST_SEED` the first seed. A case that fails is made
//! smaller before it is shown.

mod design;
mod universe;

use cutover_analysis::diff::{Diff, Options, diff};
use cutover_analysis::schema::{Id, Schema, hazards};
use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::session::Session;
use testkit::{Database, Role};

use super::session;
use crate::catalog::{fingerprint, schema};
use design::{Design, Dice, Universe, shrink};
use universe::{Roles, universe};

/// How often a case that fails is tried with less in it.
const SMALLER: usize = 70;

/// How a case went wrong, in words.
type Outcome = Result<(), String>;

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("CUTOVER_TEST_SEED").unwrap_or(0);
    first..first + number("CUTOVER_TEST_CASES").unwrap_or(usual)
}

/// Two roles for all cases of a test.
struct Cast {
    reader: Role,
    writer: Role,
    /// Who makes and changes everything; a superuser where there is none.
    owner: Option<Role>,
}

impl Cast {
    fn new(owner: Option<Role>) -> Self {
        Self { reader: testkit::role(""), writer: testkit::role(""), owner }
    }

    fn roles(&self) -> Roles<'_> {
        Roles { reader: &self.reader.name, writer: &self.writer.name }
    }

    fn database(&self) -> Database {
        let database = testkit::database();
        if let Some(owner) = &self.owner {
            database.give_to(owner);
            database.run(&format!("ALTER SCHEMA public OWNER TO {}", owner.name));
        }
        database
    }

    async fn session(&self, database: &Database) -> Session {
        let options = match &self.owner {
            Some(owner) => database.options_as(owner),
            None => database.options(),
        };
        Session::connect(&options, &cutover_postgres::session::Startup::default()).await.unwrap()
    }

    /// Builds a design; a statement that fails is the generator's mistake.
    async fn build(&self, sql: &[String]) -> Result<Database, String> {
        let database = self.database();
        let mut session = self.session(&database).await;
        if session.execute(&sql.join(";\n")).await.is_err() {
            for statement in sql {
                if let Err(error) = session.execute(statement).await {
                    return Err(format!("the generator made what cannot be: {error}\n{statement}"));
                }
            }
        }
        Ok(database)
    }
}

async fn read(database: &Database) -> Schema {
    schema(&mut session(database).await, &[]).await.unwrap()
}

fn server() -> u32 {
    testkit::database().value("SHOW server_version_num").parse().unwrap()
}

/// A dump whose order does not matter: its blocks sorted, and privileges within them, which `pg_dump` writes in the order
/// in which they were given.
fn dump(database: &Database) -> Vec<String> {
    let text = testkit::catalogue_dump(&database.options(), &[]);
    let mut blocks: Vec<String> = text
        .split("\n--\n-- Name: ")
        .map(|block| {
            let mut lines: Vec<&str> = block.trim().lines().filter(|line| !line.is_empty()).collect();
            if block.contains("; Type: ACL;") || block.contains("; Type: DEFAULT ACL;") {
                lines.sort_unstable();
            }
            lines.join("\n")
        })
        .collect();
    blocks.sort();
    blocks
}

fn differing(first: &[String], second: &[String]) -> String {
    let only = |from: &[String], other: &[String], sign: &str| -> Vec<String> {
        from.iter().filter(|block| !other.contains(block)).map(|block| format!("{sign} {block}")).collect()
    };
    [only(first, second, "-"), only(second, first, "+")].concat().join("\n")
}

fn words(first: &Schema, second: &Schema) -> String {
    let changes = cutover_analysis::diff::changes(first, second);
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Equal fingerprints, equal dumps, or neither.
async fn agrees(first: &Database, second: &Database) -> Outcome {
    let [one, two] = [read(first).await, read(second).await];
    let same = fingerprint(&one) == fingerprint(&two);
    let dumps = [dump(first), dump(second)];
    if same != (one == two) {
        return Err("texts and values do not agree".to_owned());
    }
    if same == (dumps[0] == dumps[1]) {
        return Ok(());
    }
    Err(format!("equal: {same}\n{}\npg_dump:\n{}", words(&one, &two), differing(&dumps[0], &dumps[1])))
}

/// Whether what was left explains that an object is not as wanted: it is named, or what it belongs to, a part of it, or what
/// it needs.
fn explained(found: &Diff, wanted: &Schema, object: &Id) -> bool {
    let same = |left: &Id| left.schema == object.schema;
    let is_of = |needed: &Id, left: &Id| {
        needed == left || needed.schema == left.schema && needed.table.as_ref() == Some(&left.name)
    };
    let needs = |left: &Id| {
        wanted.get(object).is_some_and(|object| object.needs.iter().any(|needed| is_of(needed, left)))
    };
    found.left.iter().map(|left| &left.object).any(|left| {
        left == object
            || needs(left)
            || same(left) && object.table.as_ref() == Some(&left.name)
            || same(left) && left.table.is_some() && left.table == object.table && left.name == object.name
    })
}

/// Rows in every table that takes some: numbers from 1 to 3, so that keys fit. Gives what [`rows`] does.
fn fill(database: &Database, from: &Schema, to: &Schema) -> Vec<String> {
    let mut sql = "SET session_replication_role = replica;".to_owned();
    for (id, object) in from.objects.iter().filter(|(id, _)| id.kind.word() == "table") {
        if object.has("partition key") {
            continue;
        }
        let columns =
            from.parts_of(id).filter(|(part, what)| part.kind.word() == "column" && !what.has("generated"));
        let columns: Vec<(String, &str)> = columns
            .map(|(part, what)| (quote_ident(&part.name), value(what.text("type").unwrap_or_default())))
            .collect();
        let names = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let values = columns.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(", ");
        let insert = if columns.is_empty() {
            format!("INSERT INTO {} DEFAULT VALUES", id.name_sql())
        } else {
            format!(
                "INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM generate_series(1, 3) n",
                id.name_sql()
            )
        };
        // Not every table takes them: a domain may refuse, a partition have other bounds.
        let tried = format!("BEGIN {insert}; EXCEPTION WHEN OTHERS THEN NULL; END");
        sql.extend([format!("DO {};", quote_literal(&tried))]);
    }
    database.run(&sql);
    rows(database, from, to)
}

/// A value of a type, of `n`.
fn value(type_name: &str) -> &'static str {
    match type_name {
        "integer" | "bigint" | "smallint" => "n",
        number if number.starts_with("numeric") => "n + 0.25",
        text if text == "text" || text.starts_with("character") => "'text ' || n",
        time if time.starts_with("timestamp") || time == "date" => {
            "timestamptz '2026-01-01 12:00+00' + n * interval '1 day'"
        }
        "int4range" => "int4range(n, n + 1)",
        "jsonb" => "to_jsonb(n)",
        "text[]" => "ARRAY[n::text]",
        _ => "NULL",
    }
}

/// Of each table on both sides, how many rows it has and a digest of the columns whose type stays.
fn rows(database: &Database, from: &Schema, to: &Schema) -> Vec<String> {
    let tables = from.objects.keys().filter(|id| id.kind.word() == "table" && to.objects.contains_key(*id));
    let digest = |id: &Id| {
        let stays = |(part, what): &(&Id, &cutover_analysis::schema::Object)| {
            part.kind.word() == "column"
                && to.get(part).is_some_and(|other| other.text("type") == what.text("type"))
        };
        let columns: Vec<String> =
            from.parts_of(id).filter(stays).map(|(part, _)| quote_ident(&part.name)).collect();
        let row =
            if columns.is_empty() { "''".to_owned() } else { format!("ROW({})::text", columns.join(", ")) };
        database.value(&format!("SELECT {} || ' ' || count(*) || ' ' || md5(coalesce(string_agg({row}, ';' ORDER BY {row}), '')) FROM {}", quote_literal(&id.to_string()), id.name_sql()))
    };
    tables.map(digest).collect()
}

/// Applies what lies between to the first; it must be the second then, but for what was left.
async fn converges(cast: &Cast, first: &Database, second: &Database, options: Options) -> Outcome {
    let mut session = cast.session(first).await;
    let from = schema(&mut session, &[]).await.map_err(|error| error.to_string())?;
    let to = schema(&mut cast.session(second).await, &[]).await.map_err(|error| error.to_string())?;
    let found = diff(&from, &to, options);
    let shown = |wrong: &str| {
        let statements: Vec<&str> =
            found.statements.iter().map(|statement| statement.text.as_str()).collect();
        let left: Vec<String> = found.left.iter().map(ToString::to_string).collect();
        format!(
            "{wrong}\n-- changes:\n{}\n-- statements:\n{};\n-- left:\n{}",
            words(&from, &to),
            statements.join(";\n"),
            left.join("\n")
        )
    };
    let keeps = [hazards::MAY_FAIL, hazards::DATA_LOSS];
    let keeps = !found.statements.iter().any(|sql| sql.hazards.iter().any(|hazard| keeps.contains(hazard)));
    let before = if keeps { fill(first, &from, &to) } else { Vec::new() };
    super::apply(&mut session, &found).await.map_err(|wrong| shown(&wrong))?;
    let after = if keeps { rows(first, &from, &to) } else { Vec::new() };
    if before != after {
        return Err(shown(&format!("other rows:\n{before:?}\n{after:?}")));
    }
    let now = schema(&mut session, &[]).await.map_err(|error| error.to_string())?;
    let rest: Vec<_> = cutover_analysis::diff::changes(&now, &to)
        .into_iter()
        .filter(|change| !explained(&found, &to, &change.object))
        .map(|change| change.to_string())
        .collect();
    if rest.is_empty() { Ok(()) } else { Err(shown(&format!("not as wanted:\n{}", rest.join("\n")))) }
}

/// Runs a case of two designs; makes it smaller where it fails.
fn case<F>(seed: u64, universe: &Universe, designs: (Design, Design), check: &F) -> Outcome
where
    F: AsyncFn(&Design, &Design) -> Outcome,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let attempt = |first: &Design, second: &Design| runtime.block_on(check(first, second));
    let Err(wrong) = attempt(&designs.0, &designs.1) else { return Ok(()) };
    let kind = |text: &str| text.split(['\n', '"']).next().unwrap_or_default().to_owned();
    let parts = designs.0.len() + designs.1.len();
    let mut attempts = 0;
    let (first, second) = shrink(universe, designs, |first, second| {
        attempts += 1;
        attempts < SMALLER && attempt(first, second).is_err_and(|other| kind(&other) == kind(&wrong))
    });
    let wrong = attempt(&first, &second).err().unwrap_or(wrong);
    let shown = format!(
        "===== seed {seed} ({parts} parts, now {})\n{wrong}\n-- first:\n{};\n-- second:\n{};\n",
        first.len() + second.len(),
        first.sql(universe, None).join(";\n"),
        second.sql(universe, None).join(";\n")
    );
    eprintln!("{shown}");
    Err(shown)
}

fn all_hold(failures: &[String]) {
    assert!(failures.is_empty(), "{} cases failed, shown above", failures.len());
}

fn some_steps(universe: &Universe, from: &Design, dice: &mut Dice, superuser: bool) -> Design {
    let mut to = from.clone();
    for _ in 0..=dice.below(6) {
        to.mutate(universe, dice, superuser);
    }
    to
}

#[test]
fn equal_fingerprints_are_equal_dumps() {
    let cast = Cast::new(None);
    let server = server();
    let mut failures = Vec::new();
    for seed in seeds(6) {
        let universe = universe(seed, server, &cast.roles());
        let mut dice = Dice::new(seed);
        let design = Design::random(&universe, &mut dice, true);
        let mut other = design.clone();
        while other == design {
            other.mutate(&universe, &mut dice, true);
        }
        let again = async |first: &Design, _: &Design| {
            let one = cast.build(&first.sql(&universe, None)).await?;
            let two = cast.build(&first.sql(&universe, Some(&mut Dice::new(seed)))).await?;
            agrees(&one, &two).await?;
            let [one, two] = [read(&one).await, read(&two).await];
            if one == two { Ok(()) } else { Err(format!("another order:\n{}", words(&one, &two))) }
        };
        failures.extend(case(seed, &universe, (design.clone(), design.clone()), &again).err());
        let mutated = async |first: &Design, second: &Design| {
            let one = cast.build(&first.sql(&universe, None)).await?;
            let two = cast.build(&second.sql(&universe, None)).await?;
            agrees(&one, &two).await
        };
        failures.extend(case(seed, &universe, (design, other), &mutated).err());
    }
    all_hold(&failures);
}

#[test]
fn what_lies_between_makes_one_into_the_other() {
    let cast = Cast::new(None);
    between(&cast, seeds(20));
}

#[test]
fn what_lies_between_can_be_run_by_an_ordinary_role() {
    let cast = Cast::new(Some(testkit::role("")));
    between(&cast, seeds(10));
}

fn between(cast: &Cast, seeds: std::ops::Range<u64>) {
    let server = server();
    let superuser = cast.owner.is_none();
    let mut failures = Vec::new();
    for seed in seeds {
        let universe = universe(seed, server, &cast.roles());
        let mut dice = Dice::new(seed);
        let design = Design::random(&universe, &mut dice, superuser);
        let other = if seed % 3 == 0 {
            Design::random(&universe, &mut dice, superuser)
        } else {
            some_steps(&universe, &design, &mut dice, superuser)
        };
        let check = async |first: &Design, second: &Design| {
            let one = cast.build(&first.sql(&universe, None)).await?;
            let two = cast.build(&second.sql(&universe, None)).await?;
            converges(cast, &one, &two, Options { safe: seed % 2 == 0 }).await
        };
        failures.extend(case(seed, &universe, (design, other), &check).err());
    }
    all_hold(&failures);
}
