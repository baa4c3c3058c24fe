//! What a path means: the file that defines what it names, however many re-exports lie between.
//!
//! Pure. Follows the compiler's rules as far as they matter for the question which file uses which; namespaces are told
//! apart only where a module and something else share a name.

use crate::module::{Module, Named, Route, add_crate};
use crate::package;
use crate::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// All modules of all crates of a tree.
pub(crate) struct Code {
    pub(crate) modules: Vec<Module>,
    /// The roots of the libraries, by name.
    libraries: BTreeMap<String, usize>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// To something that this file defines.
    File(String),
    /// To a module as such, by its number.
    Module(usize),
    /// Out of the tree.
    Outside(Route),
}

type Seen = BTreeSet<(usize, Route)>;

impl Code {
    pub(crate) fn of(tree: &Tree) -> Self {
        let mut modules = Vec::new();
        let mut libraries = BTreeMap::new();
        for root in package::roots(tree) {
            if let Some(name) = &root.library {
                libraries.insert(name.clone(), modules.len());
            }
            add_crate(&mut modules, tree, &root);
        }
        Self { modules, libraries }
    }

    /// Where `route` leads that stands in that module.
    pub(crate) fn resolve(&self, module: usize, route: &[String]) -> Vec<Target> {
        self.follow(module, route, &mut Seen::new())
    }

    fn follow(&self, module: usize, route: &[String], seen: &mut Seen) -> Vec<Target> {
        let Some((first, rest)) = route.split_first() else { return Vec::new() };
        match first.as_str() {
            "" => rest.first().map_or_else(Vec::new, |_| self.of_a_crate(rest, seen)),
            "crate" => self.within(self.modules[module].root, rest, seen),
            "self" | "super" => self.within(module, route, seen),
            "Self" => Vec::new(),
            name if self.names(module, name, seen).is_empty() => self.of_a_crate(route, seen),
            _ => self.within(module, route, seen),
        }
    }

    /// A path that starts with the name of a crate.
    fn of_a_crate(&self, route: &[String], seen: &mut Seen) -> Vec<Target> {
        match self.libraries.get(&route[0]) {
            Some(&root) => self.within(root, &route[1..], seen),
            None => vec![Target::Outside(route.to_vec())],
        }
    }

    /// A path that goes on from a module.
    fn within(&self, module: usize, route: &[String], seen: &mut Seen) -> Vec<Target> {
        let Some((first, rest)) = route.split_first() else { return vec![Target::Module(module)] };
        if !seen.insert((module, route.to_vec())) {
            return Vec::new();
        }
        match first.as_str() {
            "self" => return self.within(module, rest, seen),
            "super" => return self.within(self.modules[module].parent.unwrap_or(module), rest, seen),
            _ => {}
        }
        let named = self.names(module, first, seen);
        let child = named.iter().find_map(|named| if let Named::Module(child) = named { Some(*child) } else { None });
        if let (Some(child), false) = (child, rest.is_empty()) {
            return self.within(child, rest, seen);
        }
        if named.is_empty() {
            // A macro made it, here or in a file that a build script wrote.
            return vec![if self.modules[module].items.iter().any(is_include) {
                Target::Outside(route.to_vec())
            } else {
                Target::File(self.modules[module].file.clone())
            }];
        }
        named
            .iter()
            .flat_map(|named| match named {
                Named::Item => vec![Target::File(self.modules[module].file.clone())],
                Named::Module(child) => vec![Target::Module(*child)],
                // An import that starts with its own name means a module or a crate of that name.
                Named::Import(import) if import.first() == Some(first) => match child {
                    Some(child) => self.within(child, &[&import[1..], rest].concat(), seen),
                    None => self.of_a_crate(&[import, rest].concat(), seen),
                },
                Named::Import(import) => self.follow(module, &[import, rest].concat(), seen),
            })
            .collect()
    }

    /// What a name stands for in a module.
    fn names(&self, module: usize, name: &str, seen: &Seen) -> Vec<Named> {
        let this = &self.modules[module];
        if let Some(named) = this.names.get(name) {
            return named.iter().map(Named::copied).collect();
        }
        let from_glob = this.globs.iter().filter_map(|glob| {
            let mut seen = seen.clone();
            if !seen.insert((module, [glob.as_slice(), &["*".into()]].concat())) {
                return None;
            }
            let targets = self.follow(module, glob, &mut seen);
            targets.into_iter().find_map(|target| match target {
                Target::Module(other) if other != module && !self.names(other, name, &seen).is_empty() => {
                    Some(Named::Import([glob.as_slice(), &[name.into()]].concat()))
                }
                _ => None,
            })
        });
        from_glob.collect()
    }
}

fn is_include(item: &syn::Item) -> bool {
    matches!(item, syn::Item::Macro(item) if item.mac.path.is_ident("include"))
}

impl Named {
    fn copied(&self) -> Self {
        match self {
            Self::Item => Self::Item,
            Self::Module(module) => Self::Module(*module),
            Self::Import(route) => Self::Import(route.clone()),
        }
    }
}
