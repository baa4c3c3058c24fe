//! The pages, checked: every file that they name is there, every invariant says what tests it, and what is said to be absent
//! from the library is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The endings of files that pages name without their folder.
const SOURCE_ENDINGS: [&str; 4] = [".rs", ".sql", ".py", ".md"];
/// What would bring a runtime or HTTP with it.
const RUNTIMES: [&str; 9] =
    ["tokio", "async-std", "async-executor", "smol", "futures-executor", "mio", "hyper", "reqwest", "axum"];

/// Methods of MCP that look like paths.
const METHODS: [&str; 2] = ["tools/list", "tools/call"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("readable").path()).collect()
}

/// The pages that are about the code as it is now. The changelog is about what was.
fn pages() -> Vec<PathBuf> {
    let pages = entries(root()).into_iter().chain(entries(&root().join("docs")));
    let pages: Vec<_> = pages
        .filter(|path| path.extension().is_some_and(|extension| extension == "md") && !path.ends_with("CHANGELOG.md"))
        .collect();
    assert!(pages.len() > 3, "{pages:?}");
    pages
}

/// What lies in the repository, relative to its root: files and folders, but for what builds and installations leave.
fn repository() -> BTreeSet<String> {
    let (mut found, mut pending) = (BTreeSet::new(), vec![root().to_owned()]);
    while let Some(folder) = pending.pop() {
        for path in entries(&folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if ["target", ".git", "node_modules", ".venv"].contains(&&*name) {
                continue;
            }
            let relative = path.strip_prefix(root()).expect("below the root");
            found.insert(relative.to_str().expect("names in ASCII").to_owned());
            if path.is_dir() && !path.is_symlink() {
                pending.push(path);
            }
        }
    }
    found
}

/// The words in backticks, and where links lead, outside of blocks of code.
fn named(page: &str) -> Vec<String> {
    let prose = page.split("```").step_by(2);
    prose
        .flat_map(|prose| {
            let words = prose.split('`').skip(1).step_by(2);
            let links = prose.split("](").skip(1).filter_map(|link| link.split([')', '#']).next());
            words.chain(links.filter(|link| !link.is_empty() && !link.contains(':'))).map(str::to_owned)
        })
        .filter(|word| !word.contains(char::is_whitespace))
        .collect()
}

/// The names of files that a page has wrong. A path from the root is one if it begins with what lies there; `src/event` may be
/// a folder or `src/event.rs`. A link leads from the page's own folder. A name alone is that of some file.
fn missing(page: &str, folder: &str, repository: &BTreeSet<String>) -> Vec<String> {
    let is_there = |path: &str| repository.contains(path) || repository.contains(&format!("{path}.rs"));
    let is_entry = |first: &str| repository.contains(first) && !first.is_empty();
    let has_name = |name: &str| repository.iter().any(|path| path.rsplit('/').next() == Some(name));
    let is_wrong = |word: &String| {
        let path = word.trim_end_matches('/');
        match path.split_once('/') {
            Some((first, _)) if is_entry(first) => !is_there(path),
            Some(_) => false,
            None => {
                let is_file = SOURCE_ENDINGS.iter().any(|ending| path.ends_with(ending) && path != *ending);
                is_file && !has_name(path) && !is_there(&format!("{folder}{path}"))
            }
        }
    };
    named(page).into_iter().filter(|word| !METHODS.contains(&word.as_str()) && is_wrong(word)).collect()
}

#[test]
fn every_file_that_the_pages_name_is_there() {
    let repository = repository();
    for path in pages() {
        let folder = if path.parent() == Some(root()) { "" } else { "docs/" };
        let page = read(&path);
        let missing = missing(&page, folder, &repository);
        assert!(missing.is_empty(), "{} names what is not there: {missing:?}", path.display());
    }
}

#[test]
fn a_file_that_is_not_there_is_found_however_it_is_named() {
    let repository = ["src", "src/query", "src/query/walk.rs", "src/event.rs", "README.md"].map(str::to_owned).into();
    let wrong =
        "`src/query/run.rs`, `src/queries/` and [a link](docs.md), `run.rs`; ```sh\n`src/in/code`\n``` `src/events`";
    assert_eq!(
        missing(wrong, "", &repository),
        ["src/query/run.rs", "src/queries/", "run.rs", "docs.md", "src/events"].map(str::to_owned)
    );
    let right = "`src/query/walk.rs`, `src/query/`, `walk.rs`, `src/event`, [this](README.md), [that](https://x.y/z.md), \
                 `wal/*.seg`, `application/json`, `tools/call`, `.rs`";
    assert_eq!(missing(right, "", &repository), Vec::<String>::new());
}

#[test]
fn every_invariant_says_what_tests_it() {
    let page = read(&root().join("docs/architecture.md"));
    let invariants: Vec<_> = page.split("\n- Invariant: ").skip(1).collect();
    assert!(invariants.len() > 15, "{} invariants", invariants.len());
    for invariant in invariants {
        let invariant = invariant.split("\n\n").next().unwrap_or_default();
        let is_tested = invariant.contains("Tidy") || invariant.contains(".rs`") || invariant.contains("fuzz target");
        assert!(is_tested, "nothing tests it: {invariant}");
    }
}

/// What a package needs, itself among it, by `Cargo.lock`.
fn needed_by(package: &str) -> BTreeSet<String> {
    #[derive(serde::Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(serde::Deserialize)]
    struct Package {
        name: String,
        #[serde(default)]
        dependencies: Vec<String>,
    }
    let lock: Lock = toml::from_str(&read(&root().join("Cargo.lock"))).expect("a lock file");
    let mut dependencies: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &lock.package {
        // A name with a version, where there are several.
        let names = package.dependencies.iter().filter_map(|name| name.split(' ').next());
        dependencies.entry(&package.name).or_default().extend(names);
    }
    let (mut needed, mut pending) = (BTreeSet::new(), vec![package]);
    while let Some(name) = pending.pop() {
        if needed.insert(name.to_owned()) {
            pending.extend(dependencies.get(name).expect("a package of the lock file"));
        }
    }
    needed
}

#[test]
fn the_library_needs_no_runtime_and_no_http_and_the_command_does() {
    let runtimes = |package| needed_by(package).into_iter().filter(|name| RUNTIMES.contains(&name.as_str())).count();
    assert_eq!(runtimes("mcplog"), 0, "{:?}", needed_by("mcplog"));
    assert!(runtimes("mcplog-cli") > 0, "the command's proxy has one, so this would be seen");
}
