//! `cutover align` of 200 generated models of SQLModel, beside the same of a single one: what is between them is what the models cost, and
//! the rest is the process and the database that is made for them on a warm server.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cutover_postgres::session::{Session, Startup};

use super::measure;
use super::{beside, corpus, server};
use crate::Failure;

const MODELS: usize = 200;
const ROUNDS: usize = 7;
/// What the models may cost.
const AT_MOST: Duration = Duration::from_secs(1);

/// A project with that many models in files of ten, and the SQL that makes the same.
fn project(name: &str, count: usize) -> Result<(PathBuf, String), Failure> {
    let folder = super::folder()?.join(name);
    corpus::rewrite(&folder)?;
    fs::write(folder.join("cutover.toml"), format!("[project]\nname = \"{name}\"\n"))?;
    for inner in ["migrations", "models"] {
        fs::create_dir_all(folder.join(inner))?;
    }
    let mut sql = String::new();
    for (file, from) in (1..=count).step_by(10).enumerate() {
        let mut text = String::from(HEAD);
        for n in from..(from + 10).min(count + 1) {
            text += &model(n);
            sql += &table(n);
        }
        fs::write(folder.join("models").join(format!("part_{file:02}.py")), text)?;
    }
    Ok((folder, sql))
}

const HEAD: &str = "from datetime import date\nfrom decimal import Decimal\nfrom uuid import UUID\n\n\
                    from sqlalchemy import CheckConstraint, Column, Index, UniqueConstraint, func\n\
                    from sqlalchemy.dialects.postgresql import JSONB\nfrom sqlmodel import Field, SQLModel\n\n\n";

/// Ten columns with a key, an index or a constraint for the half of them.
fn model(n: usize) -> String {
    let mut text = format!(
        "class Thing{n}(SQLModel, table=True):\n    __tablename__ = \"things_{n}\"\n    __table_args__ = (\n        \
             UniqueConstraint(\"owner\", \"name\", name=\"things_{n}_owner_name\"),\n        \
             CheckConstraint(\"amount >= 0\", name=\"things_{n}_amount\"),\n        \
             Index(\"things_{n}_open\", \"made_on\", postgresql_where=\"NOT done\"),\n    )\n"
    );
    text += "    id: int | None = Field(default=None, primary_key=True)\n";
    if n > 1 {
        let _ = writeln!(
            text,
            "    parent_id: int | None = Field(default=None, foreign_key=\"things_{}.id\", index=True, ondelete=\"SET NULL\")",
            n - 1
        );
    } else {
        text += "    parent_id: int | None = Field(default=None, index=True)\n";
    }
    text + "    owner: UUID\n    name: str = Field(max_length=80)\n    code: str = Field(max_length=20, unique=True)\n    \
              amount: Decimal = Field(max_digits=12, decimal_places=2)\n    made_on: date = Field(sa_column_kwargs={\"server_default\": func.current_date()})\n    \
              done: bool = Field(default=False, sa_column_kwargs={\"server_default\": \"false\"})\n    \
              body: dict = Field(sa_column=Column(JSONB, nullable=False))\n    note: str | None = None\n\n\n"
}

fn table(n: usize) -> String {
    let parent = match n {
        0 | 1 => String::new(),
        n => format!(" REFERENCES things_{} ON DELETE SET NULL", n - 1),
    };
    format!(
        "CREATE TABLE things_{n} (id serial PRIMARY KEY, parent_id int{parent}, owner uuid NOT NULL, name varchar(80) NOT NULL,
             code varchar(20) NOT NULL UNIQUE, amount numeric(12, 2) NOT NULL CONSTRAINT things_{n}_amount CHECK (amount >= 0),
             made_on date NOT NULL DEFAULT CURRENT_DATE, done boolean NOT NULL DEFAULT false, body jsonb NOT NULL, note varchar,
             CONSTRAINT things_{n}_owner_name UNIQUE (owner, name));
         CREATE INDEX ix_things_{n}_parent_id ON things_{n} (parent_id);
         CREATE INDEX things_{n}_open ON things_{n} (made_on) WHERE NOT done;\n"
    )
}

/// Ends with 0 only where nothing is otherwise, so that what is measured is known to be right.
fn align(folder: &Path, url: &str, server: &str) -> Result<Duration, Failure> {
    let mut command = Command::new(beside("cutover")?);
    command.current_dir(folder).args(["align", "models", "--format", "json", "--allow-url-password"]);
    command.args(["--dev-url", server]).env("DATABASE_URL", url);
    measure::time(command)
}

/// Against databases that are as the models say.
pub(crate) fn run() -> Result<(), Failure> {
    let projects = [("aligned_1", 1), ("aligned_200", MODELS)];
    let server = server(false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut folders = Vec::new();
    for (name, count) in projects {
        let (folder, sql) = project(name, count)?;
        runtime.block_on(server.create_database(name, None))?;
        let options = server.options(name);
        runtime.block_on(async {
            let mut session = Session::connect(&options, &Startup::default()).await?;
            session.execute(&sql).await.map_err(Failure::from)
        })?;
        folders.push((folder, server.url(name)));
    }
    let mut rows: Vec<(String, Vec<Duration>)> =
        ["align 1 model", "align 200 models"].map(|label| (label.to_owned(), Vec::new())).into();
    for round in 0..=ROUNDS {
        for ((folder, url), (_, times)) in folders.iter().zip(&mut rows) {
            let took = align(folder, url, &server.url("postgres"))?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    measure::report("align generated models of SQLModel, 10 columns each", &mut rows, &[]);
    let mut middle = |n: usize| rows.get_mut(n).map_or(Duration::ZERO, |(_, times)| measure::median(times));
    let models = middle(1).saturating_sub(middle(0));
    let verdict = if models <= AT_MOST { "holds" } else { "MISSED" };
    println!(
        "  {MODELS} models cost {:.0} ms besides the process and the database made for them   promised <= {:.0}: {verdict}",
        models.as_secs_f64() * 1e3,
        AT_MOST.as_secs_f64() * 1e3
    );
    Ok(())
}
