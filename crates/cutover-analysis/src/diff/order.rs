//! Actions in an order in which each finds what it needs: a graph of groups, taken apart where they hold each other up.

use std::collections::{BTreeMap, BTreeSet};

/// Actions by number, those done in one statement put together, and which comes before which.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// The leader of each action's group; itself where it stands alone.
    leader: Vec<usize>,
    /// Whether it can be taken out of its group.
    separable: Vec<bool>,
    /// Smaller ones come first where nothing decides.
    rank: Vec<usize>,
    edges: BTreeSet<(usize, usize)>,
    /// As edges, and the first to be given up.
    wishes: BTreeSet<(usize, usize)>,
    /// As wishes, and the last.
    strong: BTreeSet<(usize, usize)>,
}

impl Graph {
    /// Another action; its number.
    pub(super) fn add(&mut self, rank: usize) -> usize {
        self.leader.push(self.leader.len());
        self.separable.push(false);
        self.rank.push(rank);
        self.leader.len() - 1
    }

    /// `first` must come before `second`.
    pub(super) fn before(&mut self, first: usize, second: usize) {
        if first != second {
            self.edges.insert((first, second));
        }
    }

    /// `first` had better come before `second`.
    pub(super) fn prefer(&mut self, first: usize, second: usize) {
        if first != second {
            self.wishes.insert((first, second));
        }
    }

    /// As [`Graph::prefer`], and groups are rather taken apart.
    pub(super) fn prefer_strongly(&mut self, first: usize, second: usize) {
        if first != second {
            self.strong.insert((first, second));
        }
    }

    /// Puts an action into the group of another one, from which it may be taken again if the group cannot be ordered.
    pub(super) fn join(&mut self, member: usize, leader: usize, separable: bool) {
        if let (Some(of), Some(can)) = (self.leader.get_mut(member), self.separable.get_mut(member)) {
            (*of, *can) = (leader, separable);
        }
    }

    /// Who leads the action's group, after [`Graph::order`].
    pub(super) fn leader(&self, action: usize) -> usize {
        let mut at = action;
        while let Some(&next) = self.leader.get(at)
            && next != at
        {
            at = next;
        }
        at
    }

    /// The leaders of the groups that must come before an action's, and of those that must come after it; not those that
    /// must only because of a third.
    pub(super) fn neighbours(&self, action: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let group = self.leader(action);
        let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
        for (first, second) in self.edges.iter().map(|(a, b)| (self.leader(*a), self.leader(*b))) {
            if first != second && first == group {
                after.insert(second);
            } else if first != second && second == group {
                before.insert(first);
            }
        }
        (before, after)
    }

    /// The leaders of the groups, in order. Groups that hold each other up lose their separable members; if that does not
    /// help, the smallest goes first, and the circle is given back too.
    pub(super) fn order(&mut self) -> (Vec<usize>, Vec<usize>) {
        loop {
            let (order, stuck) = self.attempt();
            if stuck.is_empty() {
                return (order, Vec::new());
            }
            let stuck: BTreeSet<usize> = stuck.into_iter().collect();
            let circles = self.circles(&stuck);
            if self.give_up(&circles, false) {
                continue;
            }
            let freed: Vec<usize> = (0..self.leader.len())
                .filter(|action| {
                    self.separable.get(*action) == Some(&true) && stuck.contains(&self.leader(*action))
                })
                .collect();
            if freed.is_empty() && self.give_up(&circles, true) {
                continue;
            }
            if freed.is_empty() {
                let circle = self.break_circle(&stuck);
                let (order, _) = self.attempt();
                return (order, circle);
            }
            for action in freed {
                self.join(action, action, false);
            }
        }
    }

    /// Takes groups whose predecessors are all taken, the smallest first. What is left over is in a circle or behind one.
    fn attempt(&self) -> (Vec<usize>, Vec<usize>) {
        let mut before: BTreeMap<usize, usize> = BTreeMap::new();
        let mut after: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let edges: BTreeSet<(usize, usize)> = self
            .edges
            .iter()
            .chain(&self.wishes)
            .chain(&self.strong)
            .map(|(first, second)| (self.leader(*first), self.leader(*second)))
            .collect();
        for (first, second) in edges.into_iter().filter(|(first, second)| first != second) {
            *before.entry(second).or_default() += 1;
            after.entry(first).or_default().push(second);
        }
        let leaders: BTreeSet<usize> = (0..self.leader.len()).map(|action| self.leader(action)).collect();
        let rank = |action: usize| self.rank.get(action).copied().unwrap_or_default();
        let mut ready: BTreeSet<(usize, usize)> = leaders
            .iter()
            .filter(|leader| !before.contains_key(leader))
            .map(|leader| (rank(*leader), *leader))
            .collect();
        let mut order = Vec::new();
        while let Some((_, next)) = ready.pop_first() {
            order.push(next);
            for follower in after.remove(&next).unwrap_or_default() {
                let count = before.entry(follower).or_default();
                *count -= 1;
                if *count == 0 {
                    before.remove(&follower);
                    ready.insert((rank(follower), follower));
                }
            }
        }
        let stuck = leaders.into_iter().filter(|leader| before.contains_key(leader)).collect();
        (order, stuck)
    }

    /// Gives up the wishes within circles; whether there was one.
    fn give_up(&mut self, circles: &BTreeMap<usize, usize>, strong: bool) -> bool {
        let circle = |action: usize| circles.get(&self.leader(action));
        let wishes = if strong { &self.strong } else { &self.wishes };
        let is_in_the_way = |(first, second): &&(usize, usize)| {
            self.leader(*first) != self.leader(*second)
                && circle(*first).is_some()
                && circle(*first) == circle(*second)
        };
        let given_up: Vec<(usize, usize)> = wishes.iter().filter(is_in_the_way).copied().collect();
        let wishes = if strong { &mut self.strong } else { &mut self.wishes };
        for wish in &given_up {
            wishes.remove(wish);
        }
        !given_up.is_empty()
    }

    /// Which of the stuck groups hold each other up: the same number for those of one circle.
    fn circles(&self, stuck: &BTreeSet<usize>) -> BTreeMap<usize, usize> {
        let (mut after, mut before): (BTreeMap<_, Vec<_>>, BTreeMap<_, Vec<_>>) = Default::default();
        for (first, second) in self.edges.iter().chain(&self.wishes).chain(&self.strong) {
            let (first, second) = (self.leader(*first), self.leader(*second));
            if first != second && stuck.contains(&first) && stuck.contains(&second) {
                after.entry(first).or_default().push(second);
                before.entry(second).or_default().push(first);
            }
        }
        // Each behind all that it leads to, and then, from the last on, what leads to it and has no circle yet (Kosaraju).
        let (mut seen, mut left) = (BTreeSet::new(), Vec::new());
        for root in stuck {
            let mut path = vec![(*root, false)];
            while let Some((at, is_done)) = path.pop() {
                if is_done {
                    left.push(at);
                } else if seen.insert(at) {
                    path.push((at, true));
                    path.extend(after.get(&at).into_iter().flatten().map(|next| (*next, false)));
                }
            }
        }
        let mut circles = BTreeMap::new();
        for root in left.into_iter().rev() {
            let mut path = vec![root];
            while let Some(at) = path.pop() {
                if let std::collections::btree_map::Entry::Vacant(free) = circles.entry(at) {
                    free.insert(root);
                    path.extend(before.get(&at).into_iter().flatten());
                }
            }
        }
        circles
    }

    /// Removes the edges into the smallest stuck group, one after the other until nothing is stuck.
    fn break_circle(&mut self, stuck: &BTreeSet<usize>) -> Vec<usize> {
        let mut broken = Vec::new();
        let mut left: Vec<usize> = stuck.iter().copied().collect();
        while let Some(next) = left.iter().copied().min_by_key(|action| self.rank.get(*action)) {
            broken.push(next);
            let edges = std::mem::take(&mut self.edges);
            self.edges = edges.into_iter().filter(|(_, second)| self.leader(*second) != next).collect();
            left = self.attempt().1;
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;

    #[test]
    fn what_is_needed_comes_first_and_ranks_decide_the_rest() {
        let mut graph = Graph::default();
        let [a, b, c] = [3, 1, 2].map(|rank| graph.add(rank));
        graph.before(a, b);
        assert_eq!(graph.order(), (vec![c, a, b], vec![]));
    }

    #[test]
    fn a_group_that_cannot_be_ordered_is_taken_apart() {
        let mut graph = Graph::default();
        let [one, two, key_of_one, key_of_two] = [1, 2, 3, 4].map(|rank| graph.add(rank));
        graph.join(key_of_one, one, true);
        graph.join(key_of_two, two, true);
        graph.before(two, key_of_one);
        graph.before(one, key_of_two);
        graph.before(one, key_of_one);
        graph.before(two, key_of_two);
        assert_eq!(graph.order(), (vec![one, two, key_of_one, key_of_two], vec![]));
    }

    #[test]
    fn a_wish_is_heard_where_nothing_is_in_its_way() {
        let mut graph = Graph::default();
        let [a, b, c] = [1, 2, 3].map(|rank| graph.add(rank));
        graph.prefer(c, a);
        assert_eq!(graph.order(), (vec![b, c, a], vec![]));
        graph.before(a, b);
        graph.before(b, c);
        assert_eq!(graph.order(), (vec![a, b, c], vec![]));
    }

    #[test]
    fn only_wishes_in_a_circle_are_given_up() {
        let mut graph = Graph::default();
        let [a, b, c, d] = [4, 3, 2, 1].map(|rank| graph.add(rank));
        graph.prefer(a, b);
        graph.prefer(b, a);
        graph.prefer(b, c);
        graph.prefer_strongly(c, d);
        assert_eq!(graph.order(), (vec![b, c, d, a], vec![]));
    }

    #[test]
    fn a_circle_that_cannot_be_taken_apart_is_named_and_ends() {
        let mut graph = Graph::default();
        let [a, b, c] = [1, 2, 3].map(|rank| graph.add(rank));
        graph.before(a, b);
        graph.before(b, a);
        graph.before(b, c);
        assert_eq!(graph.order(), (vec![a, b, c], vec![a]));
    }
}
