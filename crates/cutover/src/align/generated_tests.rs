//! Pairs of models, made by chance: whatever the ones are, the migration to the others leads there, or what it leaves is said.
//!
//! `CUTOVER_TEST_CASES` is how many pairs are tried, `CUTOVER_TEST_SEED` the first seed.
#![allow(clippy::unwrap_used, reason = "what fails here has failed the test")]

use cutover_analysis::models::{
    Check, Column, Default, Enum, ForeignKey, Identity, Index, Models, Place, Table, Unique, ddl,
};

use super::{Decisions, Fill, Undecided, generate};
use crate::project::Project;
use crate::verify::SandboxProvider;

/// Pairs that are tried where nothing else is said.
const CASES: u64 = 12;

/// Numbers by chance, the same for the same seed (xorshift, as good as this needs).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn is(&mut self, of_ten: u64) -> bool {
        self.below(10) < of_ten
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

const TYPES: [(&str, &str); 8] = [
    ("integer", "7"),
    ("bigint", "7"),
    ("text", "'x'"),
    ("varchar(20)", "'x'"),
    ("timestamptz", "now()"),
    ("boolean", "true"),
    ("uuid", "gen_random_uuid()"),
    ("mood", "'good'"),
];

fn place() -> Place {
    Place::new("models", 1)
}

fn models(dice: &mut Dice) -> Models {
    let mut values = vec!["good".to_owned(), "bad".to_owned()];
    values.extend(dice.is(3).then(|| "odd 'one'".to_owned()));
    let mood = Enum { name: "mood".into(), values, place: place(), ..Enum::default() };
    let names: Vec<&str> =
        ["first", "Second one", "third", "order"].into_iter().filter(|_| dice.is(8)).collect();
    let mut tables: Vec<Table> = names.iter().map(|name| table(name, dice)).collect();
    // A key of each to another one, whichever comes first.
    for table in &mut tables {
        if names.is_empty() || dice.is(5) {
            continue;
        }
        let parent = (*dice.pick(&names)).to_owned();
        table.columns.push(column("parent", "bigint"));
        table.foreign_keys.push(ForeignKey {
            columns: vec!["parent".into()],
            parent,
            parent_columns: vec!["id".into()],
            on_delete: dice.is(5).then(|| "CASCADE".to_owned()),
            place: place(),
            ..ForeignKey::default()
        });
    }
    Models { tables, enums: vec![mood], ..Models::default() }
}

fn column(name: &str, data_type: &str) -> Column {
    Column { name: name.into(), data_type: data_type.into(), place: place(), ..Column::default() }
}

fn columns(dice: &mut Dice) -> Vec<Column> {
    let mut id = Column { not_null: true, ..column("id", "bigint") };
    match dice.below(3) {
        0 => id.identity = Some(Identity::ByDefault),
        1 => id.identity = Some(Identity::Serial),
        _ => {}
    }
    let mut columns = vec![id];
    for name in ["a", "b b", "c", "user", "e"] {
        if dice.is(3) {
            continue;
        }
        let (data_type, value) = *dice.pick(&TYPES);
        columns.push(Column {
            not_null: dice.is(5),
            default: if dice.is(3) { Default::Sql(value.into()) } else { Default::None },
            comment: dice.is(1).then(|| format!("what {name} is")),
            ..column(name, data_type)
        });
    }
    columns
}

fn table(name: &str, dice: &mut Dice) -> Table {
    let mut table = Table {
        name: name.into(),
        columns: columns(dice),
        primary_key: vec!["id".into()],
        place: place(),
        ..Table::default()
    };
    let own: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    if dice.is(5) {
        let columns = vec![dice.pick(&own).clone()];
        let name = dice.is(5).then(|| format!("{name}_u"));
        table.uniques.push(Unique { name, columns, place: place(), ..Unique::default() });
    }
    if dice.is(6) {
        let key = cutover_analysis::sql::quote_ident(dice.pick::<String>(&own));
        table.indexes.push(Index {
            name: Some(format!("{name}_i")),
            keys: vec![if dice.is(5) { key } else { format!("{key} DESC") }],
            unique: dice.is(2),
            condition: dice.is(3).then(|| "id > 5".to_owned()),
            place: place(),
            ..Index::default()
        });
    }
    if dice.is(3) {
        let expression = format!("id > {}", dice.below(3));
        table.checks.push(Check { name: Some(format!("{name}_c")), expression, place: place() });
    }
    table
}

#[tokio::test]
async fn the_migration_from_any_models_to_any_others_leads_there() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("CUTOVER_TEST_SEED").unwrap_or(1);
    for seed in first..first + number("CUTOVER_TEST_CASES").unwrap_or(CASES) {
        // Seeds that lie side by side are to have nothing in common.
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (there, wanted) = (models(&mut dice), models(&mut dice));
        let sql = ddl(&there).text();
        let project = Project::embedded("there", &[("0001_there.sql", sql.as_bytes())]).unwrap();
        let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
        let mut decisions = Decisions { drop: vec!["all".to_owned()], ..Decisions::default() };
        let first = Box::pin(generate(&wanted, &project, &decisions, &sandbox)).await.unwrap();
        for one in &first.undecided {
            let Undecided::Fill { column, .. } = one else { panic!("seed {seed}: {one:?}") };
            decisions.fills.push(Fill::parse(&format!("{column}=none")).unwrap());
        }
        let made = Box::pin(generate(&wanted, &project, &decisions, &sandbox)).await.unwrap();
        let shown = || {
            let (wanted, still) = (ddl(&wanted).text(), made.still.iter().map(super::wanted::told));
            let still: Vec<String> = still.collect();
            format!(
                "seed {seed}\n-- there\n{sql}\n-- wanted\n{wanted}\n-- written\n{}\nleft: {:#?}\nstill: {still:#?}",
                made.sql, made.left
            )
        };
        // What is left as it is may be in the way of the rest: then nothing is written, and both is said.
        assert!(made.failed.is_none() || !made.left.is_empty(), "{:?}: {}", made.failed, shown());
        assert_eq!(made.not_compared, [], "{}", shown());
        // The way back of it is one.
        assert_eq!(made.back, [""; 0], "{}\n-- back\n{}", shown(), made.undo);
        // What is otherwise in the end is what was said to be left.
        let left = made.left.join("\n");
        for still in &made.still {
            let name = still.column.as_deref().unwrap_or(still.table.as_str());
            assert!(left.contains(name), "{}: {}", still.message, shown());
        }
    }
}
