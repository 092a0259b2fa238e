//! Columns, with what belongs to them alone: defaults, and the constraints and indexes that a field says itself.

use cutover_analysis::sql::{quote_ident, quote_literal};

use super::build::{Builder, Model, kind_of};
use super::fields::{self, Kind, What};
use super::given::{Flag, Given};
use super::lineage::{Found, Member};
use super::q::{self, Described, Language, Sort};
use super::slots::{From, Slot};
use super::typed::Typed;
use crate::model::{Aspect, Check, Column, Default, Identity, Index, Table, Unique};
use crate::python::Expression;

/// Whether a column is unique or has an index.
struct Traits {
    is_unique: bool,
    is_indexed: bool,
}

impl<'a> Builder<'_, 'a> {
    /// The key that a model has that says none.
    fn auto_key(&mut self, model: &Model<'a>) -> (Typed, Option<Identity>) {
        let said = self.world.auto_field(model.found.file, &model.app).and_then(fields::by_name);
        if let Some(Kind { what: What::Auto(sql), .. }) = said {
            return (Typed::plain(sql), Some(Identity::ByDefault));
        }
        self.say(
            model.found.into(),
            model.found.class.line,
            format!("the type of the key of {}: DEFAULT_AUTO_FIELD is not known", model.name()),
        );
        (Typed::unknown("bigint"), Some(Identity::ByDefault))
    }

    /// A column with what belongs to it alone.
    pub(super) fn column(&mut self, table: &mut Table, at: usize, slot: &Slot<'a>) {
        let Some(model) = self.models.get(at) else { return };
        let typed = self.typed(at, slot, 0);
        let mut column = Column {
            name: slot.column.clone(),
            label: format!("{}.{}", model.name(), slot.name),
            place: table.place.clone(),
            data_type: typed.sql.clone(),
            not_null: true,
            collation: typed.collation.clone(),
            unstated: typed.unstated.clone(),
            ..Column::default()
        };
        let mut traits = Traits { is_unique: false, is_indexed: false };
        match &slot.from {
            From::Order => {}
            From::Auto => {
                let (_, identity) = self.auto_key(model);
                column.identity = identity;
                if !model.members.unknown.is_empty() {
                    // Of a base with a table it would be another one, which leads there.
                    column.unstated.extend([
                        Aspect::Columns,
                        Aspect::Identity,
                        Aspect::Default,
                        Aspect::Nullable,
                    ]);
                }
            }
            From::Parent(parent) => {
                traits = Traits { is_unique: true, is_indexed: true };
                self.parent_link(table, at, &mut column, *parent);
            }
            From::Member(member) => {
                column.place = self.place(member.scope, member.line);
                traits = self.said_of(table, at, slot, member, &mut column);
            }
        }
        if slot.is_key {
            table.primary_key = vec![slot.column.clone()];
        } else if traits.is_unique {
            let place = column.place.clone();
            table.uniques.push(Unique { columns: vec![slot.column.clone()], place, ..Unique::default() });
        } else if traits.is_indexed {
            let place = column.place.clone();
            table.indexes.push(Index { keys: vec![quote_ident(&slot.column)], place, ..Index::default() });
        }
        if slot.is_key || traits.is_unique || traits.is_indexed {
            self.like_index(table, &mut column);
        }
        table.columns.push(column);
    }

    /// The second index of texts, for `LIKE` (`_create_like_index_sql` in `django/db/backends/postgresql/schema.py`).
    pub(super) fn like_index(&mut self, table: &mut Table, column: &mut Column) {
        let class = match column.data_type.as_str() {
            "" => {
                column.unstated.insert(Aspect::Index);
                return;
            }
            array if array.contains('[') => return,
            text if text.starts_with("varchar") => "varchar_pattern_ops",
            text if text.starts_with("text") => "text_pattern_ops",
            _ => return,
        };
        if let Some(collation) = column.collation.as_deref().filter(|name| !is_deterministic(name)) {
            // None where it is not deterministic, since Django 4.2.
            let what = format!(
                "whether the collation {collation} is deterministic, and {} has an index for LIKE",
                column.label
            );
            column.unstated.insert(Aspect::Index);
            self.out.unsupported(column.place.clone(), what);
            return;
        }
        table.indexes.push(Index {
            keys: vec![format!("{} {class}", quote_ident(&column.name))],
            place: column.place.clone(),
            ..Index::default()
        });
    }

    /// What a field says of its column.
    fn said_of(
        &mut self,
        table: &mut Table,
        at: usize,
        slot: &Slot<'a>,
        member: &Member<'a>,
        column: &mut Column,
    ) -> Traits {
        let given = self.given(member);
        let line = member.line;
        let kind = match &member.found {
            Found::Known(kind) | Found::Own { kind, .. } => Some(*kind),
            Found::Foreign(_) => None,
        };
        self.remarks(member, column);
        let what = kind.map(|kind| kind.what);
        if what == Some(What::Foreign) || what == Some(What::OneToOne) {
            self.reference(table, at, column, member);
        }
        self.takes_null(given, kind, line, slot.is_key, column);
        if let Some(What::Auto(_)) = what {
            column.identity = Some(Identity::ByDefault);
        }
        if let Some(What::Positive(_)) = what {
            table.checks.push(Check {
                name: None,
                expression: format!("{} >= 0", quote_ident(&slot.column)),
                place: column.place.clone(),
            });
        }
        self.comment(given, line, column);
        if what != Some(What::Generated) {
            self.default(given, line, column);
        }
        self.traits(table, given, kind, line, column)
    }

    /// Whether a field takes NULL.
    fn takes_null(
        &mut self,
        given: Given<'_, 'a>,
        kind: Option<&'static Kind>,
        line: u32,
        is_key: bool,
        column: &mut Column,
    ) {
        match given.flag("null", kind.is_some_and(|kind| kind.name == "NullBooleanField")) {
            Flag::Yes => column.not_null = is_key,
            Flag::No => {}
            Flag::Unknown => {
                column.unstated.extend([Aspect::Nullable, Aspect::Making]);
                self.say(given.scope, line, format!("whether {} takes NULL", column.label));
            }
        }
        if kind.is_some_and(|kind| kind.what == What::Generated) && !is_key {
            column.not_null = false;
        }
    }

    /// `db_comment`, since Django 4.2.
    fn comment(&mut self, given: Given<'_, 'a>, line: u32, column: &mut Column) {
        match given.text("db_comment") {
            Ok(comment) => column.comment = comment.filter(|comment| !comment.is_empty()),
            Err(()) => {
                column.unstated.insert(Aspect::Comment);
                self.say(given.scope, line, format!("the comment of {}", column.label));
            }
        }
    }

    /// Whether a field is unique or has an index.
    fn traits(
        &mut self,
        table: &mut Table,
        given: Given<'_, 'a>,
        kind: Option<&'static Kind>,
        line: u32,
        column: &mut Column,
    ) -> Traits {
        let is_one_to_one = kind.is_some_and(|kind| kind.what == What::OneToOne);
        let unique = if is_one_to_one { Flag::Yes } else { given.flag("unique", false) };
        let indexed = given.flag("db_index", kind.is_some_and(|kind| kind.is_indexed));
        if unique == Flag::Unknown {
            column.unstated.extend([Aspect::Unique, Aspect::Index]);
            self.say(given.scope, line, format!("whether {} is unique", column.label));
        }
        if indexed == Flag::Unknown {
            column.unstated.insert(Aspect::Index);
            self.say(given.scope, line, format!("whether {} has an index", column.label));
        }
        if given.flag("primary_key", false) == Flag::Unknown {
            table.unstated.insert(Aspect::PrimaryKey);
            self.say(given.scope, line, format!("whether {} is the primary key", column.label));
        }
        if given.text("db_column").is_err() {
            table.unstated.insert(Aspect::Columns);
            self.say(given.scope, line, format!("the name of the column of {}", column.label));
        }
        Traits { is_unique: unique == Flag::Yes, is_indexed: indexed == Flag::Yes }
    }

    /// What of a field is not understood.
    fn remarks(&mut self, member: &Member<'a>, column: &mut Column) {
        let given = self.given(member);
        let (scope, line) = (member.scope, member.line);
        let label = column.label.clone();
        let is_whole = match &member.found {
            Found::Foreign(path) => {
                self.say(scope, line, format!("the type of {label}: {path}"));
                // Fields of others may make several columns, or none.
                column.unstated.insert(Aspect::Columns);
                false
            }
            Found::Own { .. } => {
                self.say(scope, line, format!("the type of {label}: its class says some of it by itself"));
                false
            }
            Found::Known(_) if given.is_open() => {
                self.say(scope, line, format!("arguments of {label} that are unpacked"));
                false
            }
            Found::Known(kind) => {
                let is_reference = matches!(kind.what, What::Foreign | What::OneToOne);
                if !is_reference && column.data_type.is_empty() {
                    self.say(scope, line, format!("the type of {label}"));
                } else if column.unstated.contains(&Aspect::Modifier) && !is_reference {
                    self.say(scope, line, format!("the length of {label}"));
                }
                if column.unstated.contains(&Aspect::Collation) && !is_reference {
                    self.say(scope, line, format!("the collation of {label}"));
                }
                true
            }
        };
        if is_whole {
            return;
        }
        column.unstated.extend([Aspect::Modifier, Aspect::Default, Aspect::Collation, Aspect::Identity]);
        if given.get("null").is_none() {
            column.unstated.insert(Aspect::Nullable);
        }
        // What a field makes is over its own column: what else the model says of the table holds.
        column.unstated.extend([Aspect::Unique, Aspect::Index, Aspect::Check, Aspect::ForeignKey]);
    }

    /// `default=` is of Django, `db_default=` (since Django 5.0) of the database.
    fn default(&mut self, given: Given<'_, 'a>, line: u32, column: &mut Column) {
        let is_now = |name: &str| given.flag(name, false) == Flag::Yes;
        if let Some(said) = given.get("default") {
            column.default = Default::Client(said.shown());
        } else if let Some(name) = ["auto_now", "auto_now_add"].into_iter().find(|name| is_now(name)) {
            column.default = Default::Client(name.to_owned());
        }
        let Some(said) = given.get("db_default") else { return };
        let constant = given.constant("db_default");
        if constant == Some(Expression::Nothing) {
            column.default = Default::None;
            return;
        }
        match self.default_of(given, said, constant.as_ref(), &column.data_type) {
            Some(sql) => column.default = Default::Sql(sql),
            None => {
                column.unstated.insert(Aspect::Default);
                self.say(given.scope, line, format!("the default of {}: {}", column.label, said.shown()));
            }
        }
    }

    /// What the database puts into a column of that type, as SQL.
    fn default_of(
        &self,
        given: Given<'_, 'a>,
        said: &Expression,
        constant: Option<&Expression>,
        data_type: &str,
    ) -> Option<String> {
        let language = Language { world: self.world, fields: &[] };
        match (constant, said) {
            (Some(Expression::Text(text)), _) if matches!(data_type, "uuid" | "inet") => {
                Some(quote_literal(text))
            }
            (Some(Expression::List(items)), _) if items.is_empty() && data_type.ends_with(']') => {
                Some("'{}'".to_owned())
            }
            (Some(Expression::List(items)), _) if items.is_empty() && data_type == "jsonb" => {
                Some("'[]'::jsonb".to_owned())
            }
            (None, Expression::Dictionary(pairs)) if pairs.is_empty() && data_type == "jsonb" => {
                Some("'{}'::jsonb".to_owned())
            }
            (Some(constant), _) => q::literal(Sort::of(data_type), constant),
            (None, said) => language.expression(given.scope, said).map(|sql| format!("({sql})")),
        }
    }

    /// `GeneratedField`, since Django 5.0.
    pub(super) fn computed(&mut self, table: &mut Table, slots: &[Slot<'a>], described: &[Described]) {
        let language = Language { world: self.world, fields: described };
        for slot in slots {
            let From::Member(member) = &slot.from else { continue };
            if kind_of(&member.found) != Some(What::Generated) {
                continue;
            }
            let given = self.given(member);
            let Some(column) = table.columns.iter_mut().find(|column| column.name == slot.column) else {
                continue;
            };
            let sql = given.get("expression").and_then(|value| match value {
                Expression::Text(name) => language.field(name).map(|field| quote_ident(&field.column)),
                value => language.expression(given.scope, value),
            });
            match (sql, given.flag("db_persist", false)) {
                (Some(sql), persist @ (Flag::Yes | Flag::No)) => {
                    column.generated = Some((sql, persist == Flag::Yes));
                }
                _ => {
                    column.unstated.insert(Aspect::Default);
                    self.say(member.scope, member.line, format!("what {} is computed from", slot.name));
                }
            }
        }
    }

    /// `CompositePrimaryKey`, since Django 5.2.
    pub(super) fn composite_key(&mut self, table: &mut Table, model: &Model<'a>, described: &[Described]) {
        let composite = |member: &&Member<'a>| kind_of(&member.found) == Some(What::Composite);
        let Some(member) = model.members.fields.iter().find(composite) else { return };
        let language = Language { world: self.world, fields: described };
        let columns: Option<Vec<String>> = crate::python::positional(member.arguments)
            .map(|argument| Some(language.field(argument.value.text()?)?.column.clone()))
            .collect();
        match columns {
            Some(columns) if !columns.is_empty() => table.primary_key = columns,
            _ => {
                table.unstated.insert(Aspect::PrimaryKey);
                self.say(member.scope, member.line, format!("the primary key of {}", model.name()));
            }
        }
    }
}

/// Collations that PostgreSQL brings with it are all deterministic.
fn is_deterministic(name: &str) -> bool {
    matches!(name, "C" | "POSIX" | "default" | "ucs_basic" | "unicode" | "C.UTF-8" | "C.utf8")
        || name.ends_with("-x-icu")
        || name.as_bytes().get(2) == Some(&b'_')
}
