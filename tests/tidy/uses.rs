//! What the code of a module names: its imports, and the paths in its types, expressions, macros and attributes.
//!
//! Pure. A name of one segment is left out: what it stands for was imported, or is of the same module.

use crate::module::{Module, Route, imports};
use crate::tests_only::is_of_tests;
use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::BTreeMap;
use syn::visit::{self, Visit};

/// A path in the code.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) route: Route,
    pub(crate) line: usize,
    /// By a `use`, which may name a module.
    pub(crate) import: bool,
    /// All names of what it leads to.
    pub(crate) glob: bool,
}

/// Everything that a module names.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) paths: Vec<Use>,
    /// The names of all methods and functions that are called, or may be, each with a line.
    pub(crate) called: BTreeMap<String, usize>,
    /// The functions of its inherent `impl` blocks, with the path of the type.
    pub(crate) methods: Vec<(Route, String)>,
    /// The functions of all its `impl` blocks.
    pub(crate) functions: Vec<String>,
}

/// What that module names, outside what is compiled for tests only.
pub(crate) fn uses(module: &Module) -> Uses {
    let mut uses = Uses::default();
    module.items.iter().for_each(|item| uses.visit_item(item));
    uses
}

impl Uses {
    fn add(&mut self, route: Route, span: Span) {
        if let (Some(last), true) = (route.last(), route.len() > 1) {
            self.called.insert(last.clone(), span.start().line);
            self.paths.push(Use { line: span.start().line, route, import: false, glob: false });
        }
    }

    /// The paths in tokens that are not parsed: arguments of macros and attributes.
    fn scan(&mut self, tokens: TokenStream, strings: bool) {
        let mut route = Route::new();
        let (mut colons, mut after_dot) = (0, false);
        let mut span = Span::call_site();
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons != 2 {
                        self.add(std::mem::take(&mut route), span);
                    }
                    if after_dot {
                        self.called.insert(word.to_string(), word.span().start().line);
                    }
                    span = word.span();
                    route.push(word.to_string());
                    (colons, after_dot) = (0, false);
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Punct(ref punct) => after_dot = punct.as_char() == '.',
                TokenTree::Group(ref group) => {
                    // A list behind a path is an import of several; elsewhere it starts anew.
                    if colons == 2 && group.delimiter() == Delimiter::Brace {
                        self.add(route.clone(), span);
                    }
                    self.scan(group.stream(), strings);
                    after_dot = false;
                }
                TokenTree::Literal(ref literal) if strings => {
                    let text = literal.to_string();
                    let words = text.trim_matches('"').split("::").map(str::to_owned);
                    let words: Route = words.collect();
                    if words.iter().all(|word| word.chars().all(|c| c.is_alphanumeric() || c == '_')) {
                        self.add(words, literal.span());
                    }
                    after_dot = false;
                }
                TokenTree::Literal(_) => after_dot = false,
            }
            self.add(std::mem::take(&mut route), span);
            colons = 0;
        }
        self.add(route, span);
    }
}

/// Goes on into a node unless it is compiled for tests only.
macro_rules! but_for_tests {
    ($($visit:ident($node:ident)),+ $(,)?) => {$(
        fn $visit(&mut self, node: &syn::$node) {
            if !is_of_tests(node) {
                visit::$visit(self, node);
            }
        }
    )+};
}

impl Visit<'_> for Uses {
    but_for_tests!(
        visit_item(Item),
        visit_impl_item(ImplItem),
        visit_trait_item(TraitItem),
        visit_field(Field),
        visit_field_value(FieldValue),
        visit_variant(Variant),
        visit_arm(Arm),
        visit_stmt(Stmt),
    );

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let line = item.use_token.span.start().line;
        self.paths.extend(imports(item).into_iter().map(|import| Use {
            route: import.route,
            line,
            import: true,
            glob: import.name.is_none(),
        }));
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        for function in &item.items {
            if let (syn::ImplItem::Fn(function), false) = (function, is_of_tests(function)) {
                let name = function.sig.ident.to_string();
                self.functions.push(name.clone());
                if let (None, syn::Type::Path(owner)) = (&item.trait_, &*item.self_ty) {
                    self.methods.push((route_of(&owner.path), name));
                }
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &syn::ExprMethodCall) {
        self.called.insert(call.method.to_string(), call.method.span().start().line);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if let Some(first) = path.segments.first() {
            self.add(route_of(path), first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_token_stream(&mut self, tokens: &TokenStream) {
        self.scan(tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &syn::Attribute) {
        if !attribute.path().is_ident("doc") {
            self.scan(attribute.meta.to_token_stream(), true);
        }
    }

    /// Who may see something is no use of it.
    fn visit_vis_restricted(&mut self, _: &syn::VisRestricted) {}
}

fn route_of(path: &syn::Path) -> Route {
    let start = path.leading_colon.map(|_| String::new());
    start.into_iter().chain(path.segments.iter().map(|segment| segment.ident.to_string())).collect()
}
