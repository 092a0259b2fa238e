//! A folder of generated migrations, the same on every machine for the same seed and size: tables, keys, indexes, views,
//! functions, data and changes as projects have them. Applied in order they run without an error.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cutover_analysis::sql::{Item, Splitter};

use crate::Failure;

/// Migrations of an ordinary project are about so long, in bytes.
const FILE: usize = 2_100;

/// Numbers that follow from a seed (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit.max(1) as u64)).unwrap_or(0)
    }
}

/// `xtask corpus FOLDER [MEGABYTES [SEED]]`.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let (folder, rest) = arguments.split_first().ok_or("usage: xtask corpus FOLDER [MEGABYTES [SEED]]")?;
    let megabytes: usize = rest.first().map_or(Ok(10), |text| text.parse())?;
    let seed: u64 = rest.get(1).map_or(Ok(1), |text| text.parse())?;
    let (files, bytes) = write(Path::new(folder), megabytes << 20, seed)?;
    println!("{files} files, {bytes} bytes");
    Ok(())
}

/// Writes at least so many bytes; gives files and bytes.
pub(crate) fn write(folder: &Path, bytes: usize, seed: u64) -> Result<(usize, usize), Failure> {
    if folder.exists() {
        return Err(format!("{} is there already", folder.display()).into());
    }
    fs::create_dir_all(folder)?;
    let mut random = Random(seed.max(1));
    let mut tables = Vec::new();
    let (mut files, mut written) = (0, 0);
    while written < bytes {
        files += 1;
        let text = file(files, &mut tables, &mut random);
        written += text.len();
        fs::write(folder.join(format!("V{files:06}__step.sql")), text)?;
    }
    Ok((files, written))
}

/// How many statements the files of a folder hold.
pub(crate) fn statements(folder: &Path) -> Result<usize, Failure> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path())?;
        count += Splitter::new(text.as_bytes()).filter(|item| matches!(item, Ok(Item::Statement(_)))).count();
    }
    Ok(count)
}

fn file(n: usize, tables: &mut Vec<usize>, random: &mut Random) -> String {
    let mut text = format!("-- Step {n} of the generated project.\n\n");
    let mut part = 0;
    while text.len() < FILE {
        part += 1;
        let name = n * 100 + part;
        if tables.is_empty() || random.below(3) == 0 {
            table(&mut text, name, tables, random);
            tables.push(name);
        } else {
            let one = tables[random.below(tables.len())];
            let other = tables[random.below(tables.len())];
            change(&mut text, name, (one, other), random);
        }
    }
    text
}

fn table(text: &mut String, name: usize, tables: &[usize], random: &mut Random) {
    let _ = write!(
        text,
        "CREATE TABLE t{name} (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n    title varchar(255) NOT NULL,\n"
    );
    for column in 0..2 + random.below(6) {
        let kind = ["text", "integer", "numeric(12, 2)", "jsonb", "boolean NOT NULL DEFAULT false", "uuid"];
        let _ = writeln!(text, "    c{column} {},", kind[random.below(kind.len())]);
    }
    for key in 0..random.below(3).min(tables.len()) {
        let parent = tables[random.below(tables.len())];
        let _ = writeln!(text, "    k{key} bigint REFERENCES t{parent} (id) ON DELETE CASCADE,");
    }
    let _ = write!(
        text,
        "    state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'running', 'done')),\n    \
         created_at timestamptz NOT NULL DEFAULT now()\n);\n\
         CREATE INDEX t{name}_state ON t{name} (state, created_at DESC) WHERE state <> 'done';\n\
         COMMENT ON TABLE t{name} IS 'What number {name} is about.';\n\n"
    );
}

fn change(text: &mut String, name: usize, (one, other): (usize, usize), random: &mut Random) {
    let _ = match random.below(6) {
        0 => writeln!(text, "ALTER TABLE t{one} ADD COLUMN a{name} integer DEFAULT {name};\n"),
        1 => writeln!(text, "CREATE INDEX i{name} ON t{one} (lower(title), id);\n"),
        2 => writeln!(
            text,
            "CREATE VIEW v{name} AS\n    SELECT a.id, a.title, count(b.id) AS others\n      FROM t{one} a\n      \
             LEFT JOIN t{other} b ON b.title = a.title AND b.created_at > a.created_at\n     GROUP BY a.id, a.title;\n"
        ),
        3 => writeln!(
            text,
            "CREATE FUNCTION f{name}(wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$\nDECLARE\n    found bigint;\nBEGIN\n    \
             SELECT count(*) INTO found FROM t{one} WHERE id > wanted;\n    IF found = 0 THEN\n        \
             UPDATE t{other} SET state = 'done' WHERE id = wanted;\n    END IF;\n    RETURN found;\nEND $$;\n"
        ),
        4 => writeln!(
            text,
            "INSERT INTO t{one} (title)\n    SELECT 'row ' || n FROM generate_series(1, 3) AS n\n    \
             WHERE NOT EXISTS (SELECT FROM t{one} WHERE title = 'row ' || n);\n"
        ),
        _ => writeln!(
            text,
            "ALTER TABLE t{one} ADD CONSTRAINT p{name} CHECK (length(title) < 200 + {name});\n"
        ),
    };
}
