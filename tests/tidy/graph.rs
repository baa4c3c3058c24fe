//! Which file uses which: an arrow from a file to each file that defines something it names.
//!
//! Pure. An import of a module that holds nothing of its own is no arrow; what is reached through it is. A method that
//! is defined in another file than its type is an arrow from whoever names the type and calls it.

use crate::module::Route;
use crate::resolve::{Code, Target};
use crate::tree::Tree;
use crate::uses::{Use, Uses, uses};
use std::collections::{BTreeMap, BTreeSet};
use syn::Item;

/// Where one file uses another: the first place of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrow {
    pub(crate) line: usize,
    /// What is named there.
    pub(crate) named: String,
}

/// A path that leads out of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    pub(crate) line: usize,
    pub(crate) route: Route,
}

/// The files of the code, with what each uses. Without what is compiled for tests only.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// For each file, the files that it uses.
    pub(crate) arrows: BTreeMap<String, BTreeMap<String, Arrow>>,
    /// For each file, what it names of other packages.
    pub(crate) outside: BTreeMap<String, Vec<Outside>>,
    /// All files that a crate has, tests among them.
    pub(crate) reached: BTreeSet<String>,
}

impl Graph {
    pub(crate) fn of(tree: &Tree) -> Self {
        let code = Code::of(tree);
        let mut graph = Self::default();
        let mut named = Vec::new();
        for (number, module) in code.modules.iter().enumerate() {
            graph.reached.insert(module.file.clone());
            if !module.of_tests {
                graph.arrows.entry(module.file.clone()).or_default();
                named.push((number, uses(module)));
            }
        }
        for (number, uses) in &named {
            for path in &uses.paths {
                graph.add(&code, *number, path);
            }
        }
        graph.add_methods(&code, &named);
        graph
    }

    fn add(&mut self, code: &Code, module: usize, path: &Use) {
        for target in code.resolve(module, &path.route) {
            match target {
                Target::File(file) => self.add_arrow(&code.modules[module].file, &file, path.line, &path.route),
                Target::Module(other) if path.import => {
                    if code.modules[other].items.iter().any(is_of_its_own) {
                        let file = &code.modules[other].file;
                        self.add_arrow(&code.modules[module].file, file, path.line, &path.route);
                    }
                    if path.glob {
                        self.add_all(code, module, path, other);
                    }
                }
                Target::Module(_) => {}
                Target::Outside(route) => {
                    let file = code.modules[module].file.clone();
                    self.outside.entry(file).or_default().push(Outside { line: path.line, route });
                }
            }
        }
    }

    /// What a glob brings in: also what the module re-exports.
    fn add_all(&mut self, code: &Code, module: usize, path: &Use, other: usize) {
        for name in code.modules[other].names.keys() {
            let route = [path.route.as_slice(), std::slice::from_ref(name)].concat();
            for target in code.resolve(module, &route) {
                if let Target::File(file) = target {
                    self.add_arrow(&code.modules[module].file, &file, path.line, &route);
                }
            }
        }
    }

    fn add_arrow(&mut self, from: &str, to: &str, line: usize, route: &[String]) {
        // What is there for tests only is no file of the picture.
        if from != to && self.arrows.contains_key(to) {
            let arrow = Arrow { line, named: route.join("::") };
            self.arrows.entry(from.into()).or_default().entry(to.into()).or_insert(arrow);
        }
    }

    /// Methods that lie in another file than their type: told by name, where only one file has a function of that name.
    fn add_methods(&mut self, code: &Code, named: &[(usize, Uses)]) {
        let file = |number: usize| code.modules[number].file.as_str();
        let mut homes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (number, uses) in named {
            for function in &uses.functions {
                homes.entry(function).or_default().insert(file(*number));
            }
        }
        let mut foreign = BTreeSet::new();
        for (number, uses) in named {
            for (owner, function) in &uses.methods {
                for target in code.resolve(*number, owner) {
                    if let Target::File(home) = target
                        && home != file(*number)
                        && homes[function.as_str()].len() == 1
                    {
                        foreign.insert((home, file(*number), function.as_str()));
                    }
                }
            }
        }
        for (home, method_file, function) in foreign {
            for (number, uses) in named {
                let user = file(*number);
                let knows_type = user == home || self.arrows[user].contains_key(&home);
                if let (true, Some(&line)) = (knows_type, uses.called.get(function)) {
                    self.add_arrow(user, method_file, line, &[format!("the method {function}")]);
                }
            }
        }
    }

    /// How many arrows there are.
    pub(crate) fn arrow_count(&self) -> usize {
        self.arrows.values().map(BTreeMap::len).sum()
    }

    /// The part of the graph with the files that `keep` names.
    pub(crate) fn part(&self, keep: impl Fn(&str) -> bool) -> Self {
        self.folded(|file| keep(file).then(|| file.to_owned()))
    }

    /// The graph of groups of files: `group` says which one a file is in, if any.
    pub(crate) fn folded(&self, group: impl Fn(&str) -> Option<String>) -> Self {
        let mut folded = Self::default();
        for (from, arrows) in &self.arrows {
            let Some(from_group) = group(from) else { continue };
            let groups = folded.arrows.entry(from_group.clone()).or_default();
            for (to, arrow) in arrows {
                if let Some(to_group) = group(to)
                    && to_group != from_group
                {
                    groups.entry(to_group).or_insert_with(|| arrow.clone());
                }
            }
        }
        folded
    }

    /// How many floors there are: the length of the longest way down, counted in files. Files that use each other in a circle
    /// share a floor.
    pub(crate) fn floor_count(&self) -> usize {
        let reach = self.reach();
        let mut floors: BTreeMap<&str, usize> = BTreeMap::new();
        // From those that use least: who reaches fewer comes first.
        let mut files: Vec<&str> = self.arrows.keys().map(String::as_str).collect();
        files.sort_by_key(|file| reach[file].len());
        for file in files {
            let below = reach[file].iter().filter(|other| !reach[*other].contains(file));
            let floor = below.map(|other| floors.get(other).copied().unwrap_or(0)).max().unwrap_or(0) + 1;
            floors.insert(file, floor);
        }
        floors.into_values().max().unwrap_or(0)
    }

    /// For each file, all that it uses, and what those use, and so on.
    pub(crate) fn reach(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let reach_of = |start: &String| {
            let mut reached = BTreeSet::new();
            let mut pending: Vec<&str> = self.arrows[start].keys().map(String::as_str).collect();
            while let Some(file) = pending.pop() {
                if reached.insert(file) {
                    pending.extend(self.arrows.get(file).into_iter().flat_map(BTreeMap::keys).map(String::as_str));
                }
            }
            reached
        };
        self.arrows.keys().map(|file| (file.as_str(), reach_of(file))).collect()
    }
}

/// Whether an item makes a module more than a list of others.
fn is_of_its_own(item: &Item) -> bool {
    !matches!(item, Item::Use(_) | Item::Mod(_))
}
