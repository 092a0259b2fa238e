//! Small migration files read ahead of their analysis by other threads.
//!
//! The analysis itself goes file by file: each finds what those before it left behind. What is read ahead and not
//! analysed yet is bounded by the size of its text, since a tree takes a hundred times as much.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use cutover_analysis::effects::Spent;

use super::reading::{Reading, SMALL, Texts};
use crate::migration::Migration;
use crate::source::Vars;

/// Text that is read ahead, in bytes, but for one file a thread: 24 KiB.
const MOST_AHEAD: u64 = 24 << 10;
/// Fewer files are not worth starting threads.
const FEW: usize = 16;
/// As much as a process has by itself: how deep the parser goes must not depend on who asks it. 8 MiB.
const STACK: usize = 8 << 20;
/// More threads would only wait: the analysis behind them is one.
const MOST_THREADS: usize = 4;

/// Files in the order of their analysis.
pub(crate) struct Ahead<'a> {
    vars: &'a Vars,
    texts: Texts,
    migrations: &'a [&'a Migration],
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The next file for a thread to take.
    next: usize,
    /// The next one to be analysed.
    wanted: usize,
    /// Bytes of text that are read, or being read, and not analysed yet.
    ahead: u64,
    /// What was read, and by which of the threads.
    read: BTreeMap<usize, (usize, io::Result<Reading>)>,
    /// What is left of what each thread read, for itself to free: nobody else does that as fast, and what it frees it can
    /// use again at once.
    spent: Vec<Vec<Spent>>,
    /// The thread that read what is analysed now.
    reader: Option<usize>,
    /// Nobody will analyse the rest.
    given_up: bool,
}

impl State {
    /// Nothing more may be read ahead. The first of all always may: somebody waits for it.
    fn is_full(&self) -> bool {
        self.next > self.wanted && self.ahead >= MOST_AHEAD
    }
}

impl<'a> Ahead<'a> {
    /// Analyses these migrations with `analyse`, which takes the reading of each with [`next`](Self::next), in this order, and gives back what is left of the one before.
    pub(crate) fn of<T>(
        migrations: &'a [&'a Migration],
        vars: &'a Vars,
        texts: Texts,
        analyse: impl FnOnce(&mut dyn FnMut(Vec<Spent>) -> io::Result<Reading>) -> T,
    ) -> T {
        let threads = match thread::available_parallelism().map(NonZero::get) {
            Ok(cores) if cores > 1 && migrations.len() >= FEW => cores.min(MOST_THREADS),
            _ => 0,
        };
        let state = State { spent: (0..threads).map(|_| Vec::new()).collect(), ..State::default() };
        let ahead = Self { vars, texts, migrations, state: Mutex::new(state), changed: Condvar::new() };
        let ahead = &ahead;
        thread::scope(|scope| {
            // Where none can be started, whoever analyses reads.
            for reader in 0..threads {
                let _ =
                    thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || ahead.work(reader));
            }
            let _end = GiveUp(ahead);
            analyse(&mut |spent| ahead.next(spent))
        })
    }

    fn work(&self, reader: usize) {
        let mut state = self.lock();
        loop {
            let spent = state.spent.get_mut(reader).map(std::mem::take).unwrap_or_default();
            if !spent.is_empty() {
                drop(state);
                drop(spent);
                state = self.lock();
            }
            while !state.given_up && state.is_full() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let at = state.next;
            let Some(migration) = self.migrations.get(at).filter(|_| !state.given_up) else { return };
            state.next += 1;
            if !is_small(migration) {
                continue;
            }
            state.ahead += migration.checksums.bytes;
            drop(state);
            // Whoever waits for it must not wait for ever.
            let reading = catch_unwind(AssertUnwindSafe(|| Reading::ready(migration, self.vars, self.texts)))
                .unwrap_or_else(|_| Err(io::Error::other("reading it ended in a fault of cutover")));
            state = self.lock();
            state.read.insert(at, (reader, reading));
            self.changed.notify_all();
        }
    }

    /// The reading of the next file.
    fn next(&self, spent: Vec<Spent>) -> io::Result<Reading> {
        let mut state = self.lock();
        if let Some(reader) = state.reader.take()
            && let Some(of_reader) = state.spent.get_mut(reader)
        {
            of_reader.extend(spent);
        }
        let at = state.wanted;
        state.wanted += 1;
        let Some(migration) = self.migrations.get(at) else {
            return Err(io::Error::other("no file is left"));
        };
        // Nobody has begun with it: threads may not keep up, or there are none.
        if state.next <= at || !is_small(migration) {
            state.next = state.next.max(at + 1);
            drop(state);
            self.changed.notify_all();
            return Reading::open(migration, self.vars, self.texts);
        }
        loop {
            if let Some((reader, reading)) = state.read.remove(&at) {
                state.reader = Some(reader);
                state.ahead -= migration.checksums.bytes;
                drop(state);
                self.changed.notify_all();
                return reading;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_small(migration: &Migration) -> bool {
    migration.checksums.bytes <= SMALL
}

/// Sends the threads home however the analysis ends.
struct GiveUp<'a, 'b>(&'a Ahead<'b>);

impl Drop for GiveUp<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().given_up = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use cutover_analysis::effects::Context;

    use super::*;
    use crate::project::Project;
    use crate::script::Script;

    fn project(files: usize) -> Project {
        let large = format!("-- {}\nCREATE TABLE big (n int);", "x".repeat(usize::try_from(SMALL).unwrap()));
        let files: Vec<(String, String)> = (1..=files)
            .map(|n| {
                let text = match n {
                    7 => large.clone(),
                    9 => "CREATE TABLE wrong (".to_owned(),
                    _ => format!(
                        "CREATE TABLE t{n} (id int PRIMARY KEY);\nALTER TABLE t{} ADD c{n} int;",
                        n.max(2) - 1
                    ),
                };
                (format!("V{n}__step.sql"), text)
            })
            .collect();
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
        Project::embedded("p", &files).unwrap()
    }

    fn shown(script: &Script) -> String {
        format!("{:?} {:?} {:?} {:?}", script.vertex, script.errors, script.units, script.needs)
    }

    #[test]
    fn what_is_read_ahead_is_analysed_as_what_is_read_in_its_turn() {
        let project = project(200);
        let (mut one_by_one, mut ahead) = (Context::EMPTY, Context::EMPTY);
        let mut expected = Vec::new();
        for migration in &project.migrations {
            expected.push(shown(&Script::analyse_in(migration, &project.vars, &mut one_by_one)));
        }
        let mut found = Vec::new();
        Script::analyse_all(
            &project.migrations.iter().collect::<Vec<_>>(),
            &project.vars,
            Texts::Kept,
            |place, analyse| {
                assert_eq!(place, found.len());
                found.push(shown(&analyse(&mut ahead)));
            },
        );
        assert_eq!(found, expected);
        assert_eq!(ahead, one_by_one);
        assert!(found[8].contains("syntax error"), "{}", found[8]);
    }

    #[test]
    fn threads_end_where_the_analysis_gives_up() {
        let project = project(100);
        let migrations: Vec<&Migration> = project.migrations.iter().collect();
        let taken = Ahead::of(&migrations, &project.vars, Texts::Dropped, |next| {
            (next(Vec::new()).is_ok(), next(Vec::new()).is_ok())
        });
        assert_eq!(taken, (true, true));
    }

    #[test]
    fn no_more_is_read_ahead_than_there_is_room_for() {
        let state = |next, wanted, ahead| State { next, wanted, ahead, ..State::default() };
        assert!(state(5, 4, MOST_AHEAD).is_full());
        assert!(!state(5, 4, MOST_AHEAD - 1).is_full());
        // Somebody waits for it.
        assert!(!state(4, 4, MOST_AHEAD).is_full());
    }
}
