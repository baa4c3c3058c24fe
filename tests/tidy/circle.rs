//! Circles of files: A uses B means that B never uses A, not by any detour either.
//!
//! Pure.

use crate::graph::Graph;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

/// A message for each knot of files that use each other: its shortest circle, what ties each file of that to the next, and who
/// else is caught in the knot.
pub(crate) fn circles(graph: &Graph) -> Vec<String> {
    let reach = graph.reach();
    let mut told = BTreeSet::new();
    let mut messages = Vec::new();
    for file in graph.arrows.keys() {
        if !reach[file.as_str()].contains(file.as_str()) || told.contains(file.as_str()) {
            continue;
        }
        let knot: BTreeSet<&str> =
            reach[file.as_str()].iter().copied().filter(|other| reach[other].contains(file.as_str())).collect();
        let shortest = knot.iter().map(|start| shortest_from(graph, start)).min_by_key(Vec::len).unwrap_or_default();
        messages.push(message(graph, &knot, &shortest));
        told.extend(knot);
    }
    messages
}

/// The shortest way from a file to itself, the file once.
fn shortest_from<'a>(graph: &'a Graph, start: &'a str) -> Vec<&'a str> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut pending = VecDeque::from([start]);
    while let Some(file) = pending.pop_front() {
        for next in graph.arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let mut way = vec![file];
                while let Some(before) = came_from.get(way[way.len() - 1]) {
                    way.push(before);
                }
                way.reverse();
                return way;
            }
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next, file);
                pending.push_back(next);
            }
        }
    }
    Vec::new()
}

fn message(graph: &Graph, knot: &BTreeSet<&str>, circle: &[&str]) -> String {
    let mut text = format!("a circle of {} files:", circle.len());
    for (index, file) in circle.iter().enumerate() {
        let next = circle[(index + 1) % circle.len()];
        let arrow = &graph.arrows[*file][next];
        let _ = write!(text, "\n  {file}:{} names {}, which {next} defines", arrow.line, arrow.named);
    }
    let others: Vec<&str> = knot.iter().copied().filter(|file| !circle.contains(file)).collect();
    if !others.is_empty() {
        let _ = write!(text, "\n  in the same knot: {}", others.join(", "));
    }
    text
}
