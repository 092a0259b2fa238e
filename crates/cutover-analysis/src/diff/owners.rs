//! What another owner makes of privileges.

use crate::schema::{Object, Value};
use crate::sql::quote_ident;

/// What is revoked and what is granted.
pub(super) type Lists = (Option<Value>, Option<Value>);

/// Those of an object.
pub(super) fn lists_of(object: &Object) -> Lists {
    (object.attributes.get("revoked").cloned(), object.attributes.get("grants").cloned())
}

/// What is revoked and granted when an object has got another owner, before anything else is done: what the old one had the
/// new one has instead, together with what that one was granted.
pub(super) fn handed_over(object: &Object, old: &str, new: &str) -> Lists {
    let (old, new) = (quote_ident(old), quote_ident(new));
    let is_of = |entry: &str, role: &str| {
        let bare = entry.trim_end_matches(" WITH GRANT OPTION");
        bare.strip_suffix(role).is_some_and(|rest| rest.ends_with(" TO "))
    };
    let privilege = |entry: &str| entry.split(" TO ").next().unwrap_or_default().to_owned();
    let granted: Vec<String> =
        object.list("grants").iter().filter(|entry| !is_of(entry, &new)).cloned().collect();
    let had: Vec<String> = object
        .list("grants")
        .iter()
        .filter(|entry| is_of(entry, &new))
        .map(|entry| privilege(entry))
        .collect();
    let revoked: Vec<String> = object
        .list("revoked")
        .iter()
        .filter(|entry| !(is_of(entry, &old) && had.contains(&privilege(entry))))
        .map(
            |entry| {
                if is_of(entry, &old) { format!("{} TO {new}", privilege(entry)) } else { entry.clone() }
            },
        )
        .collect();
    let value = |list: Vec<String>| (!list.is_empty()).then_some(Value::List(list));
    (value(revoked), value(granted))
}
