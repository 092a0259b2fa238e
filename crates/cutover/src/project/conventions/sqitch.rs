//! `sqitch.plan` with `deploy/users.sql`, `revert/users.sql` and `verify/users.sql`: a project of Sqitch.
//!
//! Source: the manual `sqitchchanges` and `lib/App/Sqitch/Plan.pm`, `Plan/Change.pm`, `Plan/Depend.pm` of
//! sqitchers/sqitch. The plan is the order and names are the identity. `[a !b]` behind a name says what it requires and
//! what it must not meet; `@tag` names the place that a plan has come to; a name that comes again behind a tag is reworked,
//! and what it was before is in the file `name@tag.sql`. A case it gets right: a reworked change is another migration, and
//! the one before it stays applied as it was. One it declines: a dependency on another project.

use std::collections::{BTreeMap, BTreeSet};

use super::{About, Convention, Folder, Found, Frame, NewFile, Reading, Stray, Wrong, is_sql};
use crate::migration::{Migration, Version};

/// The convention `sqitch`.
#[derive(Debug, Clone, Copy)]
pub struct Sqitch;

/// The plan.
pub(crate) const PLAN: &str = "sqitch.plan";
/// The settings.
pub(crate) const CONF: &str = "sqitch.conf";
const FOLDERS: [&str; 3] = ["deploy", "revert", "verify"];

impl Convention for Sqitch {
    fn name(&self) -> &'static str {
        "sqitch"
    }

    fn example(&self) -> &'static str {
        "sqitch.plan with deploy/users.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "Sqitch",
            files: "`sqitch.plan`, and for each change `deploy/users.sql`",
            order: "of the plan",
            back: "`revert/users.sql`",
            no_transaction: "none: what PostgreSQL refuses in a transaction is found by the parser",
            right: "a reworked change is a migration of its own, `verify/users.sql` becomes a check, and what a change requires an edge of the graph",
            declines: "a dependency on another project, `users@HEAD^`, and psql's commands in scripts",
        }
    }

    fn enters(&self, folder: &str) -> bool {
        FOLDERS.iter().any(|known| {
            folder.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        folder.has(PLAN).then(|| format!("{PLAN} is there"))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        let mut reading = Reading::default();
        if folder.has(PLAN) {
            match folder.text(PLAN) {
                Ok(text) => Plan::parse(&text, folder).give(folder, &mut reading),
                Err(why) => reading.problems.push(Wrong::file(PLAN, why)),
            }
            if reading.problems.iter().all(|wrong| wrong.path != PLAN) {
                reading.companions.push(PLAN.to_owned());
            } else {
                // A plan that cannot be read whole gives no order.
                reading.migrations.clear();
            }
        }
        if folder.has(CONF) {
            match folder.text(CONF).map(|text| unsupported(&text)) {
                Ok(None) => reading.companions.push(CONF.to_owned()),
                Ok(Some(wrong)) => reading.problems.push(wrong),
                Err(why) => reading.problems.push(Wrong::file(CONF, why)),
            }
        }
        let known: BTreeSet<String> = reading.paths().map(str::to_owned).collect();
        for path in folder.paths.iter().filter(|path| !known.contains(*path)) {
            let is_deploy = path.starts_with("deploy/") && is_sql(path);
            let why = if is_deploy { "no change of sqitch.plan" } else { "sqitch.plan says nothing of it" };
            reading.strays.push(Stray { path: path.clone(), why: why.to_owned(), near_miss: is_deploy });
        }
        reading
    }

    fn frame(&self, path: &str, is_there: bool) -> Result<Option<Frame>, String> {
        if is_there || !path.starts_with("deploy/") {
            return Ok(None);
        }
        Err("a change is in the plan: `sqitch add NAME` puts it there, and its deploy/NAME.sql is the file to write over, with \
             --force"
            .to_owned())
    }

    fn version(&self, _text: &str) -> Option<Version> {
        // Which of its occurrences a name means is for the plan to say.
        None
    }

    fn next(&self, _existing: &[&Migration], slug: &str, _now: u64) -> Result<Vec<NewFile>, String> {
        Err(format!("changes are added to {PLAN} by Sqitch itself: `sqitch add {slug}`"))
    }
}

/// A change as its line in the plan has it.
struct Change {
    name: String,
    /// Which of those of its name, from 1.
    occurrence: u64,
    /// Number and text of its line.
    line: (u32, String),
    /// What it is called for people: `name`, or `name@tag` where it was reworked since.
    text: String,
    /// The name of its files, without ending.
    file: String,
    requires: Vec<String>,
}

#[derive(Default)]
struct Plan {
    project: String,
    changes: Vec<Change>,
    /// Each tag with the number of changes before it.
    tags: Vec<(String, usize)>,
    wrong: Vec<Wrong>,
}

impl Plan {
    fn parse(text: &str, folder: &Folder<'_>) -> Self {
        let mut plan = Self::default();
        let mut depends: Vec<Vec<String>> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if let Some(pragma) = content.strip_prefix('%') {
                let (key, value) = pragma.split_once('=').unwrap_or((pragma, ""));
                if key.trim() == "project" {
                    value.trim().clone_into(&mut plan.project);
                }
            } else if let Some(tag) = content.strip_prefix('@') {
                plan.tag(number, line, tag.split_whitespace().next().unwrap_or_default());
            } else if let Some(found) = plan.change(number, line, content) {
                depends.push(found);
            }
        }
        plan.name_files(folder);
        for (at, depends) in depends.iter().enumerate() {
            for depend in depends {
                plan.depend(at, depend);
            }
        }
        plan
    }

    fn wrong_at(&mut self, line: (u32, String), message: String, hint: &str) {
        self.wrong.push(Wrong { line: Some(line), ..Wrong::file(PLAN, message).with_hint(hint) });
    }

    fn tag(&mut self, number: u32, line: &str, tag: &str) {
        let is_name = !tag.is_empty() && !tag.contains(['@', '#', ':', '/', '\\']);
        if !is_name || self.tags.iter().any(|(known, _)| known == tag) {
            let hint = "each tag has a name of its own, without @, #, :, / and \\";
            self.wrong_at((number, line.to_owned()), format!("@{tag} is no new tag"), hint);
        } else {
            self.tags.push((tag.to_owned(), self.changes.len()));
        }
    }

    /// Takes a change; gives what it depends on.
    fn change(&mut self, number: u32, line: &str, content: &str) -> Option<Vec<String>> {
        let place = (number, line.to_owned());
        let content = match content.strip_prefix('-') {
            Some(_) => {
                let hint = "take the line out: what is to be undone is undone by `sqitch revert`, or by a change of its own";
                self.wrong_at(place, "a line that reverts a change is not supported".to_owned(), hint);
                return None;
            }
            None => content.strip_prefix('+').map_or(content, str::trim_start),
        };
        let (name, rest) = content.split_once(char::is_whitespace).unwrap_or((content, ""));
        let wrong = name.is_empty()
            || name.contains(['@', '#', ':', '\\', '[', ']'])
            || name.split('/').any(|part| matches!(part, "" | "." | ".."))
            || name.chars().any(char::is_control);
        if wrong {
            let hint = "a name has no @, #, :, \\, brackets or empty parts";
            self.wrong_at(place, "this is no name of a change".to_owned(), hint);
            return None;
        }
        let list = rest.trim_start().strip_prefix('[');
        let depends = match list.map(|list| list.split_once(']')) {
            None => Vec::new(),
            Some(Some((list, _))) => list.split_whitespace().map(str::to_owned).collect(),
            Some(None) => {
                self.wrong_at(
                    place,
                    "the list of what it depends on has no end".to_owned(),
                    "close it with ]",
                );
                return None;
            }
        };
        let earlier = self.changes.iter().filter(|other| other.name == name).count();
        let occurrence = u64::try_from(earlier).unwrap_or(0).saturating_add(1);
        self.changes.push(Change {
            name: name.to_owned(),
            occurrence,
            line: place,
            text: name.to_owned(),
            file: name.to_owned(),
            requires: Vec::new(),
        });
        Some(depends)
    }

    /// A change that was reworked since is in the file of the first tag behind it that has one.
    fn name_files(&mut self, folder: &Folder<'_>) {
        let mut last: BTreeMap<String, usize> = BTreeMap::new();
        let mut reworked = Vec::new();
        for (at, change) in self.changes.iter().enumerate() {
            if let Some(before) = last.insert(change.name.clone(), at) {
                reworked.push((before, at));
            }
        }
        for (before, after) in reworked {
            let name = self.changes[before].name.clone();
            let between = self.tags.iter().filter(|(_, place)| *place > before && *place <= after);
            let names: Vec<String> = between.map(|(tag, _)| format!("{name}@{tag}")).collect();
            if names.is_empty() {
                let line = self.changes[after].line.clone();
                let hint = "a change can be reworked behind a tag: `sqitch tag`, then `sqitch rework`";
                self.wrong_at(
                    line,
                    format!("{name} is in the plan already, and no tag stands between"),
                    hint,
                );
                continue;
            }
            let file = names.iter().find(|file| folder.has(&format!("deploy/{file}.sql"))).or(names.first());
            let file = file.cloned().unwrap_or_default();
            (self.changes[before].text, self.changes[before].file) = (file.clone(), file);
        }
    }

    /// Finds what a change depends on: the last of its name before it, or as of a tag.
    fn depend(&mut self, at: usize, depend: &str) {
        let (conflicts, wanted) = match depend.strip_prefix('!') {
            Some(wanted) => (true, wanted),
            None => (false, depend),
        };
        let line = self.changes[at].line.clone();
        let wanted = match wanted.split_once(':') {
            Some((project, wanted)) if project == self.project => wanted,
            Some((project, _)) => {
                let hint = "cutover knows the changes of this plan alone: take the dependency out, and see that the other \
                            project goes first";
                return self.wrong_at(
                    line,
                    format!("{depend} is a change of another project, {project}"),
                    hint,
                );
            }
            None => wanted,
        };
        let (name, tag) = wanted.split_once('@').map_or((wanted, None), |(name, tag)| (name, Some(tag)));
        let before = match tag {
            None => Some(at),
            Some(tag) => {
                self.tags.iter().find(|(known, place)| known == tag && *place <= at).map(|(_, place)| *place)
            }
        };
        let found = before.and_then(|before| {
            self.changes[..before].iter().rposition(|other| name.is_empty() || other.name == name)
        });
        match (found, conflicts) {
            (Some(found), false) => {
                let text = self.changes[found].text.clone();
                self.changes[at].requires.push(text);
            }
            (None, true) => {}
            (Some(_), true) => {
                let hint = "Sqitch would stop here: one of the two has to leave the plan";
                self.wrong_at(line, format!("it conflicts with {wanted}, which is deployed before it"), hint);
            }
            (None, false) => {
                let hint = "a dependency is a change that stands before it, or @tag, or both: users@v1.0";
                self.wrong_at(
                    line,
                    format!("it requires {wanted}, which is not in the plan before it"),
                    hint,
                );
            }
        }
    }

    /// What the plan comes to.
    fn give(self, folder: &Folder<'_>, reading: &mut Reading) {
        let Self { changes, mut wrong, .. } = self;
        for Change { name, occurrence, line, text, file, requires } in changes {
            let path = |kind: &str| format!("{kind}/{file}.sql");
            let there = |path: String| folder.has(&path).then_some(path);
            let Some(deploy) = there(path("deploy")) else {
                let message = format!("the change {text} has no file {}", path("deploy"));
                let hint = "restore it, or take the line out of the plan";
                wrong.push(Wrong { line: Some(line), ..Wrong::file(PLAN, message).with_hint(hint) });
                continue;
            };
            let is_reworked = text != name;
            let version = Version::named(&name, occurrence, text);
            let found = Found::new(version, "", deploy);
            let (down, mut verify) = (there(path("revert")), there(path("verify")));
            if is_reworked {
                // What it made has been changed since, so that Sqitch does not look at it any more.
                reading.companions.extend(verify.take());
            }
            reading.migrations.push(Found { down, requires, verify, ..found });
        }
        reading.problems.extend(wrong);
    }
}

/// `key = value` lines of a section of Git's kind of configuration, in order, with the number of each.
fn settings(text: &str) -> impl Iterator<Item = (u32, &str, String, &str)> {
    let mut section = String::new();
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        let content = line.trim();
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            name.0.trim().clone_into(&mut section);
            return None;
        }
        if content.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = content.split_once('=')?;
        Some((number, line, format!("{section}.{}", key.trim()), value.trim().trim_matches('"')))
    })
}

/// The folder of the plan, as the settings name it.
pub(crate) fn top_dir(text: &str) -> Option<&str> {
    let found =
        settings(text).filter(|(_, _, key, _)| key == "core.top_dir" || key == "engine \"pg\".top_dir");
    found
        .last()
        .map(|(_, _, _, value)| value.trim_end_matches('/'))
        .filter(|value| !matches!(*value, "" | "."))
}

/// A setting that makes a project other than it is read here.
fn unsupported(text: &str) -> Option<Wrong> {
    settings(text).find_map(|(number, line, key, value)| {
        let key = key.strip_prefix("core.").or_else(|| key.strip_prefix("engine \"pg\"."))?;
        let usual = match key {
            "engine" => "pg",
            "plan_file" => PLAN,
            "extension" => "sql",
            "deploy_dir" => "deploy",
            "revert_dir" => "revert",
            "verify_dir" => "verify",
            "reworked_dir" => ".",
            _ => return None,
        };
        let value = value.trim_start_matches("./").trim_end_matches('/');
        let same = value == usual || (key == "reworked_dir" && value.is_empty());
        (!same).then(|| {
            let message = format!("{key} = {} is not supported", crate::text::visible(value));
            let hint = format!("cutover reads {key} = {usual}");
            Wrong { line: Some((number, line.to_owned())), ..Wrong::file(CONF, message).with_hint(hint) }
        })
    })
}
