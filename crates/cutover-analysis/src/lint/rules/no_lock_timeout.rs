//! Strong locks that are waited for without a limit.

use pg_query::NodeEnum;
use pg_query::protobuf::VariableSetKind;

use super::{Look, Rule, Watch};
use crate::effects::{Lock, LockMode, walk};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "no-lock-timeout",
        severity: Severity::Warning,
        on: false,
        why: "A statement that waits for a strong lock lets everybody wait who comes after it, for as long as whoever it waits for pleases.",
        safe: "SET LOCAL lock_timeout before it, and try again where it was not enough; cutover sets one by itself",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE users ADD COLUMN a int;"),
            Example::of("SET lock_timeout = '0ms'; ALTER TABLE users ADD COLUMN a int;"),
            Example::of("SET lock_timeout = 0; ALTER TABLE users ADD COLUMN a int;"),
            Example::of(
                "SET LOCAL lock_timeout = '2s'; SELECT 1;\n-- cutover: new-transaction\nALTER TABLE users ADD COLUMN a int;",
            ),
            Example::of("SET lock_timeout = '1s'; RESET lock_timeout; DROP TABLE users;"),
            Example::of("SET statement_timeout = '1s'; CREATE INDEX ON users (id);"),
        ],
        good: &[
            Example::of("SET lock_timeout = '2s'; ALTER TABLE users ADD COLUMN a int;"),
            Example::of("SET LOCAL lock_timeout TO 2000; ALTER TABLE users ADD COLUMN a int;"),
            Example::of("SELECT set_config('lock_timeout', '2s', true); ALTER TABLE users ADD COLUMN a int;"),
            Example::of("CREATE TABLE t (n int); ALTER TABLE t ADD COLUMN m int;"),
            Example::of("CREATE INDEX CONCURRENTLY i ON users (id);"),
            Example::of("UPDATE users SET a = 1 WHERE id = 2;"),
        ],
    },
    look: Look::File(|| Box::new(Unlimited::new("lock_timeout", waits))),
};

fn waits(site: &Site<'_>) -> Option<String> {
    let is_strong = |lock: &&Lock| lock.mode >= LockMode::Share && !site.is_new_itself(&lock.relation);
    let lock = site.effects.locks.iter().find(is_strong)?;
    Some(format!("whoever uses {} waits for as long as this waits for its lock", lock.relation.named()))
}

/// Statements that may wait, and where the wait is limited.
pub(super) struct Unlimited {
    setting: &'static str,
    /// What a statement waits for, in words.
    waits: fn(&Site<'_>) -> Option<String>,
    set: Vec<Limit>,
    waiting: Vec<(usize, String)>,
}

/// A setting that gets a value.
struct Limit {
    number: usize,
    /// In a block, before what comes after it there.
    in_block: bool,
    /// For the transaction alone.
    local: bool,
    on: bool,
}

impl Unlimited {
    pub(super) fn new(setting: &'static str, waits: fn(&Site<'_>) -> Option<String>) -> Self {
        Self { setting, waits, set: Vec::new(), waiting: Vec::new() }
    }

    fn settings(&mut self, site: &Site<'_>) {
        let (number, in_block) = (site.number, site.in_block);
        if let NodeEnum::VariableSetStmt(set) = site.node {
            let all = set.kind() == VariableSetKind::VarResetAll;
            if all || set.name.eq_ignore_ascii_case(self.setting) {
                let value = set.args.first().and_then(walk::value_of);
                let on =
                    value.is_some_and(|value| value.contains(|digit: char| ('1'..='9').contains(&digit)));
                self.set.push(Limit { number, in_block, local: set.is_local, on });
            }
            return;
        }
        // set_config: whether it is for the transaction alone is not known.
        let set = site.effects.settings.iter().any(|set| set.name == self.setting);
        self.set.extend(set.then_some(Limit { number, in_block, local: false, on: true }));
    }
}

impl Watch for Unlimited {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        self.settings(site);
        if let Some(waiting) = (self.waits)(site) {
            self.waiting.push((site.number, waiting));
        }
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        let is_limited = |number: usize| {
            let before =
                self.set.iter().filter(|set| set.number < number || set.number == number && set.in_block);
            let mut reaching = before.filter(|set| !set.local || end.together(set.number, number));
            reaching.next_back().is_some_and(|set| set.on)
        };
        // One finding says it: the setting belongs at the beginning of the file.
        let first = self.waiting.iter().find(|(number, _)| !is_limited(*number));
        if let Some((number, message)) = first {
            found.say_of(*number, end.span(*number), message.clone());
        }
    }
}
