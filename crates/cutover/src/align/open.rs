//! What models of a kind have no words for: said once for all of their tables, since it is not compared.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::models::{Aspect, Models, Table};

use super::model::NotCompared;
use crate::report::format::count;

/// What whole tables leave open, by what that is.
pub(super) fn of(models: &Models) -> Vec<NotCompared> {
    let mut by_aspects: BTreeMap<&BTreeSet<Aspect>, Vec<&Table>> = BTreeMap::new();
    for table in models.tables.iter().filter(|table| !table.unstated.is_empty()) {
        by_aspects.entry(&table.unstated).or_default().push(table);
    }
    let one = |(aspects, tables): (&BTreeSet<Aspect>, Vec<&Table>)| {
        let first = tables.first()?;
        let words: Vec<&str> = aspects.iter().copied().filter_map(word).collect();
        if words.is_empty() {
            return None;
        }
        let of = match tables[..] {
            [table] => table.label.clone(),
            _ => format!("{}, {} among them", count(tables.len(), "table", "tables"), first.label),
        };
        let what = format!("what the models do not say of {of}: {}", words.join(", "));
        Some(NotCompared { path: first.place.path.clone(), line: first.place.line, what })
    };
    by_aspects.into_iter().filter_map(one).collect()
}

fn word(aspect: Aspect) -> Option<&'static str> {
    Some(match aspect {
        Aspect::Columns => "further columns",
        Aspect::Type => "types",
        Aspect::Modifier => "lengths and precisions",
        Aspect::Nullable => "NULL",
        Aspect::Default => "defaults",
        Aspect::Identity => "how columns number their rows",
        Aspect::Comment => "comments",
        Aspect::Collation => "collations",
        Aspect::PrimaryKey => "the primary key",
        Aspect::Unique => "what is unique",
        Aspect::ForeignKey => "foreign keys",
        Aspect::OnDelete => "ON DELETE",
        Aspect::OnUpdate => "ON UPDATE",
        Aspect::Deferrable => "when constraints are looked at",
        Aspect::Check => "checks",
        Aspect::Index => "indexes",
        // Those that are there, and what is not understood, are listed one by one.
        Aspect::Making | Aspect::UniqueForm | Aspect::IndexForm | Aspect::IndexPart => return None,
    })
}
