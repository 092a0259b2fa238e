//! Options of foreign objects that hold passwords: that they are there is kept, what they are is not.

use super::{Id, Object, Value};
use crate::sql::{names_a_secret, password_spans};

/// The attribute with the options of servers, wrappers, foreign tables and their columns.
const OPTIONS: &str = "foreign options";

/// What stands in the place of a value.
const HIDDEN: &str = "***";

/// Takes the values away from options that hold a secret, by their names or by what they show.
pub(super) fn hide(object: &mut Object) {
    let Some(Value::List(options)) = object.attributes.get_mut(OPTIONS) else { return };
    for option in options {
        if let Some((name, value)) = option.split_once('=')
            && (names_a_secret(name) || !password_spans(value).is_empty())
        {
            *option = format!("{name}={HIDDEN}");
        }
    }
}

/// Whether the value of an option was taken away, so that no statement can give it.
pub(crate) fn is_hidden(option: &str) -> bool {
    option.split_once('=').is_some_and(|(_, value)| value == HIDDEN)
}

/// What is to be said of options that an object has now and had not before: their values are not known.
pub(crate) fn not_given(from: Option<&Object>, to: &Object) -> Option<String> {
    let before = from.map_or(&[][..], |object| object.list(OPTIONS));
    let new = to.list(OPTIONS).iter().filter(|option| is_hidden(option) && !before.contains(option));
    let names: Vec<&str> = new.filter_map(|option| option.split('=').next()).collect();
    let words = if names.len() == 1 { ("option", "its value") } else { ("options", "their values") };
    (!names.is_empty()).then(|| {
        format!(
            "its {} {}: {} may be a password and is not read: give it by hand",
            words.0,
            names.join(", "),
            words.1
        )
    })
}

impl super::Schema {
    /// Options whose values are not known are as in `other`, which this was made from: no statement could give them.
    pub fn with_hidden_options_of(&mut self, other: &Self) {
        let hidden = |(id, object): (&'_ Id, &'_ Object)| {
            let options = object.attributes.get(OPTIONS)?;
            object.list(OPTIONS).iter().any(|option| is_hidden(option)).then(|| (id.clone(), options.clone()))
        };
        let all: Vec<(Id, Value)> = other.objects.iter().filter_map(hidden).collect();
        for (id, options) in all {
            if let Some(object) = self.objects.get_mut(&id) {
                object.attributes.insert(OPTIONS.into(), options);
            }
        }
    }
}
