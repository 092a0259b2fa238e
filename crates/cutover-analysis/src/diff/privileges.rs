//! What all kinds have alike: owners, comments, and privileges, which follow the owner and what is granted by default.

use crate::effects::ObjectKind;
use crate::schema::kinds;
use crate::schema::kinds::making::{self, Common, World};
use crate::schema::{Id, Object, Schema, Sql, Value};

/// Owners, comments and privileges, alike for all kinds.
pub(super) fn common_changes(change: &mut making::Change<'_>, to: &Schema) {
    let common = Common::of(change.id);
    let owners = change.take("owner").map(|(old, new)| {
        let name = |value: Option<&Value>, schema: &Schema| {
            value.map_or_else(|| usual_owner(change.id, schema), Value::text)
        };
        (name(old, change.world.from), name(new, to))
    });
    if let Some((_, owner)) = owners.as_ref().filter(|_| !has_owner_of_table(change)) {
        change.statements.push(common.owner(owner));
    }
    if change.id.kind != ObjectKind::DefaultPrivileges {
        let (revoked, granted) = (change.take("revoked"), change.take("grants"));
        if revoked.is_some() || granted.is_some() || owners.is_some() {
            let before = Privileges::of(change.from).under(owners.as_ref());
            let gone = before.change_to(&Privileges::of(change.to), &common, &mut change.statements);
            if owners.is_some() {
                columns_under(change, owners.as_ref());
            }
            regrant_columns(change, &gone.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    if let Some((_, comment)) = change.take("comment") {
        let comment = comment.map(Value::text);
        change.statements.push(common.comment(comment.as_deref()));
    }
}

/// Who owns what names no owner. Only of `public` that is somebody else than whoever reads it.
fn usual_owner(id: &Id, schema: &Schema) -> String {
    const WITH_DATABASE_OWNER: u32 = 150_000;
    if id.kind == ObjectKind::Schema && schema.server_version >= WITH_DATABASE_OWNER {
        "pg_database_owner".to_owned()
    } else {
        schema.owner.clone()
    }
}

/// Whether it is a sequence that belongs to a column and goes on doing so: it changes hands with the table.
fn has_owner_of_table(change: &making::Change<'_>) -> bool {
    let column = |object: &Object| object.text("owned by").map(str::to_owned);
    change.id.kind == ObjectKind::Sequence
        && column(change.from).is_some()
        && column(change.from) == column(change.to)
}

/// What is granted besides the defaults, and what of these is not.
struct Privileges {
    grants: Vec<String>,
    revoked: Vec<String>,
}

impl Privileges {
    fn of(object: &Object) -> Self {
        Self { grants: object.list("grants").to_vec(), revoked: object.list("revoked").to_vec() }
    }

    /// What they are when the owner is another: whatever the old one had is the new one's.
    fn under(self, owners: Option<&(String, String)>) -> Self {
        const OPTION: &str = " WITH GRANT OPTION";
        let Some((old, new)) = owners else { return self };
        let (old, new) = (crate::sql::quote_ident(old), crate::sql::quote_ident(new));
        let parts = |entry: &str| -> (String, String, bool) {
            let bare = entry.strip_suffix(OPTION).unwrap_or(entry);
            let (privilege, role) = bare.split_once(" TO ").unwrap_or((bare, ""));
            (privilege.to_owned(), role.to_owned(), bare.len() < entry.len())
        };
        let had: Vec<String> = self
            .grants
            .iter()
            .map(|entry| parts(entry))
            .filter(|(_, role, _)| *role == new)
            .map(|one| one.0)
            .collect();
        let (mut grants, mut revoked) = (Vec::new(), Vec::new());
        for entry in &self.grants {
            let (privilege, role, option) = parts(entry);
            if role != new && role != old {
                grants.push(entry.clone());
            } else if option {
                grants.push(format!("{privilege} TO {new}{OPTION}"));
                revoked.push(format!("{privilege} TO {new}"));
            }
        }
        for entry in &self.revoked {
            let (privilege, role, _) = parts(entry);
            if role != old {
                revoked.push(entry.clone());
            } else if !had.contains(&privilege) {
                revoked.push(format!("{privilege} TO {new}"));
            }
        }
        Self { grants, revoked }
    }

    /// The statements that make them into others; what was taken away.
    fn change_to(&self, other: &Self, common: &Common<'_>, statements: &mut Vec<Sql>) -> Vec<String> {
        let besides = |list: &[String], known: &[String]| -> Vec<String> {
            list.iter().filter(|entry| !known.contains(entry)).cloned().collect()
        };
        let mut gone = besides(&self.grants, &other.grants);
        gone.extend(besides(&other.revoked, &self.revoked));
        let mut new = besides(&self.revoked, &other.revoked);
        new.extend(besides(&other.grants, &self.grants));
        // What is taken may be what is given in another way.
        statements.extend(gone.iter().map(|entry| common.revoke(entry)));
        statements.extend(new.iter().map(|entry| common.grant(entry)));
        gone
    }
}

/// The privileges on a table's columns change hands with the table.
fn columns_under(change: &mut making::Change<'_>, owners: Option<&(String, String)>) {
    if !kinds::WITH_PARTS.contains(&change.id.kind) {
        return;
    }
    for (part, object) in change.world.from.parts_of(change.id) {
        if part.kind == ObjectKind::Column
            && let Some(wanted) = change.world.to.get(part)
        {
            let mut before = Privileges::of(object).under(owners);
            // Of a column nobody has anything from the beginning.
            before.revoked.clear();
            before.change_to(&Privileges::of(wanted), &Common::of(part), &mut change.statements);
        }
    }
}

/// A privilege that is taken away on a whole table is taken away on its columns too.
fn regrant_columns(change: &mut making::Change<'_>, gone: &[&str]) {
    if !kinds::WITH_PARTS.contains(&change.id.kind) {
        return;
    }
    let bare = |entry: &str| entry.trim_end_matches(" WITH GRANT OPTION").to_owned();
    let gone: Vec<String> = gone.iter().map(|entry| bare(entry)).collect();
    for (part, object) in change.world.to.parts_of(change.id) {
        if part.kind == ObjectKind::Column && change.world.from.objects.contains_key(part) {
            let entries = object.list("grants").iter().filter(|entry| gone.contains(&bare(entry)));
            let common = Common::of(part);
            change.statements.extend(entries.map(|entry| common.grant(entry)));
        }
    }
}

/// Owner, comment and privileges of what was just made.
pub(super) fn common_creation(id: &Id, object: &Object, to: &Schema) -> Vec<Sql> {
    let common = Common::of(id);
    let mut statements = Vec::new();
    if let Some(owner) = object.text("owner").filter(|owner| *owner != to.owner) {
        statements.push(common.owner(owner));
    }
    if id.kind != ObjectKind::DefaultPrivileges {
        statements.extend(object.list("revoked").iter().map(|entry| common.revoke(entry)));
        statements.extend(object.list("grants").iter().map(|entry| common.grant(entry)));
    }
    statements.extend(object.text("comment").map(|comment| common.comment(Some(comment))));
    statements
}

/// What default privileges give to, or keep from, something new and it is not to have.
pub(super) fn unwanted_defaults(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let objects = match id.kind {
        ObjectKind::Table | ObjectKind::ForeignTable | ObjectKind::View | ObjectKind::MaterializedView => {
            "TABLES"
        }
        ObjectKind::Sequence => "SEQUENCES",
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Aggregate => "FUNCTIONS",
        ObjectKind::Type | ObjectKind::Domain => "TYPES",
        ObjectKind::Schema => "SCHEMAS",
        _ => return Vec::new(),
    };
    let common = Common::of(id);
    let maker = crate::sql::quote_ident(&world.from.owner);
    let applies = |other: &Id| {
        other.kind == ObjectKind::DefaultPrivileges
            && other.arguments.as_deref() == Some(objects)
            && other.name == maker
            && (other.schema.is_none() || other.schema == id.schema)
    };
    let mut statements = Vec::new();
    for (_, privileges) in world.from.objects.iter().filter(|(other, _)| applies(other)) {
        let besides = |attribute: &str| -> Vec<String> {
            let wanted = object.list(attribute);
            privileges.list(attribute).iter().filter(|entry| !wanted.contains(entry)).cloned().collect()
        };
        statements.extend(besides("grants").iter().map(|entry| common.revoke(entry)));
        statements.extend(besides("revoked").iter().map(|entry| common.grant(entry)));
    }
    statements
}
