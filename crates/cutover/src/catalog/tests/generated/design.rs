//! Databases as sets of parts that are there or not, each in one of several variants: so that one can be built in many orders,
//! changed by steps, and made smaller while it still shows a mistake.

/// Numbers that look random and are the same for a seed on every machine (`SplitMix64`).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap().max(1);
        usize::try_from(self.next() % end).unwrap()
    }

    pub(super) fn in_hundred(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// One of the forms a part can have.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) sql: String,
    /// Parts that must be there before it, by number; all of them smaller than its own.
    pub(super) needs: Vec<usize>,
}

/// Something a database may have.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) variants: Vec<Variant>,
    /// The table in whose parentheses it stands, for columns.
    pub(super) within: Option<usize>,
    /// Only a superuser can make it.
    pub(super) superuser: bool,
    /// It comes before all others, because it changes what they become.
    pub(super) first: bool,
}

/// All that databases of one kind may have.
#[derive(Debug, Clone, Default)]
pub(super) struct Universe {
    pub(super) parts: Vec<Part>,
}

/// Where the columns of a table go in its statement.
pub(super) const COLUMNS: &str = "@columns@";

/// Where they go behind one that is always there.
pub(super) const MORE_COLUMNS: &str = "@more columns@";

/// One database: which parts are there, in which variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Design {
    chosen: Vec<Option<usize>>,
    /// Columns stand in the order of these.
    ranks: Vec<usize>,
}

impl Design {
    pub(super) fn random(universe: &Universe, dice: &mut Dice, superuser: bool) -> Self {
        let chosen = universe.parts.iter().map(|part| {
            (dice.in_hundred(80) && (superuser || !part.superuser)).then(|| dice.below(part.variants.len()))
        });
        let chosen = chosen.collect();
        let mut design = Self { chosen, ranks: (0..universe.parts.len()).collect() };
        design.settle(universe);
        design
    }

    /// How many parts there are.
    pub(super) fn len(&self) -> usize {
        self.chosen.iter().flatten().count()
    }

    /// Takes away what cannot be there, or gives it a variant that can.
    fn settle(&mut self, universe: &Universe) {
        for (at, part) in universe.parts.iter().enumerate() {
            let Some(chosen) = self.chosen[at] else { continue };
            let can = |variant: &usize| {
                part.variants[*variant].needs.iter().all(|needed| self.chosen[*needed].is_some())
            };
            let whole = part.within.is_none_or(|of| self.chosen[of].is_some());
            let mut variants = std::iter::once(chosen).chain(0..part.variants.len());
            self.chosen[at] = if whole { variants.find(can) } else { None };
        }
    }

    /// Changes one part: another variant, gone, or there with all it needs.
    pub(super) fn mutate(&mut self, universe: &Universe, dice: &mut Dice, superuser: bool) {
        let at = dice.below(universe.parts.len());
        let part = &universe.parts[at];
        match self.chosen[at] {
            Some(_) if part.variants.len() > 1 && dice.in_hundred(70) => {
                self.chosen[at] = Some(dice.below(part.variants.len()));
            }
            Some(_) => self.chosen[at] = None,
            None if superuser || !part.superuser => self.add(universe, at, dice),
            None => {}
        }
        self.settle(universe);
    }

    fn add(&mut self, universe: &Universe, at: usize, dice: &mut Dice) {
        if self.chosen[at].is_some() {
            return;
        }
        let part = &universe.parts[at];
        let variant = dice.below(part.variants.len());
        for needed in part.variants[variant].needs.iter().chain(&part.within) {
            self.add(universe, *needed, dice);
        }
        self.chosen[at] = Some(variant);
        // A new column stands behind the others.
        self.ranks[at] = self.ranks.iter().max().unwrap() + 1;
    }

    /// The statements that make it; the order is the parts' own, or another one that `dice` chooses.
    pub(super) fn sql(&self, universe: &Universe, dice: Option<&mut Dice>) -> Vec<String> {
        let order = match dice {
            Some(dice) => self.shuffled(universe, dice),
            None => (0..self.chosen.len()).collect(),
        };
        order.into_iter().filter_map(|at| self.statement(universe, at)).collect()
    }

    fn statement(&self, universe: &Universe, at: usize) -> Option<String> {
        let part = &universe.parts[at];
        let sql = &part.variants[self.chosen[at]?].sql;
        if part.within.is_some() {
            return None;
        }
        let mut columns = self.columns(universe, at);
        columns.sort_by_key(|column| self.ranks[*column]);
        let columns = columns.iter().map(|column| {
            let variant = self.chosen[*column].unwrap();
            universe.parts[*column].variants[variant].sql.as_str()
        });
        let columns = columns.collect::<Vec<_>>();
        let more: String = columns.iter().flat_map(|column| [", ", column]).collect();
        Some(sql.replace(COLUMNS, &columns.join(", ")).replace(MORE_COLUMNS, &more))
    }

    fn columns(&self, universe: &Universe, table: usize) -> Vec<usize> {
        let is_column = |at: &usize| universe.parts[*at].within == Some(table) && self.chosen[*at].is_some();
        (0..self.chosen.len()).filter(is_column).collect()
    }

    /// Any order in which each part comes behind what it needs.
    fn shuffled(&self, universe: &Universe, dice: &mut Dice) -> Vec<usize> {
        let needs = |at: usize| -> Vec<usize> {
            let columns = self.columns(universe, at);
            let all = std::iter::once(at).chain(columns).filter_map(|one| Some((one, self.chosen[one]?)));
            let needed = all.flat_map(|(one, variant)| universe.parts[one].variants[variant].needs.clone());
            // A column's place is that of its table.
            needed
                .map(|needed| universe.parts[needed].within.unwrap_or(needed))
                .filter(|needed| *needed != at)
                .collect()
        };
        let mut waiting: Vec<(usize, Vec<usize>)> = (0..self.chosen.len())
            .filter(|at| self.chosen[*at].is_some() && universe.parts[*at].within.is_none())
            .map(|at| (at, needs(at)))
            .collect();
        let mut order: Vec<usize> = Vec::new();
        while !waiting.is_empty() {
            let first = waiting.iter().any(|(at, _)| universe.parts[*at].first);
            let ready: Vec<usize> = (0..waiting.len())
                .filter(|place| waiting[*place].1.iter().all(|needed| order.contains(needed)))
                .filter(|place| !first || universe.parts[waiting[*place].0].first)
                .collect();
            let next = waiting.remove(*dice.pick(&ready)).0;
            order.push(next);
        }
        order
    }
}

/// Makes both smaller as long as `fails` says that they still show it.
pub(super) fn shrink(
    universe: &Universe,
    (mut first, mut second): (Design, Design),
    mut fails: impl FnMut(&Design, &Design) -> bool,
) -> (Design, Design) {
    let all = universe.parts.len();
    let mut size = all / 2;
    while size > 0 {
        let mut at = all;
        while at > 0 {
            let from = at.saturating_sub(size);
            for both in [true, false] {
                let (mut smaller, mut other) = (first.clone(), second.clone());
                for part in from..at {
                    if both {
                        (smaller.chosen[part], other.chosen[part]) = (None, None);
                    } else {
                        (other.chosen[part], other.ranks[part]) = (smaller.chosen[part], smaller.ranks[part]);
                    }
                }
                smaller.settle(universe);
                other.settle(universe);
                let differs = smaller != first || other != second;
                if differs && fails(&smaller, &other) {
                    (first, second) = (smaller, other);
                }
            }
            at = from;
        }
        size /= 2;
    }
    (first, second)
}
