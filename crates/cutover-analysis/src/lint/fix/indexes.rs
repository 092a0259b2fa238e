//! Indexes CONCURRENTLY.

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, ReindexObjectType};

use super::text::{Words, concurrently};
use super::{Fix, Mended, Step};
use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::finding::Finding;
use crate::lint::site::Site;
use crate::sql::quote_ident;

/// Whether indexes that are built CONCURRENTLY are not to be trusted. Source: the release notes of 14.4.
pub(super) fn check_version(site: &Site<'_>) -> Result<(), String> {
    if (140_000..140_004).contains(&site.known.facts.server) {
        return Err(
            "PostgreSQL 14.0 to 14.3 leave rows out of indexes that are built CONCURRENTLY".to_owned()
        );
    }
    Ok(())
}

pub(super) const IN_PARTITIONS: &str = "its table is partitioned, and PostgreSQL refuses CONCURRENTLY there: it has to be done partition by partition";

pub(super) fn create(site: &Site<'_>, _: &Finding) -> Mended {
    let NodeEnum::IndexStmt(index) = site.node else { return Err(super::text::not_found()) };
    check_version(site)?;
    let table = index.relation.as_ref().map(|relation| names::relation(ObjectKind::Table, relation));
    if table.as_ref().is_some_and(|table| site.known.is_partitioned(table)) {
        return Err(IN_PARTITIONS.to_owned());
    }
    let words = Words::of(site);
    let mut edit = concurrently(&words, words.find(&["INDEX"], 0))?;
    if index.idxname.is_empty() {
        // What a failed build leaves behind is found by its name.
        edit.text = format!("{} {}", edit.text, quote_ident(&free_name(site, table.as_ref())?));
    }
    Ok(Fix { edits: vec![edit], apart: true, ..Fix::new("builds the index CONCURRENTLY") })
}

/// The name that PostgreSQL chooses for the index of the statement, where it is known to be free.
pub(super) fn free_name(site: &Site<'_>, table: Option<&ObjectRef>) -> Result<String, String> {
    let chosen = site.effects.chosen.iter().find(|chosen| !chosen.name.is_empty());
    let known = table.filter(|table| site.known.relation(table).is_some());
    let Some((chosen, table)) = chosen.zip(known) else {
        return Err(
            "it has no name, and whether the one PostgreSQL would choose is free is not known: give it one"
                .to_owned(),
        );
    };
    let index = ObjectRef::new(ObjectKind::Index, table.schema.clone(), chosen.name.clone());
    if site.known.table_of_index(&index).is_some() || site.known.relation(&index).is_some() {
        return Err(format!("it has no name, and {} is taken: give it one", chosen.name));
    }
    Ok(chosen.name.to_string())
}

pub(super) fn drop(site: &Site<'_>, _: &Finding) -> Mended {
    let NodeEnum::DropStmt(drop) = site.node else { return Err(super::text::not_found()) };
    if drop.behavior() == DropBehavior::DropCascade {
        return Err("PostgreSQL refuses CONCURRENTLY with CASCADE".to_owned());
    }
    let mut indexes = drop.objects.iter().filter_map(|node| names::addressed(drop.remove_type(), node));
    if indexes.any(|index| is_of_partitions(site, &index)) {
        return Err(IN_PARTITIONS.to_owned());
    }
    let words = Words::of(site);
    let edit = concurrently(&words, words.find(&["INDEX"], 0))?;
    let fix = Fix { edits: vec![edit], apart: true, ..Fix::new("drops the index CONCURRENTLY") };
    if drop.objects.len() == 1 { Ok(fix) } else { one_by_one(site, &words, drop.missing_ok, fix) }
}

/// CONCURRENTLY takes one index a statement.
fn one_by_one(site: &Site<'_>, words: &Words<'_>, missing_ok: bool, mut fix: Fix) -> Mended {
    let text = &site.statement.text;
    let list = words.find(&["INDEX"], 0).map(|place| place + if missing_ok { 3 } else { 1 });
    let mut place = list.ok_or_else(super::text::not_found)?;
    let (mut first_end, mut last_end) = (None, 0);
    while let Some(start) = words.start(place) {
        let behind = words.behind_name(place);
        last_end = words.end(behind - 1).ok_or_else(super::text::not_found)?;
        if first_end.is_none() {
            first_end = Some(last_end);
        } else {
            let if_exists = if missing_ok { "IF EXISTS " } else { "" };
            let name = text.get(start..last_end).unwrap_or_default();
            fix.after.push(Step::apart(format!("DROP INDEX CONCURRENTLY {if_exists}{name}")));
        }
        if words.get(behind).is_none_or(|token| token.text != ",") {
            break;
        }
        place = behind + 1;
    }
    let cut = first_end.ok_or_else(super::text::not_found)?..last_end;
    if text.get(cut.clone()).is_none_or(|list| list.contains("--") || list.contains("/*")) {
        return Err("there are comments among the names: CONCURRENTLY drops one index a statement".to_owned());
    }
    Ok(fix.edit(cut, ""))
}

fn is_of_partitions(site: &Site<'_>, index: &ObjectRef) -> bool {
    site.known.table_of_index(index).is_some_and(|table| site.known.is_partitioned(&table))
}

pub(super) fn reindex(site: &Site<'_>, _: &Finding) -> Mended {
    let NodeEnum::ReindexStmt(reindex) = site.node else { return Err(super::text::not_found()) };
    check_version(site)?;
    if reindex.kind() == ReindexObjectType::ReindexObjectSystem {
        return Err("indexes of catalogues cannot be built anew CONCURRENTLY".to_owned());
    }
    let words = Words::of(site);
    if site.statement.text.to_ascii_uppercase().contains("CONCURRENTLY") {
        return Err("it says that it is not to be done CONCURRENTLY".to_owned());
    }
    let edit = concurrently(&words, words.find(&["INDEX", "TABLE", "SCHEMA", "DATABASE"], 1))?;
    Ok(Fix { edits: vec![edit], apart: true, ..Fix::new("builds the indexes anew CONCURRENTLY") })
}
