//! What is still known where it is not known whether statements have run.

use super::{CheckConstraint, Column, Context, Name, Relation};

impl Context {
    /// Keeps what is true both here and in `after`, which is the same with statements that may not have run. Of what only these have made
    /// nothing is known but where it may lead; `is_sure` says what was not there before, and so is either missing or as they made it.
    pub(crate) fn doubt(&mut self, after: Self, is_sure: impl Fn(&Name) -> bool) {
        self.links.temporary |= after.links.temporary;
        for (name, relation) in after.relations {
            match self.relations.get_mut(&name) {
                Some(known) if *known == relation => continue,
                Some(known) => known.doubt(&relation),
                None if is_sure(&name) => {
                    self.relations.insert(name.clone(), relation);
                }
                None => {
                    let mut perhaps = Relation::default();
                    perhaps.doubt(&relation);
                    self.relations.insert(name.clone(), perhaps);
                }
            }
            self.link(&name);
        }
        for (name, limits) in after.domains {
            let known = self.domains.entry(name).or_insert(limits);
            *known |= limits;
        }
        if self.utc != after.utc {
            self.utc = None;
        }
    }
}

impl Relation {
    /// Keeps what proves something in both, and what may lead to others in one of them.
    fn doubt(&mut self, other: &Self) {
        self.columns_known &= other.columns_known && self.columns.len() == other.columns.len();
        let before = self.columns.len();
        self.columns.retain_mut(|column| {
            let now = other.columns.iter().find(|now| now.name == column.name);
            let is_same = |now: &&Column| {
                now.data_type == column.data_type
                    && now.collation == column.collation
                    && now.generated == column.generated
            };
            let now = now.filter(is_same);
            column.not_null &= now.is_some_and(|now| now.not_null);
            now.is_some()
        });
        self.columns_known &= self.columns.len() == before;
        for check in &mut self.checks {
            check.valid &= other.checks.iter().any(|now| now == check);
        }
        // Whoever validates one of them knows that it is there.
        for check in &other.checks {
            if !self.checks.iter().any(|known| known.name == check.name) {
                self.checks.push(CheckConstraint { valid: false, ..check.clone() });
            }
        }
        self.indexes.retain(|index| other.indexes.contains(index));
        add(&mut self.foreign_keys, &other.foreign_keys);
        add(&mut self.parents, &other.parents);
        add(&mut self.reads, &other.reads);
        add(&mut self.reactions, &other.reactions);
    }
}

fn add<T: Clone + PartialEq>(known: &mut Vec<T>, others: &[T]) {
    for other in others {
        if !known.contains(other) {
            known.push(other.clone());
        }
    }
}
