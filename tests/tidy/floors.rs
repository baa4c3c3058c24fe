//! Who may import whom.
//!
//! Pure. The rules are in `rules`.

use crate::graph::Graph;
use crate::rules::{FLOORS, NEVER, ONLY};

/// A message for each arrow between rooms of `src/` that does not go down.
pub(crate) fn upward_imports(graph: &Graph) -> Vec<String> {
    let mut messages = Vec::new();
    for (from, arrows) in &graph.arrows {
        for (to, arrow) in arrows {
            let (Some(from_room), Some(to_room)) = (room(from), room(to)) else { continue };
            let (Some(from_floor), Some(to_floor)) = (floor(from_room), floor(to_room)) else { continue };
            if from_room != to_room && from_floor >= to_floor {
                messages.push(format!(
                    "{from}:{} names {}, which {to} defines: {from_room} does not stand above {to_room}",
                    arrow.line, arrow.named
                ));
            }
        }
    }
    messages
}

/// A message for each arrow that leads to what its file must not know.
pub(crate) fn forbidden_imports(graph: &Graph) -> Vec<String> {
    let mut messages = Vec::new();
    for (file, line, named, target) in all_uses(graph) {
        for rule in NEVER.iter().filter(|rule| is_within(file, rule.who)) {
            let is_any_of = |list: &[&str]| list.iter().any(|what| is_within(&target, what));
            if is_any_of(rule.what) && !is_any_of(rule.but) {
                messages.push(format!("{file}:{line} names {named}: {}", rule.reason));
            }
        }
        for rule in ONLY.iter().filter(|rule| file.starts_with("src/") && is_within(&target, rule.what)) {
            if !rule.who.iter().any(|who| is_within(file, who)) {
                messages.push(format!("{file}:{line} names {named}: {}", rule.reason));
            }
        }
    }
    messages
}

/// Each use with its file, its line, what it names, and where that leads: to a file, or to a path of another crate.
fn all_uses(graph: &Graph) -> impl Iterator<Item = (&str, usize, String, String)> {
    let inside = graph.arrows.iter().flat_map(|(file, arrows)| {
        arrows.iter().map(|(to, arrow)| (file.as_str(), arrow.line, arrow.named.clone(), to.clone()))
    });
    let outside = graph.outside.iter().flat_map(|(file, paths)| {
        paths.iter().map(|path| (file.as_str(), path.line, path.route.join("::"), path.route.join("::")))
    });
    inside.chain(outside)
}

/// Whether a file or path is that one, or lies in it.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.', ':']))
}

/// The room of a file of `src/`.
pub(crate) fn room(file: &str) -> Option<&str> {
    file.strip_prefix("src/")?.split(['/', '.']).next()
}

/// The number of a room's floor, counted from the top.
pub(crate) fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}
