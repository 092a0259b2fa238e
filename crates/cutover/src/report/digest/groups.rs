//! Answers in groups, as all forms of report show them: what one check found of many migrations or tables stands
//! together, what is a check by itself among the project's own.

use crate::run::CheckResult;

/// Answers that stand together.
pub(in crate::report) struct Group<'a> {
    /// What they have in common.
    pub(in crate::report) title: String,
    /// Each with its name within the group.
    pub(in crate::report) checks: Vec<(&'a str, &'a CheckResult)>,
}

/// A group with fewer answers is none.
const FEWEST: usize = 3;
/// What the tool measures of its own accord for stages, whose names have no common beginning.
const USES: &str = "uses";

/// Groups in the order of their first answers, then single checks, then what stages use. Within a group the order is
/// that of `checks`.
pub(in crate::report) fn grouped_checks<'a>(checks: &[&'a CheckResult]) -> Vec<Group<'a>> {
    let mut families: Vec<(&str, Group<'a>)> = Vec::new();
    for &check in checks {
        let (title, name) = match check.name.split_once(": ") {
            Some((title, name)) if check.kind != USES => (title, name.strip_suffix(".sql").unwrap_or(name)),
            _ => ("", check.name.as_str()),
        };
        let kind = if title.is_empty() && check.kind != USES { "" } else { check.kind.as_str() };
        match families.iter_mut().find(|(other, group)| *other == kind && group.title == title) {
            Some((_, group)) => group.checks.push((name, check)),
            None => families.push((kind, Group { title: title.to_owned(), checks: vec![(name, check)] })),
        }
    }
    let (mut groups, mut own, mut uses) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, group) in families {
        let all = group.checks.into_iter();
        if kind == USES {
            uses.extend(all);
        } else if group.title.is_empty() || all.len() < FEWEST {
            own.extend(all.map(|(_, check)| (check.name.as_str(), check)));
        } else {
            groups.push(Group { title: group.title, checks: all.collect() });
        }
    }
    let place = |check: &CheckResult| checks.iter().position(|other| std::ptr::eq(*other, check));
    own.sort_by_key(|(_, check)| place(check));
    let own_title = if groups.is_empty() { "checks" } else { "other checks" };
    for (title, checks) in [(own_title, own), ("what stages use", uses)] {
        if !checks.is_empty() {
            groups.push(Group { title: title.to_owned(), checks });
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::check;
    use crate::run::Verdict;

    #[test]
    fn answers_of_one_check_stand_together() {
        let named = |name: &str, kind: &str| check(name, kind, "", "", Verdict::Holds);
        let all = [
            named("no dangling jobs", "no_rows"),
            named("every claim: V1", "claims"),
            named("every claim: V2", "claims"),
            named("sprint 2 finds what it uses", "uses"),
            named("every claim: V3", "claims"),
            named("orders: none is lost", "scalar"),
        ];
        let all: Vec<&CheckResult> = all.iter().collect();
        let groups = grouped_checks(&all);
        let shown: Vec<(&str, Vec<&str>)> = groups
            .iter()
            .map(|group| (group.title.as_str(), group.checks.iter().map(|(name, _)| *name).collect()))
            .collect();
        assert_eq!(
            shown,
            [
                ("every claim", vec!["V1", "V2", "V3"]),
                ("other checks", vec!["no dangling jobs", "orders: none is lost"]),
                ("what stages use", vec!["sprint 2 finds what it uses"]),
            ]
        );
    }
}
