//! The commands that README.md, the `justfile` and CI name.
//!
//! Pure.

use crate::tree::Tree;

/// The commands in README.md's shell blocks.
pub(crate) fn readme_commands(tree: &Tree) -> Vec<&str> {
    let blocks = tree.read_text("README.md").split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.flat_map(str::lines).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// A message for each command of README.md that neither CI nor a test runs.
pub(crate) fn commands_that_nobody_runs(tree: &Tree) -> Vec<String> {
    let ci = tree.read_text(".ci/run");
    let readme_test = tree.read_text("tools/mcplog/tests/readme.rs");
    let nobody = readme_commands(tree).into_iter().filter(|command| {
        // `mcplog` and `wal-inspect` commands are read out of README.md and run by tools/mcplog/tests/readme.rs.
        let tested = command.starts_with("mcplog ") || command.starts_with("wal-inspect ");
        !tested && !ci.contains(command) && !readme_test.contains(command)
    });
    nobody.map(|command| format!("nobody runs: {command}")).collect()
}

/// A message for each line of a recipe of the `justfile` that starts no program of the toolchain and no file of the tree, and
/// for each package, bench, test or manifest that it names and that is not there.
pub(crate) fn recipes_that_lead_nowhere(tree: &Tree) -> Vec<String> {
    let mut messages = Vec::new();
    for (_, command) in recipes(tree) {
        let words: Vec<&str> = without_variables(command).split_whitespace().collect();
        let Some(&program) = words.first() else { continue };
        if !matches!(program, "cargo" | "just") && tree.text(program).is_none() {
            messages.push(format!("the justfile starts {program}, which is not there: {command}"));
        }
        for pair in words.windows(2) {
            let found = match pair {
                ["-p" | "--package" | "--exclude", package] => names_package(tree, package),
                ["--bench", bench] => tree.text(&format!("benches/{bench}.rs")).is_some(),
                ["--test", test] => {
                    let files = [format!("tests/{test}.rs"), format!("tests/{test}/main.rs")];
                    files.iter().any(|file| tree.text(file).is_some())
                }
                ["--manifest-path", manifest] => tree.text(manifest).is_some(),
                _ => true,
            };
            if !found && !pair[1].contains("{{") {
                messages.push(format!("the justfile names {}, which is not there: {command}", pair[1]));
            }
        }
    }
    messages
}

/// A message for each command of the recipes `lint` and `docs` that CI does not run: who has run them is not surprised by it.
pub(crate) fn checks_that_ci_does_not_make(tree: &Tree) -> Vec<String> {
    let ci: Vec<&str> = tree.read_text(".ci/run").lines().collect();
    let checks = recipes(tree).into_iter().filter(|(recipe, _)| matches!(*recipe, "lint" | "docs"));
    let missing = checks.filter(|(_, command)| !ci.contains(command));
    missing.map(|(recipe, command)| format!("`just {recipe}` does what CI does not: {command}")).collect()
}

/// The commands of the `justfile`, each with the name of its recipe.
fn recipes(tree: &Tree) -> Vec<(&str, &str)> {
    let mut recipe = "";
    let mut commands = Vec::new();
    for line in tree.read_text("justfile").lines() {
        if let Some(command) = line.strip_prefix("    ") {
            commands.push((recipe, command));
        } else if !line.starts_with('#') {
            recipe = line.split([' ', ':']).next().unwrap_or_default();
        }
    }
    commands
}

/// A command without the variables that are set for it.
fn without_variables(command: &str) -> &str {
    let Some((name, value)) = command.split_once('=') else { return command };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        return command;
    }
    let end = value.strip_prefix('"').map_or_else(|| value.find(' '), |text| text.find('"').map(|end| end + 2));
    end.map_or("", |end| without_variables(value[end..].trim_start()))
}

fn names_package(tree: &Tree, name: &str) -> bool {
    let wanted = format!("name = \"{name}\"");
    let manifests = tree.paths().filter(|path| path.ends_with("Cargo.toml"));
    manifests.filter_map(|path| tree.text(path)).any(|manifest| manifest.lines().any(|line| line == wanted))
}
