//! One module of the code: its file, what it declares, and what it brings into scope.
//!
//! Pure: from the text of a tree. Knows nothing of other modules but who is whose parent; what a name means is for
//! `resolve` to say.

use crate::package::Root;
use crate::tests_only::is_of_tests;
use crate::tree::Tree;
use std::collections::BTreeMap;
use syn::visit::Visit;
use syn::{Item, UseTree};

/// A path, one segment a string. A path that starts with `::` has an empty first segment.
pub(crate) type Route = Vec<String>;

/// What a name stands for in a module. A module and a function may share one.
#[derive(Debug)]
pub(crate) enum Named {
    /// Something that this module defines.
    Item,
    /// A module, by its number.
    Module(usize),
    /// Something that it imports or re-exports.
    Import(Route),
}

/// A module.
pub(crate) struct Module {
    pub(crate) file: String,
    /// The number of its crate's root.
    pub(crate) root: usize,
    pub(crate) parent: Option<usize>,
    /// Compiled for tests only.
    pub(crate) of_tests: bool,
    pub(crate) names: BTreeMap<String, Vec<Named>>,
    /// What it imports all names of.
    pub(crate) globs: Vec<Route>,
    /// What it holds, but for other modules and what is compiled for tests only.
    pub(crate) items: Vec<Item>,
}

/// All modules of that crate, added to `modules`; the first of them is its root.
///
/// # Panics
/// A file is no Rust, or a module has none.
pub(crate) fn add_crate(modules: &mut Vec<Module>, tree: &Tree, root: &Root) {
    let folder = root.file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let place = Place { file: root.file.clone(), folder: folder.into(), parent: None, of_tests: false };
    let number = modules.len();
    add(modules, tree, number, place, parse(tree, &root.file).items);
}

/// Where a module lies.
struct Place {
    file: String,
    /// Where its children's files are.
    folder: String,
    parent: Option<usize>,
    of_tests: bool,
}

fn parse(tree: &Tree, file: &str) -> syn::File {
    syn::parse_file(tree.read_text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn add(modules: &mut Vec<Module>, tree: &Tree, root: usize, place: Place, items: Vec<Item>) -> usize {
    let number = modules.len();
    let Place { file, folder, parent, of_tests } = place;
    let (names, globs) = (BTreeMap::new(), Vec::new());
    modules.push(Module { file: file.clone(), root, parent, of_tests, names, globs, items: Vec::new() });
    for item in items {
        let of_tests = of_tests || is_of_tests(&item);
        if let Item::Mod(child) = item {
            let name = child.ident.to_string();
            let below = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let (place, items) = if let Some((_, items)) = child.content {
                (Place { file: file.clone(), folder: below, parent: Some(number), of_tests }, items)
            } else {
                let (file, folder) = file_of(tree, &file, &below, &child.attrs);
                let items = parse(tree, &file).items;
                (Place { file, folder, parent: Some(number), of_tests }, items)
            };
            let child = add(modules, tree, root, place, items);
            modules[number].names.entry(name).or_default().push(Named::Module(child));
        } else if !of_tests || modules[number].of_tests {
            let module = &mut modules[number];
            if let Some(name) = name_of(&item) {
                module.names.entry(name).or_default().push(Named::Item);
            }
            Imports { module }.visit_item(&item);
            module.items.push(item);
        }
    }
    number
}

/// The file of a module that `parent` declares, and the folder of its children.
fn file_of(tree: &Tree, parent: &str, below: &str, attributes: &[syn::Attribute]) -> (String, String) {
    let path =
        attributes.iter().find(|attribute| attribute.path().is_ident("path")).map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(syn::MetaNameValue {
                value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }),
                ..
            }) => path.value(),
            _ => panic!("{parent}: a path attribute without a path"),
        });
    if let Some(path) = path {
        let folder = parent.rsplit_once('/').map_or("", |(folder, _)| folder);
        let file = without_dots(&format!("{folder}/{path}"));
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        return (file, folder);
    }
    let candidates = [format!("{below}.rs"), format!("{below}/mod.rs")];
    let file = candidates.into_iter().find(|file| tree.text(file).is_some());
    (file.unwrap_or_else(|| panic!("{parent} declares a module without a file: {below}")), below.to_owned())
}

/// The same path without `..` and without the folders that they leave.
fn without_dots(path: &str) -> String {
    let parts = path.split('/').fold(Vec::new(), |mut parts, part| {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
        parts
    });
    parts.join("/")
}

/// The name that an item defines in its module.
fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => return item.ident.as_ref().map(ToString::to_string),
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Brings into scope what a module imports; an import within a function counts for the whole module.
struct Imports<'a> {
    module: &'a mut Module,
}

impl Visit<'_> for Imports<'_> {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        for Import { route, name } in imports(item) {
            match name {
                Some(name) => self.module.names.entry(name).or_default().push(Named::Import(route)),
                None => self.module.globs.push(route),
            }
        }
    }
}

/// One of the imports that a `use` stands for.
pub(crate) struct Import {
    pub(crate) route: Route,
    /// What it is called here; `None` for all names of a module.
    pub(crate) name: Option<String>,
}

/// What a `use` imports, one by one.
pub(crate) fn imports(item: &syn::ItemUse) -> Vec<Import> {
    let mut found = Vec::new();
    let start = if item.leading_colon.is_some() { vec![String::new()] } else { Vec::new() };
    flatten(&item.tree, start, &mut found);
    found
}

fn flatten(tree: &UseTree, mut route: Route, found: &mut Vec<Import>) {
    match tree {
        UseTree::Path(path) => {
            route.push(path.ident.to_string());
            flatten(&path.tree, route, found);
        }
        UseTree::Name(name) if name.ident == "self" => {
            let name = route.last().cloned();
            found.push(Import { route, name });
        }
        UseTree::Name(name) => {
            route.push(name.ident.to_string());
            found.push(Import { route, name: Some(name.ident.to_string()) });
        }
        UseTree::Rename(rename) => {
            if rename.ident != "self" {
                route.push(rename.ident.to_string());
            }
            found.push(Import { route, name: Some(rename.rename.to_string()) });
        }
        UseTree::Glob(_) => found.push(Import { route, name: None }),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, route.clone(), found)),
    }
}
