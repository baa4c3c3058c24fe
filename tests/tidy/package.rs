//! Which crates a tree has: what Cargo makes of the folders of each package.
//!
//! Pure. Knows Cargo's conventions, and of a manifest only the name.

use crate::tree::Tree;

/// A crate: where its modules start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Root {
    /// The file that the compiler is given.
    pub(crate) file: String,
    /// What other crates call it, if it is a library.
    pub(crate) library: Option<String>,
}

/// Folders whose files, and the `main.rs` of whose folders, are crates of their own.
const CRATES_EACH: [&str; 5] = ["src/bin", "tests", "benches", "examples", "fuzz_targets"];

/// The crates of all packages.
///
/// # Panics
/// A manifest can't be read.
pub(crate) fn roots(tree: &Tree) -> Vec<Root> {
    let packages = tree.paths().filter_map(|path| path.strip_suffix("Cargo.toml"));
    packages.flat_map(|package| roots_of(tree, package)).collect()
}

/// The crates of one package; `package` is its folder with a slash, or nothing for the repository's own.
fn roots_of(tree: &Tree, package: &str) -> Vec<Root> {
    let plain = |file: &str| Root { file: format!("{package}{file}"), library: None };
    let mut roots: Vec<Root> = ["src/main.rs", "build.rs"].map(plain).into();
    roots.push(Root { library: Some(library_name(tree, package)), ..plain("src/lib.rs") });
    roots.retain(|root| tree.text(&root.file).is_some());
    for folder in CRATES_EACH {
        let below = format!("{package}{folder}/");
        let files = tree.paths().filter(|path| {
            let rest = path.strip_prefix(below.as_str()).unwrap_or_default();
            let is_main = rest.split_once('/').is_some_and(|(_, rest)| rest == "main.rs");
            rest.ends_with(".rs") && (is_main || !rest.contains('/'))
        });
        roots.extend(files.map(|file| Root { file: file.into(), library: None }));
    }
    roots
}

fn library_name(tree: &Tree, package: &str) -> String {
    let manifest: toml::Table = tree
        .read_text(&format!("{package}Cargo.toml"))
        .parse()
        .unwrap_or_else(|error| panic!("{package}Cargo.toml: {error}"));
    let named = |table: &str| Some(manifest.get(table)?.get("name")?.as_str()?.replace('-', "_"));
    named("lib").or_else(|| named("package")).unwrap_or_default()
}
