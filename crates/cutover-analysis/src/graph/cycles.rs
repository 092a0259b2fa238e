//! Cycles, whole: strongly connected components, and a shortest way round each.

use std::collections::VecDeque;

use super::Edge;

/// One cycle for each set of migrations that need each other.
pub(super) fn find(vertices: usize, edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut out = vec![Vec::new(); vertices];
    for edge in edges {
        if let Some(targets) = out.get_mut(edge.from) {
            targets.push(edge.to);
        }
    }
    let mut found: Vec<Vec<usize>> = components(&out)
        .into_iter()
        .filter(|component| component.len() > 1)
        .filter_map(|component| shortest_cycle(&out, &component))
        .collect();
    found.sort_unstable();
    found
}

/// Tarjan's algorithm with a stack of its own: ten thousand migrations in a row must not exhaust the thread's.
fn components(out: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let mut number = vec![NEW; out.len()];
    let mut low = vec![0; out.len()];
    let mut on_stack = vec![false; out.len()];
    let (mut stack, mut components, mut next) = (Vec::new(), Vec::new(), 0);
    for root in 0..out.len() {
        if number[root] != NEW {
            continue;
        }
        let mut path: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((vertex, edge)) = path.pop() {
            if edge == 0 {
                (number[vertex], low[vertex]) = (next, next);
                next += 1;
                stack.push(vertex);
                on_stack[vertex] = true;
            }
            if let Some(&target) = out[vertex].get(edge) {
                path.push((vertex, edge + 1));
                if number[target] == NEW {
                    path.push((target, 0));
                } else if on_stack[target] {
                    low[vertex] = low[vertex].min(number[target]);
                }
                continue;
            }
            if low[vertex] == number[vertex] {
                let mut component = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member] = false;
                    component.push(member);
                    if member == vertex {
                        break;
                    }
                }
                component.sort_unstable();
                components.push(component);
            }
            if let Some((parent, _)) = path.last() {
                low[*parent] = low[*parent].min(low[vertex]);
            }
        }
    }
    components
}

/// A shortest cycle through the first member.
fn shortest_cycle(out: &[Vec<usize>], component: &[usize]) -> Option<Vec<usize>> {
    let start = *component.first()?;
    let mut from = vec![usize::MAX; out.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(vertex) = queue.pop_front() {
        for &target in out[vertex].iter().filter(|target| component.binary_search(target).is_ok()) {
            if target == start {
                let mut cycle = vec![vertex];
                while let Some(&last) = cycle.last().filter(|last| **last != start) {
                    cycle.push(from[last]);
                }
                cycle.reverse();
                return Some(cycle);
            }
            if from[target] == usize::MAX {
                from[target] = vertex;
                queue.push_back(target);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles(vertices: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
        let edges: Vec<Edge> = edges.iter().map(|&(from, to)| Edge { from, to, why: Vec::new() }).collect();
        find(vertices, &edges)
    }

    #[test]
    fn each_knot_gives_one_whole_cycle() {
        assert_eq!(cycles(3, &[(1, 0), (2, 1), (2, 0)]), Vec::<Vec<usize>>::new());
        assert_eq!(cycles(3, &[(0, 1), (1, 0), (2, 1)]), [[0, 1]]);
        assert_eq!(cycles(6, &[(0, 2), (2, 1), (1, 0), (3, 4), (4, 3), (5, 0)]), [vec![0, 2, 1], vec![3, 4]]);
        // A way round that has a shorter one inside.
        assert_eq!(cycles(4, &[(0, 1), (1, 2), (2, 3), (3, 0), (1, 0)]), [[0, 1]]);
    }

    #[test]
    fn a_long_row_needs_no_stack() {
        let edges: Vec<(usize, usize)> = (1..200_000).map(|n| (n, n - 1)).chain([(0, 199_999)]).collect();
        assert_eq!(cycles(200_000, &edges)[0].len(), 200_000);
    }
}
