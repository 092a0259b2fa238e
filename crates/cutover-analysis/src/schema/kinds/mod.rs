//! The kinds of objects there are: one file each (or a family that is read alike), one list. A file says how its objects
//! are read from the catalogue and how they are made, changed and taken away. It decides nothing about order or what is
//! safe to do when: that is [`crate::diff`]'s.

pub(crate) mod access_method;
pub(crate) mod aggregate;
pub(crate) mod cast;
pub(crate) mod collation;
pub(crate) mod column;
pub(crate) mod constraint;
pub(crate) mod conversion;
pub(crate) mod default;
pub(crate) mod default_privileges;
pub(crate) mod domain;
pub(crate) mod event_trigger;
pub(crate) mod extension;
pub(crate) mod foreign;
pub(crate) mod index;
pub(crate) mod language;
pub(crate) mod making;
mod not_null;
pub(crate) mod operator;
pub(crate) mod operator_class;
pub(crate) mod operator_family;
pub(crate) mod partition;
pub(crate) mod policy;
pub(crate) mod publication;
pub(crate) mod query;
pub(crate) mod routine;
pub(crate) mod rule;
pub(crate) mod schema;
pub(crate) mod sequence;
pub(crate) mod statistics;
pub(crate) mod subscription;
pub(crate) mod table;
pub(crate) mod text_search_configuration;
pub(crate) mod text_search_dictionary;
pub(crate) mod text_search_parser;
pub(crate) mod text_search_template;
pub(crate) mod transform;
pub(crate) mod trigger;
pub(crate) mod type_change;
pub(crate) mod types;
pub(crate) mod view;

use std::collections::BTreeSet;

use crate::effects::ObjectKind;

/// What is asked of a catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Only these schemas and what is in them; with none, all but the system's and cutover's own, and what is in no schema.
    pub schemas: &'a [String],
    /// `server_version_num`, e.g. 150020.
    pub server_version: u32,
    /// What there is at all.
    pub present: &'a Present,
}

/// Which kinds a database has anything of, beyond what every new one has: most have nothing of most, and to compile a query
/// takes the server longer than to find nothing.
#[derive(Debug, Clone, Default)]
pub struct Present(Option<BTreeSet<&'static str>>);

impl Present {
    /// Anything may be there.
    #[must_use]
    pub const fn all() -> Self {
        Self(None)
    }

    /// The query whose answer, one text, is [read](Self::read).
    #[must_use]
    pub fn query() -> String {
        let places = places().into_iter().enumerate();
        let looked: Vec<String> = places
            .map(|(number, place)| format!("CASE WHEN EXISTS (SELECT FROM {place}) THEN {number} END"))
            .collect();
        format!("SELECT concat_ws(',', {})", looked.join(",\n"))
    }

    /// What the query answered.
    #[must_use]
    pub fn read(answer: &str) -> Self {
        let places: Vec<&'static str> = places().into_iter().collect();
        let numbers = answer.split(',').filter_map(|number| number.parse::<usize>().ok());
        Self(Some(numbers.filter_map(|number| places.get(number).copied()).collect()))
    }

    fn has(&self, place: &str) -> bool {
        self.0.as_ref().is_none_or(|seen| seen.contains(place))
    }
}

/// Every place in the catalogues where something may be seen.
fn places() -> BTreeSet<&'static str> {
    let besides = query::BESIDES.iter().filter_map(|(present, _)| *present);
    KINDS.iter().filter_map(|kind| kind.present).chain(besides).collect()
}

/// How the objects of one kind are read.
pub(crate) struct Kind {
    /// What the query names them.
    pub(crate) kinds: &'static [ObjectKind],
    /// Where in the catalogues there is a row where there is one of them, from FROM on; none to ask anyhow.
    pub(crate) present: Option<&'static str>,
    /// The query for them, made of [`query::Row`].
    pub(crate) query: fn(&Asked<'_>) -> String,
    /// How they are made, changed and taken away.
    pub(crate) making: making::Making,
}

/// Every kind, in the order in which they are read: tables before their columns.
pub(crate) const KINDS: &[Kind] = &[
    schema::KIND,
    extension::KIND,
    types::KIND,
    domain::KIND,
    collation::KIND,
    routine::KIND,
    aggregate::KIND,
    language::KIND,
    access_method::KIND,
    operator::KIND,
    operator_family::KIND,
    operator_class::KIND,
    cast::KIND,
    transform::KIND,
    conversion::KIND,
    text_search_parser::KIND,
    text_search_template::KIND,
    text_search_dictionary::KIND,
    text_search_configuration::KIND,
    sequence::KIND,
    table::KIND,
    view::KIND,
    column::KIND,
    default::KIND,
    partition::KIND,
    constraint::KIND,
    index::KIND,
    trigger::KIND,
    rule::KIND,
    policy::KIND,
    statistics::KIND,
    publication::KIND,
    subscription::KIND,
    event_trigger::KIND,
    default_privileges::KIND,
    foreign::WRAPPER,
    foreign::SERVER,
    foreign::MAPPING,
];

/// Catalogues of objects that are not read, and why.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("pg_auth_members", "who is a member of which role belongs to the server"),
    ("pg_authid", "roles belong to the server, and hold passwords"),
    (
        "pg_init_privs",
        "what everybody may do with what the system itself brings differs between versions and providers: privileges on it \
         are the server's",
    ),
    ("pg_largeobject_metadata", "large objects are data, as rows are"),
    ("pg_parameter_acl", "privileges on settings belong to the server"),
];

/// What can have parts: columns, constraints, triggers …
pub(crate) const WITH_PARTS: [ObjectKind; 4] =
    [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::View, ObjectKind::MaterializedView];

/// One text with the queries of all kinds that are present and of what needs what, with `;` between. To be run in one snapshot,
/// with `search_path = pg_catalog`; [`super::Builder`] takes the results.
pub fn queries(asked: &Asked<'_>) -> String {
    let is_present = |present: Option<&str>| present.is_none_or(|place| asked.present.has(place));
    let mut texts = vec![query::OWNER.to_owned(), query::CLASSES.to_owned()];
    texts.extend(KINDS.iter().filter(|kind| is_present(kind.present)).map(|kind| (kind.query)(asked)));
    let besides = query::BESIDES.iter().filter(|(present, _)| is_present(*present));
    texts.extend(besides.map(|(_, text)| (*text).to_owned()));
    texts.join(";\n")
}

/// The query for each family of kinds by itself, with the kinds that it reads. To be run as [`queries`] are.
pub fn query_each(asked: &Asked<'_>) -> Vec<(&'static [ObjectKind], String)> {
    KINDS.iter().map(|kind| (kind.kinds, (kind.query)(asked))).collect()
}

/// The kind of a word that a query gives.
pub fn by_word(word: &str) -> Option<ObjectKind> {
    KINDS.iter().flat_map(|kind| kind.kinds).copied().find(|kind| kind.word() == word)
}

/// The words of all kinds that are read.
pub fn words() -> impl Iterator<Item = &'static str> {
    KINDS.iter().flat_map(|kind| kind.kinds).map(|kind| kind.word())
}

/// How objects of a kind are made, changed and taken away. Schemas hold no kinds but those in the list.
pub(crate) fn making_of(kind: ObjectKind) -> making::Making {
    KINDS.iter().find(|known| known.kinds.contains(&kind)).map_or(schema::KIND.making, |known| known.making)
}
