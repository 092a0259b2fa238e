//! Partitions, materialized views, functions and views.

use pg_query::NodeEnum;

use super::text::{Words, concurrently, not_found};
use super::{Fix, Mended, Step};
use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::finding::Finding;
use crate::lint::security;
use crate::lint::site::Site;
use crate::sql::lexer::Kind;
use crate::sql::{quote_ident, quote_literal, quote_qualified};

pub(super) fn detach(site: &Site<'_>, _: &Finding) -> Mended {
    let Some((_, parent)) = site.commands().next() else { return Err(not_found()) };
    if (1..14).contains(&site.known.major()) {
        return Err("PostgreSQL detaches partitions CONCURRENTLY from version 14 on".to_owned());
    }
    if site.known.default_partition(&parent).is_some() {
        return Err("PostgreSQL refuses CONCURRENTLY where there is a default partition".to_owned());
    }
    let end = Words::of(site).last().ok_or_else(not_found)?;
    let fix = Fix { apart: true, ..Fix::new("detaches the partition CONCURRENTLY") };
    Ok(fix.edit(end..end, " CONCURRENTLY"))
}

pub(super) fn refresh(site: &Site<'_>, _: &Finding) -> Mended {
    let NodeEnum::RefreshMatViewStmt(refresh) = site.node else { return Err(not_found()) };
    if refresh.skip_data {
        return Err("WITH NO DATA empties the view: there is nothing to do beside its readers".to_owned());
    }
    let view = refresh.relation.as_ref().map(|view| names::relation(ObjectKind::MaterializedView, view));
    if view.as_ref().is_some_and(|view| site.known.is_unfilled(view)) {
        return Err("the view holds nothing yet, and PostgreSQL refuses CONCURRENTLY then".to_owned());
    }
    let known = view.and_then(|view| site.known.relation(&view));
    let is_key = |index: &crate::effects::Index| index.unique && !index.computed && index.ordinary;
    if !known.is_some_and(|known| known.indexes.iter().any(is_key)) {
        return Err(
            "it takes a unique index of the view, and none is known: CREATE UNIQUE INDEX on it first"
                .to_owned(),
        );
    }
    let words = Words::of(site);
    let edit = concurrently(&words, words.find(&["VIEW"], 0))?;
    Ok(Fix { edits: vec![edit], ..Fix::new("refreshes the view CONCURRENTLY") })
}

/// The search path with which the function was written, and nobody's temporary objects before it.
pub(super) fn search_path(site: &Site<'_>, _: &Finding) -> Mended {
    // Where there are two of them, the last one counts.
    let options = match site.node {
        NodeEnum::CreateFunctionStmt(create) => create.options.as_slice(),
        NodeEnum::AlterFunctionStmt(alter) => alter.actions.as_slice(),
        _ => &[],
    };
    if security::settings(options, false).1.is_some() {
        return Err("the statement sets a search path: name the schemas in it by hand".to_owned());
    }
    let words = Words::of(site);
    let mut from = 0;
    let place = loop {
        let Some(place) = words.find(&["SECURITY"], from) else {
            return Err("the statement does not say SECURITY DEFINER itself".to_owned());
        };
        if words.is(place + 1, "DEFINER") {
            break place + 1;
        }
        from = place + 1;
    };
    // What is in no schema that is known here may be found by a path that the database or the role has.
    let mentioned = site.effects.late.iter().map(|reference| &reference.object);
    let is_elsewhere = |object: &&ObjectRef| {
        object.schema.is_none()
            && object.kind.family() == ObjectKind::Relation
            && !object.name.starts_with("pg_")
            && site.known.relation(object).is_none()
    };
    if let Some(unknown) = mentioned.into_iter().find(is_elsewhere) {
        return Err(format!("which schema {} is in is not known: pin the path by hand", unknown.name));
    }
    let path = &site.known.context.search_path;
    let schemas = if path.is_empty() { vec!["public".to_owned()] } else { path.clone() };
    let own = ["pg_catalog", "pg_temp"];
    let schemas = schemas.iter().map(String::as_str).filter(|schema| !own.contains(schema)).map(quote_ident);
    let listed: Vec<String> =
        std::iter::once("pg_catalog".to_owned()).chain(schemas).chain(["pg_temp".to_owned()]).collect();
    let end = words.end(place).ok_or_else(not_found)?;
    let fix = Fix::new("pins the search path with which it was written");
    Ok(fix.edit(end..end, format!(" SET search_path = {}", listed.join(", "))))
}

pub(super) fn security_invoker(site: &Site<'_>, finding: &Finding) -> Mended {
    if (1..15).contains(&site.known.major()) {
        return Err("security_invoker came with version 15".to_owned());
    }
    let fix = Fix::new("lets the view look at its tables as whoever reads it");
    match site.node {
        NodeEnum::ViewStmt(create) => {
            if security::options(&create.options).contains_key("security_invoker") {
                return Err("the view says that it is not to be so".to_owned());
            }
            with_options(site, fix, "security_invoker = true")
        }
        NodeEnum::AlterTableStmt(_) => {
            let view = finding.about.as_ref().ok_or_else(not_found)?;
            let mut fix = fix;
            fix.after.push(Step::along(format!(
                "ALTER VIEW {} SET (security_invoker = true)",
                quote_qualified(&view.schema, &view.name)
            )));
            Ok(fix)
        }
        _ => Err(not_found()),
    }
}

pub(super) fn repeated_options(site: &Site<'_>, _: &Finding) -> Mended {
    let NodeEnum::ViewStmt(create) = site.node else { return Err(not_found()) };
    let Some(view) = &create.view else { return Err(not_found()) };
    let name = site.known.context.new_name(&names::relation(ObjectKind::View, view));
    let given = security::options(&create.options);
    let known = site.known.security.views.get(&name).into_iter().flatten();
    let lost = known.filter(|(option, value)| !given.contains_key(*option) && !security::is_false(value));
    let repeated: Vec<String> =
        lost.map(|(option, value)| format!("{} = {}", quote_ident(option), value_of(value))).collect();
    with_options(site, Fix::new("repeats the options that the view has"), &repeated.join(", "))
}

/// A value as options are written.
fn value_of(value: &str) -> String {
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_plain { value.to_owned() } else { quote_literal(value) }
}

/// The options of a view, among those it is given.
fn with_options(site: &Site<'_>, fix: Fix, options: &str) -> Mended {
    let words = Words::of(site);
    let view = words.find(&["VIEW"], 0).ok_or_else(not_found)?;
    let mut place = words.behind_name(view + 1);
    place = words.behind_list(place).unwrap_or(place);
    if words.is(place, "WITH") && words.get(place + 1).is_some_and(|token| token.kind == Kind::Open) {
        let at = words.end(place + 1).ok_or_else(not_found)?;
        return Ok(fix.edit(at..at, format!("{options}, ")));
    }
    if !words.is(place, "AS") {
        return Err(not_found());
    }
    let at = words.start(place).ok_or_else(not_found)?;
    Ok(fix.edit(at..at, format!("WITH ({options}) ")))
}

/// The byte at which the actions of an `ALTER TABLE` begin.
pub(in crate::lint) fn actions(site: &Site<'_>) -> Option<usize> {
    let words = Words::of(site);
    let mut place = words.find(&["TABLE"], 0)? + 1;
    if words.is(place, "IF") {
        place += 2;
    }
    let only = words.is(place, "ONLY");
    place = words.behind_name(place + usize::from(only));
    place += usize::from(words.get(place).is_some_and(|token| token.text == "*"));
    words.start(place)
}
