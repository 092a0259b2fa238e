//! Statements of a block that may not run, or not have run: what they do is known to those behind them in their branch alone.

use std::mem;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Known;
use crate::effects::{Context, Name, ObjectKind, ObjectRef, TEMPORARY_SCHEMA};

/// In branches nested deeper than this, nothing is learnt: what was known before each of them is kept.
const DEEPEST: usize = 32;

/// What was known before a branch.
#[derive(Debug, Clone)]
struct Before {
    context: Context,
    made: FxHashSet<Name>,
    made_others: FxHashSet<ObjectRef>,
    said: Context,
    unfilled: FxHashSet<Name>,
    is_doubtful: bool,
}

/// The branches that a statement of a block stands in.
#[derive(Debug, Default)]
pub(crate) struct Branches(Vec<Branch>);

#[derive(Debug)]
struct Branch {
    /// Nothing while the branch has changed nothing.
    before: Option<Arc<Before>>,
    repeats: bool,
}

impl Branches {
    /// A branch begins.
    pub(crate) fn begin(&mut self, repeats: bool) {
        self.0.push(Branch { before: None, repeats });
    }

    /// Whether what stands here may run many times.
    pub(crate) fn repeat(&self) -> bool {
        self.0.iter().any(|branch| branch.repeats)
    }

    /// Something is learnt now. Says whether it may be.
    pub(crate) fn learn(&mut self, known: &Known) -> bool {
        if self.0.iter().any(|branch| branch.before.is_none()) {
            if self.0.len() > DEEPEST {
                return false;
            }
            let before = Arc::new(known.before_branch());
            for branch in &mut self.0 {
                branch.before.get_or_insert_with(|| Arc::clone(&before));
            }
        }
        true
    }

    /// The innermost branch ends.
    pub(crate) fn end(&mut self, known: &mut Known) {
        if let Some(before) = self.0.pop().and_then(|branch| branch.before) {
            known.end_branch(Arc::unwrap_or_clone(before));
        }
    }
}

impl Known {
    fn before_branch(&self) -> Before {
        Before {
            context: self.context.clone(),
            made: self.made.clone(),
            made_others: self.made_others.clone(),
            said: self.said.clone(),
            unfilled: self.unfilled.clone(),
            is_doubtful: self.is_doubtful,
        }
    }

    /// Back to what was known before, without what is not true any more if the branch has run.
    fn end_branch(&mut self, before: Before) {
        let Before { context, mut made, mut made_others, said, mut unfilled, is_doubtful } = before;
        let after = mem::replace(&mut self.context, context);
        self.is_doubtful |= is_doubtful || self.context.search_path != after.search_path;
        self.security.pinned &= !self.is_doubtful;
        self.perhaps.extend(
            after
                .relations
                .keys()
                .filter(|name| !self.context.relations.contains_key(*name))
                .map(|name| name.name.clone()),
        );
        // What is known to have been there nowhere is there by this branch, if at all.
        let is_complete = self.context.complete && !self.anything;
        let was_nowhere = |known: &Context, name: &Name| is_complete && !known.is_called(&name.name);
        let columns = self.made_others.iter().filter(|object| {
            let table = object.table.clone().unwrap_or_default();
            let table = ObjectRef::new(ObjectKind::Relation, object.schema.clone(), table);
            let known = self.context.relation(&table);
            object.kind == ObjectKind::Column
                && known.is_some_and(|known| {
                    known.columns_known && known.columns.iter().all(|column| column.name != object.name)
                })
        });
        let columns: Vec<ObjectRef> = columns.cloned().collect();
        made_others.retain(|object| self.made_others.contains(object));
        made_others.extend(columns);
        self.made_others = made_others;
        let new = self.made.iter().filter(|name| was_nowhere(&self.context, name));
        let new: Vec<Name> = new.cloned().collect();
        made.retain(|name| self.made.contains(name));
        made.extend(new.iter().cloned());
        self.made = made;
        self.context.doubt(after, |name| new.contains(name) && name.schema != TEMPORARY_SCHEMA);
        let said_after = mem::replace(&mut self.said, said);
        self.said.doubt(said_after, |_| false);
        unfilled.retain(|name| self.unfilled.contains(name));
        self.unfilled = unfilled;
    }
}
