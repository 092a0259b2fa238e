//! Which migrations may start now. It knows only tasks and their numbers: no SQL, no server.
//!
//! What starts neither needs nor excludes anything that is not done. Those that only wait for one another's locks on
//! tables they refer to may overlap while what is running cannot wait in a circle.

use std::collections::{BTreeSet, HashMap};

use cutover_analysis::effects::SmolStr;

/// Longest row of small migrations given to one session at once, where others could do some of them.
const LONGEST: usize = 16;
/// The same where nobody else could.
const LONGEST_CHAIN: usize = 64;

/// A migration, as far as the schedule is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Task {
    /// Tasks that must be done before it begins; all have smaller numbers.
    pub(super) before: BTreeSet<usize>,
    /// Relations it may wait for while another one that also refers to them holds them.
    pub(super) waits: Vec<SmolStr>,
    /// Nothing runs beside it. What comes before it is among `before`, and it among that of what follows.
    pub(super) alone: bool,
    /// It may be sent close behind another one.
    pub(super) small: bool,
    /// Processes the server may put to work on it.
    pub(super) weight: usize,
}

/// Tasks given to one session, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) tasks: Vec<usize>,
    weight: usize,
    alone: bool,
}

/// See the module.
pub(super) struct Schedule {
    tasks: Vec<Task>,
    /// Tasks that wait for each task.
    followers: Vec<Vec<usize>>,
    /// How many tasks each task still waits for.
    missing: Vec<usize>,
    /// Tasks that wait for nothing and have not begun.
    ready: BTreeSet<usize>,
    running: Vec<Batch>,
    /// The number of sessions, and of processes that may be at work.
    jobs: usize,
}

impl Schedule {
    pub(super) fn new(tasks: Vec<Task>, jobs: usize) -> Self {
        let mut followers = vec![Vec::new(); tasks.len()];
        for (number, task) in tasks.iter().enumerate() {
            for &before in &task.before {
                followers[before].push(number);
            }
        }
        let missing: Vec<usize> = tasks.iter().map(|task| task.before.len()).collect();
        let ready = (0..tasks.len()).filter(|number| missing[*number] == 0).collect();
        Self { tasks, followers, missing, ready, running: Vec::new(), jobs: jobs.max(1) }
    }

    /// What a session may begin now, with what is running; none where it has to wait, or all has begun.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.running.iter().any(|batch| batch.alone) {
            return None;
        }
        let first = self.first()?;
        let mut batch = Batch {
            tasks: vec![first],
            weight: self.tasks[first].weight.max(1),
            alone: self.tasks[first].alone,
        };
        self.ready.remove(&first);
        if self.tasks[first].small {
            self.extend(&mut batch);
        }
        self.running.push(batch.clone());
        Some(batch)
    }

    /// The tasks of the batch are done.
    pub(super) fn done(&mut self, batch: &Batch) {
        self.running.retain(|running| running.tasks != batch.tasks);
        for &task in &batch.tasks {
            for index in 0..self.followers[task].len() {
                let follower = self.followers[task][index];
                self.missing[follower] -= 1;
                if self.missing[follower] == 0 && !batch.tasks.contains(&follower) {
                    self.ready.insert(follower);
                }
            }
        }
    }

    /// The first task that may begin beside what is running.
    fn first(&self) -> Option<usize> {
        let busy: usize = self.running.iter().map(|batch| batch.weight).sum();
        for &number in &self.ready {
            let task = &self.tasks[number];
            if self.running.is_empty() {
                return Some(number);
            }
            // One that needs more processes than are free is not overtaken by lighter ones for ever.
            if task.alone || busy + task.weight.max(1) > self.jobs {
                return None;
            }
            if !self.waits_in_circle(&[number]) {
                return Some(number);
            }
        }
        None
    }

    /// Adds small tasks to a batch: a fair share of what is ready, and what only follows the batch in a chain.
    fn extend(&mut self, batch: &mut Batch) {
        let small = self.ready.iter().filter(|number| self.tasks[**number].small).count() + 1;
        let share = (small / self.jobs).clamp(1, LONGEST);
        let candidates: Vec<usize> = self.ready.iter().copied().collect();
        for number in candidates {
            if batch.tasks.len() >= share {
                break;
            }
            if !batch.alone && !self.tasks[number].alone && self.fits(batch, number) {
                self.ready.remove(&number);
                batch.tasks.push(number);
            }
        }
        while batch.tasks.len() < LONGEST_CHAIN {
            let Some(next) = self.only_follower(batch).filter(|next| self.fits(batch, *next)) else { break };
            batch.alone |= self.tasks[next].alone;
            batch.tasks.push(next);
        }
    }

    /// Whether the session of the batch may go on with this task, close behind the others.
    fn fits(&self, batch: &Batch, number: usize) -> bool {
        let task = &self.tasks[number];
        let all: Vec<usize> = batch.tasks.iter().copied().chain([number]).collect();
        let may_be_alone = batch.alone || self.running.is_empty();
        task.small
            && task.weight <= 1
            && (may_be_alone || !task.alone)
            && (batch.alone || !self.waits_in_circle(&all))
    }

    /// The task that could begin once the batch is done, where that is one alone: no other session could begin it sooner.
    fn only_follower(&self, batch: &Batch) -> Option<usize> {
        let follows = |number: &usize| {
            !batch.tasks.contains(number)
                && self.tasks[*number].before.iter().filter(|before| batch.tasks.contains(before)).count()
                    == self.missing[*number]
        };
        let mut freed: Vec<usize> =
            batch.tasks.iter().flat_map(|task| &self.followers[*task]).copied().filter(follows).collect();
        freed.sort_unstable();
        freed.dedup();
        match freed.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Whether what is running and these tasks, on one session, could wait for one another in a circle. Whoever waits,
    /// waits for a relation that another one holds: where sessions and the relations they share form no ring, nobody can
    /// wait for himself.
    fn waits_in_circle(&self, tasks: &[usize]) -> bool {
        let mut rings = Rings::default();
        let sessions = self.running.iter().map(|batch| batch.tasks.as_slice()).chain([tasks]);
        for (session, tasks) in sessions.enumerate() {
            let relations: BTreeSet<&SmolStr> =
                tasks.iter().flat_map(|task| &self.tasks[*task].waits).collect();
            for relation in relations {
                if rings.join(Node::Session(session), Node::Relation(relation)) {
                    return true;
                }
            }
        }
        false
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node<'a> {
    Session(usize),
    Relation(&'a SmolStr),
}

/// Sets of connected nodes.
#[derive(Default)]
struct Rings<'a> {
    parent: HashMap<Node<'a>, Node<'a>>,
}

impl<'a> Rings<'a> {
    fn root(&self, mut node: Node<'a>) -> Node<'a> {
        while let Some(parent) = self.parent.get(&node).filter(|parent| **parent != node) {
            node = *parent;
        }
        node
    }

    /// Connects two nodes; true where they were connected already, so that this closes a ring.
    fn join(&mut self, one: Node<'a>, other: Node<'a>) -> bool {
        let (one, other) = (self.root(one), self.root(other));
        self.parent.insert(one, other);
        one == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(before: &[usize]) -> Task {
        Task { before: before.iter().copied().collect(), weight: 1, ..Task::default() }
    }

    fn waiting(before: &[usize], waits: &[&str]) -> Task {
        Task { waits: waits.iter().copied().map(SmolStr::new).collect(), ..task(before) }
    }

    fn small(before: &[usize]) -> Task {
        Task { small: true, ..task(before) }
    }

    fn take(schedule: &mut Schedule) -> Vec<usize> {
        schedule.take().map_or_else(Vec::new, |batch| batch.tasks)
    }

    fn done(schedule: &mut Schedule, tasks: &[usize]) {
        let batch = schedule.running.iter().find(|batch| batch.tasks == tasks).unwrap().clone();
        schedule.done(&batch);
    }

    #[test]
    fn what_is_needed_comes_first_and_the_rest_runs_beside() {
        let mut schedule = Schedule::new(vec![task(&[]), task(&[0]), task(&[0]), task(&[1, 2])], 2);
        assert_eq!(take(&mut schedule), [0]);
        assert_eq!(take(&mut schedule), [0; 0]);
        done(&mut schedule, &[0]);
        assert_eq!((take(&mut schedule), take(&mut schedule)), (vec![1], vec![2]));
        done(&mut schedule, &[2]);
        assert_eq!(take(&mut schedule), [0; 0]);
        done(&mut schedule, &[1]);
        assert_eq!(take(&mut schedule), [3]);
    }

    #[test]
    fn two_may_wait_for_one_table_and_not_for_two() {
        let mut one = Schedule::new(vec![waiting(&[], &["users"]), waiting(&[], &["users"])], 2);
        assert_eq!((take(&mut one), take(&mut one)), (vec![0], vec![1]));
        let both = || waiting(&[], &["users", "shops"]);
        let mut two = Schedule::new(vec![both(), both(), task(&[])], 3);
        assert_eq!((take(&mut two), take(&mut two)), (vec![0], vec![2]), "the second is overtaken");
        done(&mut two, &[0]);
        assert_eq!(take(&mut two), [1]);
    }

    #[test]
    fn a_ring_of_three_is_not_closed() {
        let pairs = [["a", "b"], ["b", "c"], ["c", "a"]];
        let mut schedule = Schedule::new(pairs.iter().map(|pair| waiting(&[], pair)).collect(), 3);
        assert_eq!((take(&mut schedule), take(&mut schedule)), (vec![0], vec![1]));
        assert_eq!(take(&mut schedule), [0; 0]);
        done(&mut schedule, &[0]);
        assert_eq!(take(&mut schedule), [2]);
    }

    #[test]
    fn the_workers_of_the_server_count() {
        let heavy = || Task { weight: 3, ..task(&[]) };
        let mut schedule = Schedule::new(vec![heavy(), heavy(), task(&[])], 3);
        assert_eq!(take(&mut schedule), [0]);
        assert_eq!(take(&mut schedule), [0; 0], "lighter ones do not overtake it for ever");
        done(&mut schedule, &[0]);
        assert_eq!(take(&mut schedule), [1]);
        // Heavier than all there is: alone.
        let mut schedule = Schedule::new(vec![heavy(), heavy()], 2);
        assert_eq!(take(&mut schedule), [0]);
        assert_eq!(take(&mut schedule), [0; 0]);
    }

    #[test]
    fn small_ones_are_shared_out_and_chains_stay_together() {
        let mut wide = Schedule::new((0..8).map(|_| small(&[])).collect(), 2);
        assert_eq!((take(&mut wide), take(&mut wide)), (vec![0, 1, 2, 3], vec![4, 5]));
        let chain = (0..5).map(|n: usize| small(&n.checked_sub(1).into_iter().collect::<Vec<_>>())).collect();
        assert_eq!(take(&mut Schedule::new(chain, 2)), [0, 1, 2, 3, 4]);
        let fork = vec![small(&[]), small(&[0]), small(&[0]), small(&[1, 2])];
        assert_eq!(take(&mut Schedule::new(fork, 2)), [0], "what could run beside is not taken along");
    }

    #[test]
    fn what_runs_alone_stays_together_too() {
        let alone = |before: &[usize]| Task { alone: true, ..small(before) };
        let mut schedule =
            Schedule::new(vec![small(&[]), alone(&[0]), alone(&[1]), small(&[2]), small(&[2])], 2);
        assert_eq!(take(&mut schedule), [0, 1, 2], "what could run beside one another is not taken along");
        assert_eq!(take(&mut schedule), [0; 0]);
        done(&mut schedule, &[0, 1, 2]);
        assert_eq!((take(&mut schedule), take(&mut schedule)), (vec![3], vec![4]));
        // Not while another session is at work.
        let mut schedule = Schedule::new(vec![task(&[]), small(&[]), alone(&[1])], 2);
        assert_eq!((take(&mut schedule), take(&mut schedule)), (vec![0], vec![1]));
    }

    #[test]
    fn followers_taken_along_are_not_begun_twice() {
        let mut schedule = Schedule::new(vec![small(&[]), small(&[0]), task(&[1])], 2);
        assert_eq!(take(&mut schedule), [0, 1]);
        done(&mut schedule, &[0, 1]);
        assert_eq!(take(&mut schedule), [2]);
        done(&mut schedule, &[2]);
        assert!(schedule.take().is_none());
    }

    #[test]
    fn nothing_runs_beside_what_runs_alone() {
        let alone = Task { alone: true, ..task(&[0]) };
        let mut schedule = Schedule::new(vec![task(&[]), alone, task(&[1])], 4);
        assert_eq!(take(&mut schedule), [0]);
        done(&mut schedule, &[0]);
        assert_eq!(take(&mut schedule), [1]);
        assert_eq!(take(&mut schedule), [0; 0]);
        done(&mut schedule, &[1]);
        assert_eq!(take(&mut schedule), [2]);
    }
}
