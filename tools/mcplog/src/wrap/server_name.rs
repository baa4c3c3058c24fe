//! What a server is called whose user gave it no name: the package or the program that a command starts.
//!
//! Pure. Launchers (npx, uvx, docker run, sh -c …) are looked through, each by the options of its own that take a value, so
//! that no such value is taken for what is started. An argument of the server is never a name: it may be a secret.

use super::launcher::{Starts, is_launcher, is_setting, read};
use super::package_name::{address_name, file_name, module_name, package_name, script_name};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How many launchers may stand before each other.
const DEPTH_MAX: usize = 8;
/// The longest name, in characters.
const CHARS_MAX: usize = 64;
/// What stands for a command of which nothing can be said.
const NAMELESS: &str = "server";
/// Servers that only lead to another one: its address says more.
const BRIDGES: [&str; 4] = ["mcp-remote", "mcp-remote-client", "mcp-proxy", "supergateway"];

/// The name of the server that a command starts in that directory.
pub(super) fn server_name(command: &[OsString], here: Option<&Path>) -> String {
    let command: Vec<String> = command.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let name = started(&command, here, DEPTH_MAX).or_else(|| command.first().map(|program| file_name(program)));
    let name = name.as_deref().map(bounded).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| NAMELESS.to_owned())
}

/// A name in characters that every terminal, shell and column takes.
fn bounded(name: &str) -> String {
    let is_kept = |character: char| character.is_alphanumeric() || "@/._-+".contains(character);
    let name: String = name.chars().map(|character| if is_kept(character) { character } else { '-' }).collect();
    name.trim_matches(['-', '/', '.']).chars().take(CHARS_MAX).collect()
}

fn started(command: &[String], here: Option<&Path>, depth: usize) -> Option<String> {
    let (path, arguments) = command.split_first()?;
    let depth = depth.checked_sub(1)?;
    let program = file_name(path);
    let go_on = |command: &[String]| started(command, here, depth);
    if BRIDGES.contains(&program.as_str()) {
        return Some(bridged(arguments, go_on).unwrap_or(program));
    }
    let Some((launcher, call)) = read(&program, arguments) else {
        let is_own = path.contains(['/', '\\']) && !is_launcher(&program);
        return if is_own { script_name(path, here) } else { Some(program) };
    };
    match launcher.starts {
        Starts::Command | Starts::BehindDashes => match (&call.named, call.rest) {
            (Some(line), _) => go_on(&last_command(line)),
            (None, [line]) if line.contains(' ') => go_on(&last_command(line)),
            (None, rest) => go_on(rest),
        },
        Starts::Shell => match call.named {
            Some(line) => go_on(&last_command(&line)),
            None => script_name(call.rest.first()?, here),
        },
        Starts::Package => {
            let name = package_name(call.named.as_ref().or(call.rest.first())?);
            let is_bridge = BRIDGES.contains(&name.as_str());
            let bridged = is_bridge.then(|| bridged(call.rest, go_on)).flatten();
            Some(bridged.unwrap_or(name)).filter(|name| !name.is_empty())
        }
        Starts::Script => match call.named {
            Some(module) => Some(module_name(&module)),
            None => script_name(call.rest.first()?, here),
        },
        Starts::Project => {
            let place = call.named.map(PathBuf::from);
            let place = here.map_or(place.clone(), |here| Some(here.join(place.unwrap_or_default())));
            match call.rest {
                [first, ..] if is_launcher(first) => started(call.rest, place.as_deref(), depth),
                [first, ..] => script_name(first, place.as_deref()),
                [] => script_name("", place.as_deref()),
            }
        }
        Starts::Image => {
            let (image, inside) = call.rest.split_first()?;
            let name = package_name(image);
            // An official one may hold no server, but what runs it.
            let is_runtime = !image.contains('/') && is_launcher(&name);
            let inside = if is_runtime { started(inside, None, depth) } else { None };
            inside.or(Some(name))
        }
    }
}

/// The server that a bridge leads to: by its host, and nothing else of its address; or the one that it starts.
fn bridged(arguments: &[String], go_on: impl Fn(&[String]) -> Option<String>) -> Option<String> {
    if let Some(at) = arguments.iter().position(|argument| argument == "--stdio") {
        return go_on(&last_command(arguments.get(at + 1)?));
    }
    arguments.iter().find_map(|argument| address_name(argument))
}

/// The last command of a line for a shell, without what it sets before it.
fn last_command(line: &str) -> Vec<String> {
    let spaced = line.replace("&&", " && ").replace(';', " ; ").replace('|', " | ");
    let words = shlex::split(&spaced).unwrap_or_else(|| spaced.split_whitespace().map(str::to_owned).collect());
    let is_between = |word: &String| matches!(word.as_str(), "&&" | ";" | "|");
    let mut commands = words.split(is_between);
    let last = commands.rfind(|command| !command.is_empty()).unwrap_or_default();
    last.iter().skip_while(|word| is_setting(word)).cloned().collect()
}

#[cfg(test)]
#[path = "server_name_tests.rs"]
mod tests;
