//! ALTER COLUMN … TYPE: whether the values stay as they are stored.

use pg_query::NodeEnum;
use pg_query::protobuf::ColumnDef;
use smol_str::SmolStr;

use super::super::context::{Column, DataType, Index};
use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectRef, WorkKind};
use super::super::names;
use super::{Site, alter_table};

/// What a change of type makes of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Nothing.
    Kept,
    /// The same bytes; they are looked at, or sorted differently, all the same.
    Resorted,
    /// Every row is written anew.
    Rewritten,
    /// The same bytes if sessions run in UTC.
    KeptInUtc,
    /// It depends on a type that is not known here.
    Unknown,
}

pub(super) fn change(name: &str, column: &ColumnDef, table: &ObjectRef, site: &mut Site<'_>) {
    let Some(new) = column.type_name.as_ref().map(DataType::of) else { return };
    let collation = column
        .coll_clause
        .as_ref()
        .and_then(|clause| clause.collname.last())
        .and_then(names::text)
        .map(SmolStr::new);
    let is_own = column.type_name.as_ref().and_then(names::type_object).is_some();
    let Some(old) = site.known.column(table, name).cloned() else {
        site.work_if(table, WorkKind::Rewrite, "unless values of the old type are stored in the same way");
        keys(name, None, table, site);
        return;
    };
    let using = column.raw_default.as_deref().and_then(|node| node.node.as_ref());
    let change = if using.is_some_and(|using| !says_no_more(using, name, &new)) {
        Change::Rewritten
    } else {
        change_of(&old, &new, is_own, collation.as_ref(), site)
    };
    keys(name, Some(change), table, site);
    match change {
        Change::Kept => rebuild(name, false, table, site),
        Change::Rewritten => {
            site.work(table, WorkKind::Rewrite, "values of the new type are stored differently");
        }
        Change::KeptInUtc if site.known.utc == Some(true) => rebuild(name, true, table, site),
        Change::KeptInUtc if site.known.utc == Some(false) => {
            site.work(table, WorkKind::Rewrite, "the time zone is not UTC");
        }
        Change::KeptInUtc => site.work_if(table, WorkKind::Rewrite, "unless the time zone is UTC"),
        Change::Resorted => rebuild(name, true, table, site),
        Change::Unknown => {
            site.work_if(
                table,
                WorkKind::Rewrite,
                "unless values of the old type are stored in the same way",
            );
        }
    }
}

/// Foreign keys over the column, or to it, are made anew: with locks on the other tables, and looked up again where
/// values were written anew.
fn keys(column: &str, change: Option<Change>, table: &ObjectRef, site: &mut Site<'_>) {
    const WHY: &str = "to look each row up in the other table";
    let Some(known) = site.relation(table) else {
        if !site.known.complete {
            site.lock_more("the other tables of foreign keys over the column, and of those to it");
        }
        return;
    };
    let looked_up = match change {
        Some(Change::Kept | Change::Resorted) => None,
        Some(Change::Rewritten) => Some(true),
        Some(Change::KeptInUtc | Change::Unknown) | None => Some(false),
    };
    let own = known.foreign_keys.iter().filter(|key| key.columns.iter().any(|own| own == column));
    for parent in own.map(|key| super::object(&key.parent)).collect::<Vec<_>>() {
        // The new key locks what the old one did not.
        let new = Some(Mode::ShareRowExclusive);
        site.lose_parent(&parent, new, new);
        if looked_up.is_some() {
            alter_table::looked_up_in(&parent, site);
        }
    }
    let name = site.known.resolve(table);
    for other in site.known.referring(&name).cloned().collect::<Vec<_>>() {
        let known = &site.known.relations[&other];
        if !known.foreign_keys.iter().any(|key| key.parent == name && key.points_to(column)) {
            continue;
        }
        site.lock_named(&other, Mode::AccessExclusive);
        let other = super::object(&other);
        match looked_up {
            Some(true) => site.work(&other, WorkKind::Scan, WHY),
            Some(false) => site.work_if(&other, WorkKind::Scan, "if values are stored differently"),
            None => {}
        }
    }
}

/// What is made anew although values stay as they are: indexes on the column if they sort differently, those with
/// expressions or a condition in any case; and constraints are checked again.
fn rebuild(column: &str, resorted: bool, table: &ObjectRef, site: &mut Site<'_>) {
    let Some(known) = site.relation(table) else { return };
    let is_key = |index: &Index| index.columns.iter().flatten().any(|key| key == column);
    let anew = |index: &Index| resorted && is_key(index) || index.computed && index.mentions(column);
    let rebuilt = known.indexes.iter().any(anew);
    let checked =
        known.checks.iter().any(|check| check.valid && check.columns.iter().any(|own| own == column));
    if rebuilt {
        site.work(table, WorkKind::Reindex, "the indexes on the column are built anew");
    } else if checked {
        site.work(table, WorkKind::Scan, "to check each row");
    }
}

/// Whether USING says what would be done without it: the column, or a cast of it to its new type.
fn says_no_more(using: &NodeEnum, name: &str, new: &DataType) -> bool {
    match using {
        NodeEnum::ColumnRef(column) => column.fields.last().and_then(names::text) == Some(name),
        NodeEnum::TypeCast(cast) => {
            let is_new = cast.type_name.as_ref().is_some_and(|cast| DataType::of(cast) == *new);
            let of = cast.arg.as_deref().and_then(|node| node.node.as_ref());
            is_new
                && matches!(of, Some(NodeEnum::ColumnRef(_)))
                && of.is_some_and(|of| says_no_more(of, name, new))
        }
        _ => false,
    }
}

fn change_of(
    old: &Column,
    new: &DataType,
    is_own: bool,
    collation: Option<&SmolStr>,
    site: &Site<'_>,
) -> Change {
    if is_own {
        return match site.known.is_constrained_domain(new) {
            Some(true) => Change::Rewritten,
            Some(false) if site.known.complete => Change::Kept,
            _ => Change::Unknown,
        };
    }
    let stored = stored(&old.data_type, new);
    if stored == Change::Kept && old.collation.as_ref() != collation { Change::Resorted } else { stored }
}

/// Source: `ATColumnChangeRequiresRewrite`, the binary coercible casts of `pg_cast`, and the support functions of length
/// coercions; measured.
fn stored(old: &DataType, new: &DataType) -> Change {
    let kept = |is: bool| if is { Change::Kept } else { Change::Rewritten };
    if old.array != new.array || old.schema.is_some() {
        return Change::Unknown;
    }
    let (from, to) = (old.name.as_str(), new.name.as_str());
    let shorter = || !new.modifiers.is_empty() && new.modifiers.first() < old.modifiers.first();
    let bounded = |old: &DataType| !old.modifiers.is_empty();
    match (from, to) {
        // A longer limit, or none, lets every value stay.
        ("varchar", "varchar") | ("varbit", "varbit") => kept(!bounded(new) || bounded(old) && !shorter()),
        ("text", "varchar") => kept(!bounded(new)),
        ("varchar" | "text" | "xml", "text") | ("cidr", "inet") => Change::Kept,
        ("numeric", "numeric") => kept(!bounded(new) || bounded(old) && wider_numeric(old, new)),
        ("timestamp", "timestamp")
        | ("timestamptz", "timestamptz")
        | ("time", "time")
        | ("timetz", "timetz") => {
            // Six digits are all there are.
            kept(!bounded(new) || new.modifiers.first() >= Some(&6) || bounded(old) && !shorter())
        }
        ("timestamp", "timestamptz") | ("timestamptz", "timestamp") => Change::KeptInUtc,
        ("bpchar", "bpchar") | ("bit", "bit") => kept(old.modifiers == new.modifiers),
        ("interval", "interval") if old.modifiers != new.modifiers => Change::Unknown,
        (from, to) if from == to => Change::Kept,
        ("oid", "regclass" | "regproc" | "regtype" | "regrole" | "regnamespace" | "int4")
        | ("int4" | "regclass" | "regproc" | "regtype" | "regrole" | "regnamespace", "oid") => Change::Kept,
        _ => Change::Rewritten,
    }
}

/// The same scale and no fewer digits.
fn wider_numeric(old: &DataType, new: &DataType) -> bool {
    let parts = |data_type: &DataType| {
        (data_type.modifiers.first().copied(), data_type.modifiers.get(1).copied().unwrap_or(0))
    };
    let ((old_precision, old_scale), (new_precision, new_scale)) = (parts(old), parts(new));
    old_scale == new_scale && new_precision >= old_precision
}
