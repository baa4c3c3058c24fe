//! The name in a package's specification, a path, a module or an address.
//!
//! Pure. Versions, extras, folders that every project has, and everything of an address but its host are left out.

use std::path::{Component, Path};

/// What every project calls its entry or its folders, so that it says nothing.
const GENERIC: [&str; 26] = [
    "__main__",
    "app",
    "bin",
    "build",
    "cargo.toml",
    "cjs",
    "cli",
    "cmd",
    "current",
    "debug",
    "dist",
    "entry",
    "esm",
    "index",
    "lib",
    "main",
    "mcp",
    "node_modules",
    "out",
    "release",
    "run",
    "scripts",
    "server",
    "src",
    "start",
    "stdio",
];
/// What a program's file ends in, and a script's.
const ENDINGS: [&str; 18] = [
    "bat", "cjs", "cmd", "csproj", "cts", "dll", "exe", "fsproj", "jar", "js", "mjs", "mts", "ps1", "py", "pyz", "rb",
    "sh", "ts",
];

/// The name of a package: without its version, its extras, and where it comes from.
pub(super) fn package_name(text: &str) -> String {
    let text = ["npm:", "jsr:", "docker.io/"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    if let Some(scoped) = text.strip_prefix('@') {
        let (scope, name) = scoped.split_once('/').unwrap_or((scoped, ""));
        let name = name.split(['@', '/']).next().unwrap_or_default();
        return format!("@{scope}/{name}");
    }
    // A flake's package.
    if let Some((flake, name)) = text.split_once('#')
        && !flake.contains(['/', ':'])
    {
        return bare(name);
    }
    // From elsewhere than a registry: the last part of the way there. What stands before an @ there may be a credential.
    let is_address =
        text.contains("://") || text.contains(':') && text.contains('/') || text.starts_with(['.', '/', '~']);
    if is_address || text.contains('/') {
        let path = text.split(['#', '?']).next().unwrap_or_default().trim_end_matches('/');
        let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = bare(last);
        return name.strip_suffix(".git").map_or(name.clone(), str::to_owned);
    }
    bare(text)
}

/// The name in the address of a server: its host.
pub(super) fn address_name(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let is_known = ["http", "https", "ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str());
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    // The colons of an IPv6 address stand in brackets.
    let host = host.strip_prefix('[').map_or_else(|| host.split(':').next(), |host| host.split(']').next())?;
    (is_known && !host.is_empty()).then(|| host.to_owned())
}

/// The name of a module: the first of its parts from the right that says something.
pub(super) fn module_name(text: &str) -> String {
    let parts: Vec<&str> = text.split('.').filter(|part| !part.is_empty()).collect();
    let named = parts.iter().rev().find(|part| !is_generic(part)).or(parts.last());
    named.map_or_else(String::new, |part| (*part).to_owned())
}

/// The name of a file, without what its kind of file ends in.
pub(super) fn file_name(path: &str) -> String {
    let last = path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
    match last.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ENDINGS.contains(&ending.to_ascii_lowercase().as_str()) => {
            stem.to_owned()
        }
        _ => last.to_owned(),
    }
}

/// The name of a script, or the first folder around it that says something: of a package, with its scope.
pub(super) fn script_name(path: &str, here: Option<&Path>) -> Option<String> {
    if path.starts_with("npm:") || path.starts_with("jsr:") {
        return Some(package_name(path));
    }
    if path.contains("://") {
        return Some(package_name(path)).filter(|name| !is_generic(name)).or_else(|| address_name(path));
    }
    // What Windows writes, and an object in a script.
    let path = path.replace('\\', "/");
    let path = path.rsplit_once(".py:").map_or(path.clone(), |(script, _)| format!("{script}.py"));
    let whole = here.map_or_else(|| path.clone().into(), |here| here.join(&path));
    let mut parts: Vec<String> = Vec::new();
    for component in whole.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    if let Some(last) = parts.last_mut() {
        *last = without_version(&file_name(last)).to_owned();
    }
    let at = parts.iter().rposition(|part| !is_generic(part))?;
    let scope = at.checked_sub(1).map(|before| &parts[before]).filter(|part| part.starts_with('@'));
    Some(scope.map_or_else(|| parts[at].clone(), |scope| format!("{scope}/{}", parts[at])))
}

fn is_generic(part: &str) -> bool {
    GENERIC.contains(&part.to_ascii_lowercase().as_str())
}

/// Without a version behind it, as Java's archives have one: `server-1.2.3`.
fn without_version(stem: &str) -> &str {
    match stem.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|first: char| first.is_ascii_digit()) && version.contains('.') => {
            name
        }
        _ => stem,
    }
}

/// Without version, extras and conditions.
fn bare(text: &str) -> String {
    let end = text.find(['@', '=', '<', '>', '~', '!', '[', ';', ':', ' ', ',']).unwrap_or(text.len());
    file_name(&text[..end])
}
