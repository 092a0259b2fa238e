//! Models of an application against what is there: a database, or what migrations make.
//!
//! Models become SQL, which PostgreSQL builds on a throwaway server; both sides are then read from catalogues, so that types,
//! defaults and checks are compared as PostgreSQL itself writes them. What a model cannot say, or leaves open, is not compared and
//! never called equal. Nothing is changed here, and models are not read: `cutover-models` does that.

mod bodies;
mod build;
mod columns;
mod compare;
mod decide;
mod defaults;
mod exact;
#[cfg(test)]
mod fence_tests;
mod fill;
mod fold;
#[cfg(test)]
mod generated_tests;
mod known;
mod model;
mod open;
mod parts;
mod proof;
mod said;
#[cfg(test)]
mod tests;
mod text;
mod unread;
#[cfg(test)]
mod unread_tests;
mod wanted;
mod write;
#[cfg(test)]
mod write_tests;

use std::time::{Duration, Instant};

use cutover_analysis::models::Models;
use cutover_analysis::schema::Schema;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Failure;
use thiserror::Error;

pub use decide::{Decisions, Fill, Renamed, RenamedValue, Undecided, what};
pub use model::{
    AlignedTable, Alignment, CODES, Difference, FORMAT_VERSION, ModelsSettings, NotCompared, Severity,
    Subject,
};
pub use text::lines;
pub use write::{GenerateError, Generated, generate};

use crate::catalog::CatalogError;
use build::{Built, build};

use crate::compare::{Side, SideError};
use crate::secrets::without_passwords;
use crate::verify::SandboxProvider;

/// Why models are held against nothing.
#[derive(Debug, Error)]
pub enum AlignError {
    /// What is there cannot be read, or built.
    #[error(transparent)]
    There(#[from] SideError),
    /// There is no throwaway server to build the models on.
    #[error("the models cannot be built on a throwaway server: {0}")]
    NoSandbox(String),
    /// What was built cannot be read.
    #[error("what the models have been built into cannot be read: {0}")]
    Read(#[from] CatalogError),
    /// The connection to the throwaway server failed.
    #[error("the throwaway server: {0}")]
    Lost(Failure),
}

/// Holds models against a schema. `like`: the database whose version, roles, search path and extensions the throwaway one is to have.
/// `keep`: what is meant to be there without a model, as `--keep` names it; it is no difference.
///
/// # Errors
/// See [`AlignError`]. What models say otherwise is no error: it is in the result.
pub async fn align(
    models: &Models,
    there: Side,
    keep: &[String],
    like: Option<&ConnectOptions>,
    sandbox: &SandboxProvider,
) -> Result<Alignment, AlignError> {
    let began = Instant::now();
    let against = there.to_string();
    let schemas: Vec<String> = Vec::new();
    // Large: it is not for the stack of whoever waits for it.
    let there = Box::pin(there.read(&schemas, like, sandbox)).await?;
    let built = Box::pin(build(models, &against, &there.schema, like, sandbox)).await?;
    let mut alignment = hold(&built, &there.schema, keep);
    alignment.against = against;
    alignment.remarks = there.remarks;
    alignment.took = began.elapsed();
    Ok(alignment)
}

/// Stars what is secret in what is told: models, defaults and comments hold anything.
fn without_secrets(differences: &mut [Difference], not_compared: &mut [NotCompared], beyond: &mut [String]) {
    let sides = differences.iter_mut().flat_map(|one| {
        let sides = one.model.iter_mut().chain(&mut one.there);
        sides.chain(std::iter::once(&mut one.message))
    });
    for text in sides.chain(beyond) {
        *text = without_passwords(text);
    }
    for one in not_compared {
        one.what = not_understood(&one.what);
    }
}

/// The same of what is not understood. A column is called what it is called: its type is to be seen, but for what is written out there.
fn not_understood(what: &str) -> String {
    let starred = without_passwords(what);
    // Where a text in three quotes ends is not looked for.
    let is_long = |code: &str| ["\"\"\"", "'''"].iter().any(|quotes| code.contains(quotes));
    match what.split_once(": ") {
        Some((of, code)) if starred != what && OF_CODE.iter().any(|begin| of.starts_with(begin)) => {
            let code =
                if is_long(code) { "***".to_owned() } else { without_literals(&without_passwords(code)) };
            format!("{of}: {code}")
        }
        _ => starred,
    }
}

/// Remarks that quote code.
const OF_CODE: [&str; 3] = ["the type of ", "the base ", "a constraint of "];

/// Code with stars in the place of its texts and numbers.
fn without_literals(code: &str) -> String {
    let mut told = String::new();
    let (mut quoted, mut escaped, mut is_name) = (None, false, false);
    for c in code.chars() {
        match quoted {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(quote) if c == quote => {
                quoted = None;
                told.push_str("***");
                told.push(c);
            }
            Some(_) => {}
            None if matches!(c, '\'' | '"') => {
                quoted = Some(c);
                told.push(c);
            }
            None => told.push(if c.is_ascii_digit() && !is_name { '*' } else { c }),
        }
        is_name = c == '_' || c.is_alphabetic() || is_name && c.is_ascii_digit();
    }
    told
}

/// Holds what models have been built into against a schema.
fn hold(built: &Built, there: &Schema, keep: &[String]) -> Alignment {
    let models = &built.models;
    let sides = compare::Sides {
        models,
        expected: &built.schema,
        there,
        default_schema: &built.default_schema,
        unbuilt: &built.unbuilt,
        open: &built.open,
        missing: &build::missing(models, there),
    };
    let mut compared = compare::compare(&sides);
    let held = unread::hold_back(&built.unmade, (&built.schema, there), &mut compared.differences);
    let unsupported = models.unsupported.iter().map(|one| NotCompared {
        path: one.place.path.clone(),
        line: one.place.line,
        what: one.what.clone(),
    });
    let mut not_compared: Vec<NotCompared> = Vec::new();
    // A class that several tables are made from is told of once.
    for one in unsupported.chain(open::of(models)).chain(built.refused.iter().cloned()).chain(held) {
        if !not_compared.contains(&one) {
            not_compared.push(one);
        }
    }
    // What is not understood is told once.
    let is_told = |one: &NotCompared| {
        not_compared.iter().any(|known| (&known.path, known.line) == (&one.path, one.line))
    };
    let open: Vec<NotCompared> = compared.open.into_iter().filter(|one| !is_told(one)).collect();
    not_compared.extend(open);
    let mut kept = Vec::new();
    compared.differences.retain(|difference| {
        let values = decide::values_only_there(difference, &built.schema, there);
        let stay = decide::kept_values(difference, &built.schema, there, keep);
        let is_all = !values.is_empty()
            && stay.len() == values.len()
            && !decide::has_new_values(difference, &built.schema, there);
        if is_all {
            kept.extend(values.into_iter().map(|(name, _)| name));
            return false;
        }
        let meant = decide::only_there(difference).filter(|object| decide::is_meant(object, keep));
        kept.extend(meant.map(decide::drop_name));
        meant.is_none()
    });
    for table in &mut compared.tables {
        table.differences =
            compared.differences.iter().filter(|difference| difference.table == table.name).count();
    }
    without_secrets(&mut compared.differences, &mut not_compared, &mut compared.beyond);
    Alignment {
        format_version: FORMAT_VERSION,
        against: String::new(),
        tables: compared.tables,
        differences: compared.differences,
        not_compared,
        beyond: compared.beyond,
        kept,
        remarks: Vec::new(),
        took: Duration::ZERO,
    }
}
