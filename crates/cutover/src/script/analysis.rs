//! Reading a file once, statement by statement, for what it would do: see [`Script`].
//!
//! What a statement says by itself comes with it ([`Facts`]); here is what depends on those before it.

use std::collections::{HashMap, HashSet};

use cutover_analysis::effects::{
    self, Check, Context, Control, Effects, ObjectKind, ObjectRef, Retry, Setting, SmolStr, Spent, Taking,
    TransactionRule, implied,
};
use cutover_analysis::lint;
use cutover_analysis::sql::{
    CopiedSecrets, DIRECTIVES, Directive, Item, LONGEST_ANALYSED, SplitError, Statement,
};
use rustc_hash::FxBuildHasher;

use super::items::Numbering;
use super::reading::{Facts, Reading, first_words};
use super::{
    Change, KEPT_IN_MEMORY, Need, New, Outside, Script, ScriptError, Take, Unit, Until, control, own_schema,
    schemas_agree,
};
use crate::hazard;
use crate::migration::Migration;
use crate::places::{self, FilePlace};
use crate::project::{Place, PlaceholderError};
use crate::secrets::Secrets;
use crate::source::{Passed, Vars};

/// What directives say of a statement.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    /// It begins another transaction.
    new_transaction: bool,
    /// It runs outside a transaction.
    no_transaction: bool,
}

/// What is remembered of each statement until the whole file is read. One small value a statement would be 100 MB
/// for a file of millions of INSERTs, so runs of statements alike are kept as one.
#[derive(Debug)]
struct Stretch {
    first: u32,
    count: u32,
    new_transaction: bool,
    outside: Option<Outside>,
}

pub(super) struct Analysis<'a> {
    migration: &'a Migration,
    /// What is known of the database before the next statement.
    known: &'a mut Context,
    secrets: Secrets,
    pub(super) script: Script,
    stretches: Vec<Stretch>,
    controls: Vec<control::Statement>,
    count: u32,
    pub(super) created: HashMap<SmolStr, Vec<ObjectRef>, FxBuildHasher>,
    mentioned: HashSet<(&'static str, ObjectRef), FxBuildHasher>,
    /// Relations that are locked or worked on, by their names without a schema.
    met: HashMap<SmolStr, Vec<ObjectRef>, FxBuildHasher>,
    pub(super) kept: Option<Vec<Item>>,
    pub(super) passed: Option<Passed>,
    first_setting: Option<(u32, u32, String)>,
    /// What each statement locks and works on is remembered.
    pub(super) is_listing: bool,
    /// Which of the errors have their places in the text as it is sent.
    as_sent: Vec<usize>,
    /// Which of them are errors only where this role owns schema `cutover`.
    owned: Vec<(String, usize)>,
}

impl<'a> Analysis<'a> {
    pub(super) fn new(migration: &'a Migration, secrets: Secrets, known: &'a mut Context) -> Self {
        Self {
            migration,
            known,
            secrets,
            script: Script::default(),
            stretches: Vec::new(),
            controls: Vec::new(),
            count: 0,
            created: HashMap::default(),
            mentioned: HashSet::default(),
            met: HashMap::default(),
            kept: (migration.checksums.bytes <= KEPT_IN_MEMORY).then(Vec::new),
            passed: None,
            first_setting: None,
            is_listing: false,
            as_sent: Vec::new(),
            owned: Vec::new(),
        }
    }

    /// An error at a place of the text as it is sent.
    fn error(
        &mut self,
        line: u32,
        column: u32,
        message: String,
        hint: Option<String>,
        source_line: String,
        code: Option<&'static str>,
    ) {
        self.as_sent.push(self.script.errors.len());
        self.error_in_file(line, column, message, hint, source_line, code);
    }

    /// An error at a place of the file.
    pub(super) fn error_in_file(
        &mut self,
        line: u32,
        column: u32,
        mut message: String,
        hint: Option<String>,
        mut source_line: String,
        code: Option<&'static str>,
    ) {
        let path = self.migration.path.clone();
        self.secrets.star_in(&mut message);
        self.secrets.star_in(&mut source_line);
        self.script.errors.push(ScriptError { path, line, column, message, hint, source_line, code });
    }

    pub(super) fn read(&mut self, reading: &mut Reading) {
        // A COPY whose data has secrets in it.
        let mut copied = None;
        while let Some(piece) = reading.next() {
            match piece {
                Ok((Item::Statement(statement), Some(facts))) => {
                    copied = CopiedSecrets::of(&statement.text, &|schema, name| {
                        self.known.table_columns(schema, name)
                    });
                    if let Some(spent) = self.statement(&statement, facts) {
                        reading.give_back(spent);
                    }
                    self.keep(Item::Statement(statement));
                }
                Ok((Item::CopyData(data), _)) => {
                    if let Some(copied) = &copied {
                        self.script.passwords.learn_copied(copied, &data);
                    }
                    self.keep(Item::CopyData(data));
                }
                Ok((Item::PsqlCommand { text, line, column }, _)) => {
                    let text = crate::text::visible(&text);
                    let message =
                        format!("psql command `{text}` cannot be run: only SQL is sent to the server");
                    let hint = control::psql_hint(&text).to_owned();
                    self.error(line, column, message, Some(hint), String::new(), None);
                }
                Ok((item, _)) => self.keep(item),
                Err(error) => {
                    self.unreadable(&error);
                    return;
                }
            }
        }
        let trailing = reading.trailing_directives();
        self.directives(&trailing);
        for Directive { name, line, .. } in trailing.iter().filter(|directive| directive.name != "name") {
            let message = format!("`-- cutover: {name}` stands below the last statement and is about none");
            let hint = Some("put it above the statement it is meant for".to_owned());
            self.error(*line, 1, message, hint, String::new(), None);
        }
    }

    /// The text ends here, whatever else may be in the file.
    fn unreadable(&mut self, error: &SplitError) {
        self.script.opaque.get_or_insert_with(|| "it cannot be read to its end".to_owned());
        self.script.unread = true;
        if let SplitError::Read(cause) = error
            && let Some(missing) = PlaceholderError::of(cause)
        {
            let Place { line, column } = missing.place;
            let hint = Some(missing.hint.clone());
            self.error_in_file(line, column, missing.message(), hint, missing.source_line.clone(), None);
            return;
        }
        match error.place() {
            Some(at) => self.error(at.line, at.column, error.to_string(), None, String::new(), None),
            None => self.error_in_file(1, 1, error.to_string(), None, String::new(), None),
        }
    }

    fn keep(&mut self, item: Item) {
        if let Some(kept) = &mut self.kept {
            kept.push(item);
        }
    }

    /// What is left of the statement is given back.
    fn statement(&mut self, statement: &Statement, facts: Facts) -> Option<Spent> {
        let Facts { prepared, words, leaves_nothing } = facts;
        let number = self.count;
        self.count += 1;
        let known = &self.known;
        self.script
            .passwords
            .learn_knowing(&statement.text, &|schema, name| known.table_columns(schema, name));
        let told = self.directives(&statement.directives);
        let (effects, spent) = match prepared.effects(self.known) {
            Ok((effects, spent)) => (effects, Some(spent)),
            Err(error) => {
                let (line, column, source_line) =
                    self.secrets.locate(&statement.text, error.offset, statement.line, statement.column);
                let (message, hint, code) = match control::psql_command(&statement.text, error.offset) {
                    Some(command) => (
                        format!("psql command `{command}` cannot be run: only SQL is sent to the server"),
                        control::psql_hint(command),
                        None,
                    ),
                    None => (
                        error.message,
                        "this is PostgreSQL 18's grammar; `--allow unparsed` leaves the verdict to the server",
                        Some(hazard::UNPARSED),
                    ),
                };
                self.error(line, column, message, Some(hint.to_owned()), source_line, code);
                (Effects { opaque: Some("it does not parse".to_owned()), ..Effects::default() }, None)
            }
        };
        self.script.session_state |= !leaves_nothing;
        self.collect((statement, &words), effects, number, told);
        spent
    }

    /// What the directives of a statement say.
    fn directives(&mut self, directives: &[Directive]) -> Told {
        let mut told = Told::default();
        for directive in directives {
            match directive.name.as_str() {
                "new-transaction" => told.new_transaction = true,
                "no-transaction" => told.no_transaction = true,
                // What lint has to know.
                "name" | lint::DIRECTIVE => {}
                other => {
                    let message = format!("unknown directive {other:?} (known: {})", DIRECTIVES.join(", "));
                    let hint =
                        crate::text::suggest(other, DIRECTIVES).map(|name| format!("did you mean `{name}`?"));
                    self.error(directive.line, 1, message, hint, String::new(), None);
                }
            }
        }
        told
    }

    fn collect(
        &mut self,
        (statement, words): (&Statement, &str),
        mut effects: Effects,
        number: u32,
        told: Told,
    ) {
        let outside = match effects.transaction {
            TransactionRule::Allowed => {
                let outside = told.no_transaction || self.migration.no_transaction && may_commit(words);
                outside.then(|| self.taken_outside(statement, &effects))
            }
            TransactionRule::Forbidden { what } => {
                Some(Outside { what: what.to_owned(), retry: effects.retry.clone(), atomic: false })
            }
            TransactionRule::Control(control) => {
                let (_, _, source_line) =
                    self.secrets.locate(&statement.text, 0, statement.line, statement.column);
                if told.no_transaction {
                    let message = format!("{} under `-- cutover: no-transaction`", control::words(control));
                    let hint = "the directive is about the statement below it: put it above the one that is to run outside \
                                a transaction, and leave out BEGIN and COMMIT"
                        .to_owned();
                    let (line, column) = (statement.line, statement.column);
                    self.error(line, column, message, Some(hint), source_line.clone(), None);
                }
                self.controls.push(control::Statement {
                    number,
                    control,
                    plain: control::is_plain(control, &statement.text),
                    line: statement.line,
                    column: statement.column,
                    source_line,
                });
                None
            }
        };
        self.refuse_what_would_mislead((statement, words), &effects, outside.as_ref());
        self.guard_own_schema(statement, &effects);
        match self.stretches.last_mut() {
            Some(last) if outside.is_none() && last.outside.is_none() && !told.new_transaction => {
                last.count += 1;
            }
            _ => {
                let new_transaction = told.new_transaction;
                self.stretches.push(Stretch { first: number, count: 1, new_transaction, outside });
            }
        }
        self.under_one_name(&mut effects);
        self.list(&effects);
        self.script.vertex.add(&effects, statement.line);
        let before = (!self.script.unread, self.script.news.len());
        let until = self.until();
        let takes = self.certain_takes(&mut effects);
        self.note_new(&effects, statement);
        self.script.sets_search_path |= effects.sets_search_path;
        self.script.session_state |=
            effects.session_state || effects.opaque.is_some() || effects.sets_search_path;
        if let Some(why) = effects.opaque.take() {
            self.script.opaque.get_or_insert(format!("line {}: {why}", statement.line));
        }
        for reference in std::mem::take(&mut effects.references) {
            self.need(reference, statement, before);
        }
        self.mention_all(effects);
        let Statement { line, column, .. } = *statement;
        let (behind, (_, news)) = (self.until(), before);
        let take = |(object, taking)| Take { object, taking, line, column, before: until, behind, news };
        self.script.takes.extend(takes.into_iter().map(take));
    }

    /// What the statement takes, where names mean what they do and nobody has run code that is not read.
    fn certain_takes(&self, effects: &mut Effects) -> Vec<(ObjectRef, Taking)> {
        let is_certain = effects.opaque.is_none() && !self.script.unread && !self.script.sets_search_path;
        if is_certain { std::mem::take(&mut effects.takes) } else { Vec::new() }
    }

    /// Adds what a statement does to the lists of the file.
    fn mention_all(&mut self, effects: Effects) {
        let Effects { creates, chosen, alters, refers, drops, writes, renames, .. } = effects;
        self.follow(&creates, &drops, renames);
        for object in creates.iter().chain(&chosen) {
            self.created.entry(object.name.clone()).or_default().push(object.clone());
        }
        let lists = [
            ("creates", creates),
            ("alters", alters),
            ("refers", refers),
            ("drops", drops),
            ("writes", writes),
        ];
        for (how, objects) in lists {
            for object in objects {
                self.mention(how, object);
            }
        }
    }

    /// Remembers what comes, goes and is renamed: what a statement drops it drops first.
    fn follow(&mut self, creates: &[ObjectRef], drops: &[ObjectRef], renames: Vec<(ObjectRef, ObjectRef)>) {
        let is_old = |object: &&ObjectRef| !renames.iter().any(|(old, _)| old == *object);
        let is_new = |object: &&ObjectRef| !renames.iter().any(|(_, new)| new == *object);
        let course = &mut self.script.course;
        course.extend(drops.iter().filter(is_old).cloned().map(Change::Dropped));
        let made: Vec<Change> = creates.iter().filter(is_new).cloned().map(Change::Made).collect();
        course.extend(renames.into_iter().map(|(old, new)| Change::Renamed(old, new)));
        course.extend(made);
    }

    /// A relation that is locked or worked on keeps the name it was met under first: `orders` and `public.orders` are one.
    fn under_one_name(&mut self, effects: &mut Effects) {
        // From here on a name without a schema may mean something else.
        if self.script.sets_search_path || effects.sets_search_path {
            return;
        }
        let locked = effects.locks.iter_mut().map(|lock| &mut lock.relation);
        for relation in locked.chain(effects.work.iter_mut().map(|work| &mut work.relation)) {
            let Some(met) = self.met.get_mut(&relation.name) else {
                self.met.insert(relation.name.clone(), vec![relation.clone()]);
                continue;
            };
            if met.contains(relation) {
                continue;
            }
            let name = self.known.resolve(relation);
            match met.iter().find(|known| self.known.resolve(known) == name) {
                Some(known) => relation.clone_from(known),
                None => met.push(relation.clone()),
            }
        }
    }

    /// A statement that is outside a transaction because the file says so.
    fn taken_outside(&mut self, statement: &Statement, effects: &Effects) -> Outside {
        let words = first_words(&statement.text);
        let first =
            words.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
        if effects.copy_from_stdin {
            let message = "COPY with data in the file cannot run outside a transaction".to_owned();
            let hint =
                Some("leave out `-- cutover: no-transaction`: COPY is one transaction by itself".to_owned());
            let (line, column) = (statement.line, statement.column);
            self.error(line, column, message, hint, String::new(), None);
        }
        // A procedure, and a block of code, may have committed before it failed; any other statement commits as a whole.
        let atomic = !matches!(first, "CALL" | "DO");
        Outside { what: format!("{first} (no-transaction)"), retry: Retry::Unknown, atomic }
    }

    /// Nothing is done to the history but by the tool itself.
    fn guard_own_schema(&mut self, statement: &Statement, effects: &Effects) {
        if let Some(refusal) = own_schema::refusal(effects) {
            self.refuse_own_schema(statement, refusal);
            return;
        }
        for role in &effects.disowns {
            self.owned.push((role.name.to_string(), self.script.errors.len()));
            self.refuse_own_schema(statement, own_schema::disowned(role));
        }
    }

    fn refuse_own_schema(&mut self, statement: &Statement, refusal: own_schema::Refusal) {
        let object = refusal.object.as_ref();
        let place = |object| own_schema::place_of(&statement.text, object);
        let offset = object.and_then(place).unwrap_or(0);
        let (line, column, source_line) =
            self.secrets.locate(&statement.text, offset, statement.line, statement.column);
        let hint = Some(refusal.hint.to_owned());
        self.error(line, column, refusal.message, hint, source_line, Some(hazard::OWN_SCHEMA));
    }

    /// What only the owner of the schema makes an error waits for who that is.
    fn set_owned_aside(&mut self) {
        for (role, at) in std::mem::take(&mut self.owned).into_iter().rev() {
            let error = self.script.errors.remove(at);
            self.script.owned.push((role, error));
        }
        self.script.owned.reverse();
    }

    /// What the tool could not keep its word about.
    fn refuse_what_would_mislead(
        &mut self,
        (statement, words): (&Statement, &str),
        effects: &Effects,
        outside: Option<&Outside>,
    ) {
        let mut refuse = |message: &str, hint: &str, code| {
            let (line, column, source_line) =
                self.secrets.locate(&statement.text, 0, statement.line, statement.column);
            self.error(line, column, message.to_owned(), Some(hint.to_owned()), source_line, code);
        };
        if let Some(setting) = effects.settings.iter().find(|setting| !keeps_the_reading(setting)) {
            let (message, hint) = match setting.name.as_str() {
                "client_encoding" => (
                    "client_encoding must stay UTF8: the file is read as UTF-8 and sent as it is",
                    "save the file as UTF-8 and leave the setting out",
                ),
                _ => (
                    "standard_conforming_strings must stay on: the file was read under that rule",
                    "write E'…' where backslashes are meant as escapes",
                ),
            };
            refuse(message, hint, None);
        }
        if let Some(effects::Refusal { message, hint }) = effects.refused.as_deref() {
            refuse(message, hint, None);
        }
        if effects.statements > 1 {
            let (message, hint) = cut_wrongly(effects.statements, &statement.text);
            refuse(&message, hint, None);
        }
        if let Some(Outside { retry: Retry::Checkable(Check::IndexValid { index, .. }), .. }) = outside
            && index.name.is_empty()
        {
            refuse(
                "an index built concurrently needs a name: what a failed build leaves behind could not be found",
                "write CREATE INDEX CONCURRENTLY name ON …",
                None,
            );
        }
        let session_wide = words.starts_with("SET ")
            && !["SET LOCAL ", "SET CONSTRAINTS ", "SET TRANSACTION "]
                .iter()
                .any(|start| words.starts_with(start));
        if session_wide && self.first_setting.is_none() {
            self.first_setting =
                Some(self.secrets.locate(&statement.text, 0, statement.line, statement.column));
        }
    }

    /// Each transaction, and each statement outside one, starts from the session's defaults: a SET would be lost.
    fn refuse_lost_settings(&mut self) {
        let Some((line, column, source_line)) = self.first_setting.take() else { return };
        if self.script.units.len() > 1 {
            let message =
                "a SET does not reach the other transactions and statements of this file".to_owned();
            let hint = "qualify the names, use SET LOCAL within one transaction, or split the file; \
                        `--allow lost-settings` lets it pass"
                .to_owned();
            self.error(line, column, message, Some(hint), source_line, Some(hazard::LOST_SETTINGS));
        }
    }

    /// What the statement makes, or must find absent. Before it nothing may have run that can drop whatever it likes, or that
    /// has names mean something else; a view of temporary tables is temporary itself, as is what belongs to one.
    fn note_new(&mut self, effects: &Effects, statement: &Statement) {
        let script = &mut self.script;
        let object = effects.creates.first().filter(|_| effects.leaves_it_there);
        let extension = object.is_some_and(|object| object.kind == ObjectKind::Extension);
        script.unread |= effects.opaque.is_some() && !extension;
        let Some(object) = object.filter(|_| !script.unread && !script.sets_search_path) else { return };
        let temporary = || script.creates.iter().any(ObjectRef::is_temporary);
        let of_its_own = matches!(object.kind, ObjectKind::Table | ObjectKind::Extension);
        if object.is_temporary() || !of_its_own && temporary() {
            return;
        }
        let Statement { line, column, .. } = *statement;
        let must_be_new = effects.must_be_new;
        script.news.push(New {
            object: object.clone(),
            line,
            column,
            drops: script.drops.len(),
            must_be_new,
        });
    }

    fn need(&mut self, reference: effects::Reference, statement: &Statement, (certain, news): (bool, usize)) {
        let name = &reference.object.name;
        let known = self
            .created
            .get(name)
            .is_some_and(|made| made.iter().any(|made| schemas_agree(made, &reference.object)));
        let known = known || self.is_made_along(&reference.object);
        if !known && self.mentioned.insert(("needs", reference.object.clone())) {
            let Statement { line, column, .. } = *statement;
            let effects::Reference { object, why, .. } = reference;
            let why = why.to_string();
            self.script.needs.push(Need { object, why, line, column, certain, news });
        }
    }

    /// Whether the file makes something with which PostgreSQL makes an object of that name, too: the array of a type, the
    /// multirange of a range, what gets a number because the name that is chosen for it is taken.
    fn is_made_along(&self, object: &ObjectRef) -> bool {
        let is_made = |name: &str| {
            let made = self.created.get(name);
            made.is_some_and(|made| made.iter().any(|made| schemas_agree(made, object)))
        };
        match object.kind.family() {
            ObjectKind::Type => implied::bases_of_type(&object.name).iter().any(|base| is_made(base)),
            ObjectKind::Routine => implied::range_of(&object.name).iter().any(|range| is_made(range)),
            _ if matches!(object.kind, ObjectKind::Index | ObjectKind::Sequence) => {
                let base = object.name.trim_end_matches(|c: char| c.is_ascii_digit());
                base.len() < object.name.len() && self.script.vertex.chosen.iter().any(|one| one.name == base)
            }
            _ => false,
        }
    }

    /// How much there is of the lists now.
    fn until(&self) -> Until {
        let Script { creates, alters, drops, .. } = &self.script;
        Until { creates: creates.len(), alters: alters.len(), drops: drops.len() }
    }

    fn mention(&mut self, how: &'static str, object: ObjectRef) {
        if !self.mentioned.insert((how, object.clone())) {
            self.script.drops_again |= how == "drops";
            return;
        }
        match how {
            "creates" => self.script.creates.push(object),
            "alters" => self.script.alters.push(object),
            "refers" => self.script.refers.push(object),
            "writes" => self.script.writes.push(object),
            _ => self.script.drops.push(object),
        }
    }

    pub(super) fn finish(mut self, vars: &Vars) -> Script {
        self.script.vertex.complete();
        self.take_outer_transaction();
        let controls = std::mem::take(&mut self.controls);
        let special = controls.iter().any(|found| !found.plain);
        let apart = self.stretches.iter().find_map(|stretch| stretch.outside.as_ref());
        let apart = apart.filter(|_| self.is_wrapped(&controls)).map(|outside| outside.what.clone());
        for found in controls {
            // The other half of an outer transaction is fine where the special half is mended.
            if special && found.plain && (found.number == 0 || found.number + 1 == self.count) {
                continue;
            }
            let (message, hint) = match &apart {
                Some(what) => control::refusal_around(&found, what),
                None => control::refusal(&found),
            };
            self.error(found.line, found.column, message, Some(hint), found.source_line, None);
        }
        self.build_units();
        self.refuse_lost_settings();
        self.keep_items();
        if self.script.statements == 0 && self.script.errors.is_empty() {
            self.script
                .notes
                .push("it has no statements: a run that accepts it only records it as applied".to_owned());
            let hint = "write its statements, delete the file, or declare it deferred in cutover.toml until it is written; \
                        `--allow empty-migration` records it as applied"
                .to_owned();
            let message = "it has no statements".to_owned();
            self.error(1, 1, message, Some(hint), String::new(), Some(hazard::EMPTY_MIGRATION));
        }
        self.show_places(vars);
        self.hide_passwords();
        self.set_owned_aside();
        if self.script.course.iter().all(|change| matches!(change, Change::Made(_))) {
            self.script.course = Vec::new();
        }
        self.script.shrink();
        self.script
    }

    /// Only now all of them are known.
    fn hide_passwords(&mut self) {
        let mut passwords = std::mem::take(&mut self.script.passwords);
        passwords.spare_objects([&self.script]);
        for error in &mut self.script.errors {
            passwords.star_in(&mut error.message);
            passwords.star_in(&mut error.source_line);
        }
        self.script.passwords = passwords;
    }

    /// Errors are shown where they are in the file, each with its whole line.
    fn show_places(&mut self, vars: &Vars) {
        let place = |index: &usize| {
            let ScriptError { line, column, source_line, .. } = &self.script.errors[*index];
            FilePlace { line: *line, column: *column, source_line: source_line.clone() }
        };
        let mut shown: Vec<FilePlace> = self.as_sent.iter().map(place).collect();
        if shown.is_empty() {
            return;
        }
        places::into_file(self.migration, vars, &mut shown.iter_mut().collect::<Vec<_>>());
        for (index, place) in self.as_sent.iter().zip(shown) {
            let error = &mut self.script.errors[*index];
            (error.line, error.column, error.source_line) = (place.line, place.column, place.source_line);
        }
    }

    /// Small files stay in memory, so that they are read once.
    fn keep_items(&mut self) {
        let readable = self.script.errors.iter().all(|error| error.code.is_some());
        let (Some(kept), Some(passed)) = (self.kept.take().filter(|_| readable), self.passed.take()) else {
            return;
        };
        match passed.text(&self.migration.checksums.normalised) {
            Ok(text) => {
                let items: Result<Vec<_>, String> =
                    Numbering::new(&self.script, kept.into_iter().map(Ok)).collect();
                self.script.kept = items.ok().map(|items| (items, text));
            }
            Err(why) => self.error_in_file(1, 1, why, None, String::new(), None),
        }
    }

    /// One BEGIN at the start and one COMMIT at the end, and nothing else of the kind, is replaced by ours.
    fn take_outer_transaction(&mut self) {
        if !self.is_wrapped(&self.controls)
            || self.stretches.iter().any(|stretch| stretch.outside.is_some() || stretch.new_transaction)
        {
            self.script.statements = self.count;
            return;
        }
        self.controls.clear();
        self.script.outer_transaction = true;
        self.script.statements = self.count - 2;
        let note = "its outer BEGIN … COMMIT is replaced by cutover's own transaction";
        self.script.notes.push(note.to_owned());
        // Without anything outside a transaction there is exactly one stretch.
        if let Some(stretch) = self.stretches.first_mut() {
            stretch.count -= 2;
        }
        self.stretches.retain(|stretch| stretch.count > 0);
    }

    /// Whether these are one BEGIN at the start and one COMMIT at the end.
    fn is_wrapped(&self, controls: &[control::Statement]) -> bool {
        matches!(controls,
            [begin, commit] if begin.number == 0 && begin.control == Control::Begin && begin.plain
                && commit.number + 1 == self.count && commit.control == Control::Commit && commit.plain)
    }

    fn build_units(&mut self) {
        // What is said of a whole file holds for each of its statements, and one that PostgreSQL runs in a transaction of
        // its own is better off in ours: it commits together with the record of it. The two are told apart by nothing
        // but a crash between them.
        let alone = self.stretches.iter().any(|stretch| stretch.outside.is_some())
            || self.migration.no_transaction && !self.script.outer_transaction;
        for stretch in std::mem::take(&mut self.stretches) {
            if alone && stretch.outside.is_none() {
                // A file with anything outside a transaction runs statement by statement, each one journaled.
                let each =
                    (0..stretch.count).map(|n| Unit { first: stretch.first + n, count: 1, outside: None });
                self.script.units.extend(each);
            } else {
                self.script.units.push(Unit {
                    first: stretch.first,
                    count: stretch.count,
                    outside: stretch.outside,
                });
            }
        }
    }
}

/// Whether a statement may commit by itself, so that it does not mean the same in a transaction of ours.
fn may_commit(words: &str) -> bool {
    words.starts_with("CALL ") || words.starts_with("DO ")
}

/// What is said of a text that is not the one statement it was cut as.
fn cut_wrongly(statements: usize, text: &str) -> (String, &'static str) {
    let (verb, hint) = if text.len() > LONGEST_ANALYSED {
        ("may read", "write a body of more than 1 MiB as AS $$ … $$: where this one ends cannot be checked")
    } else {
        ("reads", "in a body between BEGIN ATOMIC and END a column called `case` or `end` needs AS or quotes")
    };
    let message = format!(
        "the server {verb} {statements} statements here, where cutover reads one and would send them together"
    );
    (message, hint)
}

/// Whether a setting may be given this value by a file: another one, or one that is not known, would have the server
/// read the rest of the file otherwise than it was read here.
fn keeps_the_reading(setting: &Setting) -> bool {
    let is = |meant: &[&str]| match setting.values.as_deref() {
        Some([value]) => meant.contains(&value.to_ascii_lowercase().replace(['-', '_', ' '], "").as_str()),
        _ => false,
    };
    match setting.name.as_str() {
        "standard_conforming_strings" => is(&["on", "true", "yes", "1", "t", "y"]),
        "client_encoding" => is(&["utf8", "unicode"]),
        _ => true,
    }
}
