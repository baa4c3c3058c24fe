//! Which of a client's files are there.
//!
//! Runs on the main thread; it looks at directories, and reads no file.

use super::client::Client;
use super::facts::{FileFormat, Layout};
use super::places::{Place, Scope, Surroundings, places, rule_of};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) scope: Scope,
    pub(super) path: PathBuf,
    pub(super) format: FileFormat,
    pub(super) layout: Layout,
}

/// A client's files, the project's first; and of `also` those that are not among them: files that were once found from
/// elsewhere.
pub(super) fn found<'a>(
    client: Client,
    surroundings: &Surroundings<'_>,
    also: impl Iterator<Item = (&'a Path, Scope)>,
) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let all = places(client, surroundings);
    // The user's first: what lies above a project may be the user's own file.
    for scope in [Scope::User, Scope::Project] {
        for place in all.iter().filter(|place| place.scope == scope) {
            for path in existing(place) {
                add(&mut found, Found { scope, path, format: place.format, layout: place.layout });
            }
        }
    }
    for (path, scope) in also.filter(|(path, _)| is_there(path, Scope::Project)) {
        if let Some(rule) = rule_of(client, path) {
            add(&mut found, Found { scope, path: path.to_owned(), format: rule.format, layout: rule.layout });
        }
    }
    found.sort_by_key(|one| one.scope);
    found
}

/// Where a client's files were looked for, for whoever has none.
pub(super) fn looked_for(client: Client, surroundings: &Surroundings<'_>) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        places(client, surroundings).into_iter().filter_map(|place| place.paths.into_iter().next()).collect();
    paths.dedup();
    paths
}

/// Keeps one of several names of a file.
fn add(found: &mut Vec<Found>, one: Found) {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if !found.iter().any(|other| real(&other.path) == real(&one.path)) {
        found.push(one);
    }
}

fn existing(place: &Place) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in &place.paths {
        let matching = matching(path).into_iter().filter(|path| is_there(path, place.scope));
        all.extend(matching);
        if place.is_nearest && !all.is_empty() {
            break;
        }
    }
    all
}

/// Whether a file is there. What can't be looked at may be one of the user's: reading it says why not. Of directories above
/// a project, nobody expects that.
fn is_there(path: &Path, scope: Scope) -> bool {
    match fs::metadata(path) {
        Ok(_) => true,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => false,
        Err(_) => scope == Scope::User,
    }
}

/// The paths that a path with a `*` stands for, in their order.
fn matching(path: &Path) -> Vec<PathBuf> {
    let components: Vec<_> = path.components().collect();
    let has_star = |component: &Component<'_>| component.as_os_str().to_str().is_some_and(|name| name.contains('*'));
    // Not the directories above, which may have one in their names.
    let Some(at) = components.iter().rposition(has_star).filter(|at| at + 2 >= components.len()) else {
        return vec![path.to_owned()];
    };
    let directory: PathBuf = components[..at].iter().collect();
    let rest: PathBuf = components[at + 1..].iter().collect();
    let pattern = components[at].as_os_str().to_string_lossy();
    let (before, after) = pattern.split_once('*').unwrap_or((&pattern, ""));
    let mut names: Vec<_> = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.len() > before.len() + after.len() || pattern == "*")
        .filter(|name| name.starts_with(before) && name.ends_with(after) && !name.starts_with('.'))
        .collect();
    names.sort();
    names.into_iter().map(|name| directory.join(name).join(&rest)).map(without_empty_end).collect()
}

/// Joining nothing leaves a separator at the end.
fn without_empty_end(path: PathBuf) -> PathBuf {
    path.components().collect()
}
