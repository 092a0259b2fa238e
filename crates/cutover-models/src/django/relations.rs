//! References between models, and the tables of `ManyToManyField`.

use cutover_analysis::sql::quote_ident;

use super::build::{Builder, LONGEST, Model, State, kind_of, split_schema};
use super::fields::{self, What};
use super::given::{Flag, Given};
use super::lineage::Member;
use super::typed::Typed;
use super::world::{ClassRef, Scope};
use crate::model::{Aspect, Column, ForeignKey, Identity, Index, Place, Table, Unique};
use crate::python::Expression;

/// How far other names of the model of users are followed.
const DEEPEST: usize = 10;

/// One end of a table between two models.
struct End {
    column: String,
    target: Option<usize>,
}

impl<'w, 'a> Builder<'w, 'a> {
    /// The model that a field refers to; `Err` with how it is written where that is not known.
    pub(super) fn target(&self, at: usize, given: Given<'_, 'a>) -> Result<usize, String> {
        let Some(to) = given.get("to") else { return Err("nothing".to_owned()) };
        self.target_of(at, given.scope, to, 0).ok_or_else(|| to.shown())
    }

    fn target_of(&self, at: usize, scope: Scope<'a>, to: &Expression, depth: usize) -> Option<usize> {
        if depth > DEEPEST {
            return None;
        }
        match to {
            Expression::Text(name) if name == "self" => Some(at),
            Expression::Text(name) => self.named(&self.models.get(at)?.app, name),
            Expression::Name(name) => {
                if let Some(class) = self.class(scope.file, name) {
                    return self.at_class(class);
                }
                if name.ends_with("settings.AUTH_USER_MODEL") {
                    return self.user();
                }
                let (found, value) = self.world.value(scope, name)?;
                self.target_of(at, found, value, depth + 1)
            }
            Expression::Call { .. } => match to.call()? {
                // Where nothing says another one, and none is among the files, it is Django's own.
                ("get_user_model", []) => self.user().or_else(|| {
                    let is_said = self.world.auth_user_model.is_some();
                    (!is_said && !self.has_users()).then(|| self.named("", "auth.User")).flatten()
                }),
                ("getattr", [owner, name, ..])
                    if owner.value.last_name() == Some("settings")
                        && name.value.text() == Some("AUTH_USER_MODEL") =>
                {
                    self.user()
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A model by its name, `Model` or `app.Model`; case does not matter in the name.
    fn named(&self, app: &str, name: &str) -> Option<usize> {
        let (app, name) = name.split_once('.').unwrap_or((app, name));
        let name = name.to_lowercase();
        let found = self.models.iter().find(|model| model.app == app && model.lower() == name)?;
        self.at_class(found.found)
    }

    /// Whether any model of the files is made from Django's users.
    fn has_users(&self) -> bool {
        self.models.iter().any(|model| {
            !self.world.is_contrib(model.found.file) && self.is_made_from(model.found, "AbstractBaseUser", 0)
        })
    }

    /// The model of users: what the settings say, else the only one of the files that is made from those of Django.
    fn user(&self) -> Option<usize> {
        if let Some(name) = &self.world.auth_user_model {
            return self.named("", name);
        }
        let is_user = |model: &&Model<'a>| {
            model.state == State::Table
                && !self.world.is_contrib(model.found.file)
                && self.is_made_from(model.found, "AbstractBaseUser", 0)
        };
        let mut users = self.models.iter().filter(is_user);
        match (users.next(), users.next()) {
            (Some(one), None) => self.at_class(one.found),
            _ => None,
        }
    }

    fn is_made_from(&self, found: ClassRef<'a>, name: &str, depth: usize) -> bool {
        depth < DEEPEST
            && found.class.bases.iter().filter_map(|base| base.value.name()).any(|base| {
                self.class(found.file, base).is_some_and(|above| {
                    let is_it = above.class.name == name && self.world.is_contrib(above.file);
                    is_it || (above != found && self.is_made_from(above, name, depth + 1))
                })
            })
    }

    /// Remembers that a model of Django itself is needed.
    fn needs(&mut self, target: usize) {
        if self.models.get(target).is_some_and(|model| self.world.is_contrib(model.found.file)) {
            self.used.insert(target);
        }
    }

    /// The link to a base with a table.
    pub(super) fn parent_link(&mut self, table: &mut Table, at: usize, column: &mut Column, parent: usize) {
        let Some(model) = self.models.get(at) else { return };
        let (scope, line) = (model.found.into(), model.found.class.line);
        let place = self.place(scope, line);
        self.foreign_key(table, column, (parent, None), None, place);
    }

    /// The foreign key of a field: made when the transaction ends, and without `ON DELETE`, which Django does by itself
    /// (`sql_create_fk` in `django/db/backends/base/schema.py`) unless the model says `DB_CASCADE` and the like (Django 6.1).
    pub(super) fn reference(
        &mut self,
        table: &mut Table,
        at: usize,
        column: &mut Column,
        member: &Member<'a>,
    ) {
        let given = self.given(member);
        let name = &member.name;
        let (scope, line) = (member.scope, member.line);
        let target = match self.target(at, given) {
            Ok(target) => target,
            Err(shown) => {
                self.say(
                    scope,
                    line,
                    format!("what {name} refers to: {shown}, which is not among the files for certain"),
                );
                column.unstated.insert(Aspect::ForeignKey);
                return;
            }
        };
        match given.flag("db_constraint", true) {
            Flag::Yes => {}
            Flag::No => return,
            Flag::Unknown => {
                self.say(scope, line, format!("whether {name} has a constraint"));
                column.unstated.insert(Aspect::ForeignKey);
                return;
            }
        }
        let Ok(to_field) = given.text("to_field") else {
            self.say(scope, line, format!("the field that {name} refers to"));
            column.unstated.insert(Aspect::ForeignKey);
            return;
        };
        let on_delete = match given.get("on_delete").and_then(Expression::last_name) {
            Some("DB_CASCADE") => Some("CASCADE"),
            Some("DB_SET_NULL") => Some("SET NULL"),
            Some("DB_SET_DEFAULT") => Some("SET DEFAULT"),
            _ => None,
        };
        let place = self.place(scope, line);
        self.foreign_key(table, column, (target, to_field.as_deref()), on_delete, place);
    }

    fn foreign_key(
        &mut self,
        table: &mut Table,
        column: &mut Column,
        (target, field): (usize, Option<&str>),
        on_delete: Option<&str>,
        place: Place,
    ) {
        self.needs(target);
        let (Some(model), Some((parent_column, _))) =
            (self.models.get(target), self.key_of(target, field, 0))
        else {
            self.out.unsupported(place, format!("the column that {} refers to", column.name));
            column.unstated.insert(Aspect::ForeignKey);
            return;
        };
        if model.state != State::Table || model.table.is_empty() {
            let (own, parent) = (&column.name, model.name());
            let what = format!("the foreign key of {own}: Django does not make the table of {parent}");
            self.out.unsupported(place, what);
            column.unstated.insert(Aspect::ForeignKey);
            return;
        }
        table.foreign_keys.push(ForeignKey {
            columns: vec![column.name.clone()],
            parent_schema: model.schema.clone(),
            parent: model.table.clone(),
            parent_columns: vec![parent_column],
            on_delete: on_delete.map(str::to_owned),
            deferred: true,
            place,
            ..ForeignKey::default()
        });
    }

    /// The tables of a model's `ManyToManyField`s.
    pub(super) fn many_to_many(&mut self, at: usize, model: &'w Model<'a>) {
        for member in &model.members.fields {
            if kind_of(&member.found) == Some(What::Many) {
                self.between(at, model, member);
            }
        }
    }

    /// The table between two models (`create_many_to_many_intermediary_model` in `django/db/models/fields/related.py`).
    fn between(&mut self, at: usize, model: &Model<'a>, member: &Member<'a>) {
        let given = self.given(member);
        let (scope, line) = (member.scope, member.line);
        let label = format!("{}.{}", model.name(), member.name);
        match given.get("through") {
            None | Some(Expression::Nothing) => {}
            Some(_) => return,
        }
        let said = given.text("db_table");
        let constraint = given.flag("db_constraint", true);
        if given.is_open() || said.is_err() || constraint == Flag::Unknown {
            self.say(scope, line, format!("the table of {label}"));
            return;
        }
        let (schema, name) = match said {
            Ok(Some(table)) => split_schema(&table),
            _ => (model.schema.clone(), format!("{}_{}", model.table, member.name)),
        };
        if name.chars().count() > LONGEST {
            self.say(scope, line, format!("the name of the table of {label}, which Django shortens"));
            return;
        }
        if self.out.tables.iter().any(|table| table.schema == schema && table.name == name) {
            self.say(scope, line, format!("{label}: another model has the table {name} already"));
            return;
        }
        let target = self.target(at, given);
        let to_name = match (&target, given.get("to")) {
            (Ok(_), Some(Expression::Text(name))) if name == "self" => Some(model.lower()),
            (_, Some(Expression::Text(name))) => name.rsplit('.').next().map(str::to_lowercase),
            (_, Some(Expression::Name(name))) if self.class(scope.file, name).is_some() => {
                self.class(scope.file, name).map(|class| class.class.name.to_lowercase())
            }
            (Ok(target), _) => self.models.get(*target).map(Model::lower),
            (Err(_), _) => None,
        };
        let target = match target {
            Ok(target) => Some(target),
            Err(shown) => {
                self.say(
                    scope,
                    line,
                    format!("what {label} refers to: {shown}, which is not among the files for certain"),
                );
                None
            }
        };
        let Some(to_name) = to_name else { return };
        let (from, to) = match model.lower() {
            own if own == to_name => (format!("from_{own}"), format!("to_{to_name}")),
            own => (own, to_name),
        };
        let place = self.place(scope, line);
        let mut table = Table { schema, name, label, place, ..Table::default() };
        self.between_key(&mut table, scope, line);
        let ends = [
            End { column: format!("{from}_id"), target: Some(at) },
            End { column: format!("{to}_id"), target },
        ];
        for end in &ends {
            self.end(&mut table, end, constraint == Flag::Yes);
        }
        let [from, to] = ends;
        let place = table.place.clone();
        table.uniques.push(Unique { columns: vec![from.column, to.column], place, ..Unique::default() });
        self.out.tables.push(table);
    }

    /// Its key is that of the settings, also where the application has another one: migrations make these tables from models that know
    /// nothing of the application's configuration (`AppConfigStub` in `django/db/migrations/state.py`).
    fn between_key(&mut self, table: &mut Table, scope: Scope<'a>, line: u32) {
        let said = self.world.default_auto_field.as_deref();
        let said = said.map(|said| said.rsplit('.').next().unwrap_or(said)).and_then(fields::by_name);
        let typed = match said.map(|kind| kind.what) {
            Some(What::Auto(sql)) => Typed::plain(sql),
            _ => {
                let what = format!("the type of the key of {}: DEFAULT_AUTO_FIELD is not known", table.label);
                self.say(scope, line, what);
                Typed::unknown("bigint")
            }
        };
        table.columns.push(Column {
            name: "id".to_owned(),
            label: format!("{}.id", table.label),
            place: table.place.clone(),
            data_type: typed.sql,
            not_null: true,
            identity: Some(Identity::ByDefault),
            unstated: typed.unstated,
            ..Column::default()
        });
        table.primary_key = vec!["id".to_owned()];
    }

    fn end(&mut self, table: &mut Table, end: &End, has_constraint: bool) {
        let key = end.target.and_then(|target| self.key_of(target, None, 0));
        let typed = key.map_or_else(|| Typed::unknown(""), |(_, typed)| typed);
        let mut column = Column {
            name: end.column.clone(),
            label: format!("{}.{}", table.label, end.column),
            place: table.place.clone(),
            data_type: typed.sql,
            not_null: true,
            collation: typed.collation,
            unstated: typed.unstated,
            ..Column::default()
        };
        let place = table.place.clone();
        let keys = vec![quote_ident(&end.column)];
        table.indexes.push(Index { keys, place: place.clone(), ..Index::default() });
        self.like_index(table, &mut column);
        match end.target {
            Some(target) if has_constraint => {
                self.foreign_key(table, &mut column, (target, None), None, place);
            }
            Some(_) => {}
            None => drop(column.unstated.insert(Aspect::ForeignKey)),
        }
        table.columns.push(column);
    }
}
