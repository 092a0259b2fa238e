//! What leaves a function: the errors that it raises, and those of whatever it calls, as far as nothing on the way catches them.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{Contract, Guards, ObjectRef, Passage, Raised, Unknown, contract};

use super::catalogue::{Called, Catalogue, Routine};
use crate::report::format::count;

/// A call, or a trigger that is fired.
struct Edge {
    to: usize,
    guards: Guards,
    /// Another function may be meant.
    perhaps: bool,
}

/// A routine as far as its text says.
#[derive(Default)]
pub(super) struct Body {
    pub(super) contract: Contract,
    edges: Vec<Edge>,
    /// What it calls; of several that may be meant, all.
    pub(super) calls: BTreeSet<usize>,
    /// Functions of triggers on what it writes.
    pub(super) fires: BTreeSet<usize>,
    pub(super) reads: BTreeSet<String>,
    pub(super) writes: BTreeSet<String>,
}

/// Something that may leave a routine: its place in the text of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leaving {
    /// An error, by its number.
    Error(usize, usize),
    /// Something that is not known, by its number.
    Unknown(usize, usize),
}

/// What a routine does by others: those that it calls, and those that its writing fires, however far away.
#[derive(Debug, Default)]
pub(super) struct Through {
    pub(super) calls: BTreeSet<usize>,
    pub(super) reads: BTreeSet<String>,
    pub(super) writes: BTreeSet<String>,
    pub(super) changes: BTreeSet<String>,
}

/// All routines that are of interest, with what leaves them.
pub(super) struct Bodies {
    all: BTreeMap<usize, Body>,
    /// By routine; with `true` where it may be caught.
    leaving: BTreeMap<usize, BTreeMap<Leaving, bool>>,
}

impl Bodies {
    /// Those of these routines, and of whatever they call.
    pub(super) fn of(catalogue: &Catalogue, routines: impl IntoIterator<Item = usize>) -> Self {
        let mut all = BTreeMap::new();
        let mut waiting: Vec<usize> = routines.into_iter().collect();
        while let Some(at) = waiting.pop() {
            let Some(routine) = catalogue.get(at).filter(|_| !all.contains_key(&at)) else { continue };
            let body = Body::of(catalogue, routine);
            waiting.extend(body.edges.iter().map(|edge| edge.to));
            all.insert(at, body);
        }
        let mut bodies = Self { all, leaving: BTreeMap::new() };
        bodies.follow();
        bodies
    }

    pub(super) fn get(&self, at: usize) -> Option<&Body> {
        self.all.get(&at)
    }

    /// What a routine does by others and not itself.
    pub(super) fn through(&self, at: usize) -> Through {
        let (mut through, mut seen) = (Through::default(), BTreeSet::new());
        let Some(own) = self.all.get(&at) else { return through };
        let mut waiting: Vec<usize> = own.edges.iter().map(|edge| edge.to).collect();
        while let Some(to) = waiting.pop() {
            let Some(body) = self.all.get(&to).filter(|_| to != at && seen.insert(to)) else { continue };
            through.calls.extend(&body.calls);
            through.reads.extend(body.reads.iter().cloned());
            through.writes.extend(body.writes.iter().cloned());
            through.changes.extend(body.changes());
            waiting.extend(body.edges.iter().map(|edge| edge.to));
        }
        through.calls.retain(|to| *to != at && !own.calls.contains(to));
        through.reads.retain(|name| !own.reads.contains(name));
        through.writes.retain(|name| !own.writes.contains(name));
        let changes = own.changes();
        through.changes.retain(|name| !changes.contains(name));
        through
    }

    /// What leaves a routine, with `true` where it may be caught.
    pub(super) fn leaving(&self, at: usize) -> impl Iterator<Item = (Leaving, bool)> {
        self.leaving.get(&at).into_iter().flatten().map(|(leaving, perhaps)| (*leaving, *perhaps))
    }

    /// An error, with the routine that raises it.
    pub(super) fn raised(&self, at: usize, number: usize) -> Option<&Raised> {
        self.all.get(&at)?.contract.raises.get(number)
    }

    /// Why something is not known of a routine.
    pub(super) fn unknown(&self, at: usize, number: usize) -> Option<&str> {
        Some(&self.all.get(&at)?.contract.unknown.get(number)?.why)
    }

    /// Until nothing more leaves anything: functions may call one another in circles.
    fn follow(&mut self) {
        for (at, body) in &self.all {
            let own = self.leaving.entry(*at).or_default();
            for (number, raised) in body.contract.raises.iter().enumerate() {
                add(own, Leaving::Error(*at, number), raised.guards.passage(raised.code.as_deref()), false);
            }
            for (number, unknown) in body.contract.unknown.iter().enumerate() {
                add(own, Leaving::Unknown(*at, number), unknown.guards.passage(None), false);
            }
        }
        let mut is_changed = true;
        while is_changed {
            is_changed = false;
            for (at, body) in &self.all {
                for edge in &body.edges {
                    let theirs: Vec<(Leaving, bool)> = self.leaving(edge.to).collect();
                    for (leaving, perhaps) in theirs {
                        let passage = edge.guards.passage(self.code(leaving));
                        let own = self.leaving.entry(*at).or_default();
                        is_changed |= add(own, leaving, passage, perhaps || edge.perhaps);
                    }
                }
            }
        }
    }

    fn code(&self, leaving: Leaving) -> Option<&str> {
        match leaving {
            Leaving::Error(at, number) => self.raised(at, number)?.code.as_deref(),
            Leaving::Unknown(..) => None,
        }
    }
}

/// Adds what passes; says whether more is known than before.
fn add(to: &mut BTreeMap<Leaving, bool>, leaving: Leaving, passage: Passage, perhaps: bool) -> bool {
    let perhaps = match passage {
        Passage::Caught => return false,
        Passage::Perhaps => true,
        Passage::Leaves => perhaps,
    };
    if let Some(known) = to.get_mut(&leaving) {
        let is_plain = *known && !perhaps;
        *known &= perhaps;
        return is_plain;
    }
    to.insert(leaving, perhaps);
    true
}

impl Body {
    fn of(catalogue: &Catalogue, routine: &Routine) -> Self {
        let mut body = Self::default();
        for oid in &routine.parts {
            // Functions of PostgreSQL's own are not among them.
            if let Some(to) = catalogue.by_oid(oid) {
                body.calls.insert(to);
                body.edges.push(Edge { to, guards: Guards::default(), perhaps: false });
            }
        }
        match &routine.definition {
            Some(definition) => body.contract = contract(definition),
            None if routine.is_member => {
                let why = format!("an extension made it, in {}: it is not looked into", routine.language);
                let unknown = Unknown { why, guards: Guards::default() };
                body.contract.unknown.push(unknown);
            }
            None => {}
        }
        body.find_called(catalogue, routine);
        body.find_touched(catalogue, routine);
        body
    }

    /// Objects that it makes, changes or drops.
    pub(super) fn changes(&self) -> BTreeSet<String> {
        self.contract.changes.iter().map(ToString::to_string).collect()
    }

    fn find_called(&mut self, catalogue: &Catalogue, routine: &Routine) {
        for call in self.contract.calls.clone() {
            let Some(name) = &call.routine else { continue };
            match catalogue.called(routine, name, call.arguments) {
                Called::These(these) => {
                    let perhaps = these.len() > 1;
                    self.calls.extend(&these);
                    let edge = |to| Edge { to, guards: call.guards.clone(), perhaps };
                    self.edges.extend(these.into_iter().map(edge));
                }
                Called::Own => {}
                Called::NotRead => {
                    let why = format!("it calls {}, which is cutover's own: it is not read", plain(name));
                    self.is_not_known(why, &call.guards);
                }
                Called::Nothing => {
                    let with = count(call.arguments, "argument", "arguments");
                    let why = format!("it calls {} with {with}, and there is no such function", plain(name));
                    self.is_not_known(why, &call.guards);
                }
            }
        }
    }

    fn is_not_known(&mut self, why: String, guards: &Guards) {
        let unknown = Unknown { why, guards: guards.clone() };
        if !self.contract.unknown.contains(&unknown) {
            self.contract.unknown.push(unknown);
        }
    }

    fn find_touched(&mut self, catalogue: &Catalogue, routine: &Routine) {
        let read = self.contract.reads.iter().filter_map(|name| catalogue.relation(routine, name));
        self.reads = read.map(|(schema, shown)| told(schema.as_ref(), shown)).collect();
        for write in &self.contract.writes {
            let Some((schema, shown)) = catalogue.relation(routine, &write.relation) else { continue };
            self.writes.insert(told(schema.as_ref(), shown));
            let Some(schema) = schema else { continue };
            for to in catalogue.fired(&schema, &write.relation.name, write.event) {
                self.fires.insert(to);
                // Whether it is fired depends on its condition and its columns.
                self.edges.push(Edge { to, guards: write.guards.clone(), perhaps: true });
            }
        }
    }
}

fn told(schema: Option<&String>, shown: String) -> String {
    if schema.is_some() { shown } else { format!("{shown} (not there)") }
}

/// A name as the text has it.
fn plain(name: &ObjectRef) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.to_string(),
    }
}
