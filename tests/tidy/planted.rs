//! Each rule catches a violation that was planted for it, and names it.
//!
//! The trees are made up and small: a manifest, and the files that matter.

use crate::circle::circles;
use crate::graph::Graph;
use crate::tree::Tree;
use crate::{commands, facade, floors, listing, text};

const MANIFEST: (&str, &str) = ("Cargo.toml", "[package]\nname = \"planted\"\n");

fn tree(files: &[(&'static str, &'static str)]) -> Tree {
    Tree::made_up(files.iter().copied().chain([MANIFEST]))
}

fn graph(files: &[(&'static str, &'static str)]) -> Graph {
    Graph::of(&tree(files))
}

/// There is one message, and it names each of `words`.
#[track_caller]
fn caught(messages: &[String], words: &[&str]) {
    assert_eq!(messages.len(), 1, "{messages:#?}");
    for word in words {
        assert!(messages[0].contains(word), "{word} is not named: {}", messages[0]);
    }
}

#[test]
fn a_tree_without_a_violation_passes() {
    let files = [
        (
            "src/lib.rs",
            "//! | | `event.rs` |\n//! | | `segment/` |\nmod event;\nmod segment;\npub use segment::Reader;\n",
        ),
        ("src/event.rs", "//! One.\npub struct Event;\n"),
        ("src/segment/mod.rs", "//! Two.\nmod reader;\npub use reader::Reader;\n#[cfg(test)]\nmod tests;\n"),
        ("src/segment/reader.rs", "//! Three.\nuse crate::event::Event;\npub struct Reader(Event);\n"),
        ("src/segment/tests.rs", "//! Four.\nuse super::*;\nfn reads(_: Reader) {}\n"),
    ];
    let (tree, graph) = (tree(&files), graph(&files));
    let all = [
        circles(&graph),
        floors::upward_imports(&graph),
        floors::forbidden_imports(&graph),
        listing::entries_without_a_floor(&tree),
        listing::differences_from_the_table(&tree),
        facade::logic_in_facades(&tree, &graph),
        text::files_of_no_crate(&tree, &graph),
        text::unsafe_uses(&tree),
        text::long_files(&tree, &graph),
    ];
    assert_eq!(all.concat(), Vec::<String>::new());
    assert_eq!(graph.arrows["src/lib.rs"].keys().collect::<Vec<_>>(), ["src/segment/reader.rs"]);
    // That of the facade is one too.
    assert_eq!((graph.arrow_count(), graph.floor_count()), (3, 3));
}

#[test]
fn a_circle_of_two_files_is_caught() {
    let graph = graph(&[
        ("src/lib.rs", "mod a;\nmod b;\n"),
        ("src/a.rs", "use crate::b::B;\npub struct A(B);\n"),
        ("src/b.rs", "pub struct B;\nfn f() -> crate::a::A { loop {} }\n"),
    ]);
    let names = ["circle of 2", "src/a.rs:1 names crate::b::B", "src/b.rs:2 names crate::a::A, which src/a.rs defines"];
    caught(&circles(&graph), &names);
}

#[test]
fn a_circle_of_three_files_is_caught_and_who_is_caught_in_it_is_named() {
    let graph = graph(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
        ("src/a.rs", "use crate::b::B;\npub struct A(B);\n"),
        ("src/b.rs", "use super::c::{self, C};\npub struct B(C);\n"),
        ("src/c.rs", "use crate::{a, d};\npub type C = a::A;\nfn f() { d::d() }\n"),
        ("src/d.rs", "pub fn d() { let _: crate::b::B; crate::c::f() }\n"),
    ]);
    caught(&circles(&graph), &["circle of 2 files", "src/c.rs", "src/d.rs", "in the same knot: src/a.rs, src/b.rs"]);
    let graph = graph_of_three();
    caught(&circles(&graph), &["circle of 3 files", "src/a.rs:1", "src/b.rs:1", "src/c.rs:1"]);
}

fn graph_of_three() -> Graph {
    graph(&[
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("src/a.rs", "use crate::b::B;\npub struct A(B);\n"),
        ("src/b.rs", "use super::c::{self, C};\npub struct B(C);\n"),
        ("src/c.rs", "use crate::a;\npub type C = a::A;\n"),
    ])
}

#[test]
fn a_re_export_hides_no_circle() {
    let graph = graph(&[
        ("src/lib.rs", "mod segment;\nmod index;\npub use index::Index;\n"),
        ("src/segment/mod.rs", "mod reader;\npub use self::reader::Reader as SegmentReader;\n"),
        ("src/segment/reader.rs", "pub struct Reader(crate::Index);\n"),
        ("src/index.rs", "use crate::segment::*;\npub struct Index;\n"),
    ]);
    caught(&circles(&graph), &["src/index.rs:1", "src/segment/reader.rs:1 names crate::Index, which src/index.rs"]);
}

#[test]
fn a_parent_module_hides_no_circle() {
    let graph = graph(&[
        ("src/lib.rs", "mod index;\n"),
        ("src/index.rs", "mod batch;\nuse batch::Batch;\npub struct Index;\nfn f(_: Batch) {}\n"),
        ("src/index/batch.rs", "use super::Index;\npub struct Batch;\nfn f(_: Index) {}\n"),
    ]);
    caught(&circles(&graph), &["src/index.rs:2 names batch::Batch", "src/index/batch.rs:1 names super::Index"]);
}

#[test]
fn a_method_in_another_file_than_its_type_hides_no_circle() {
    let graph = graph(&[
        ("src/lib.rs", "mod index;\n"),
        ("src/index.rs", "mod batch;\npub struct Index;\nimpl Index { fn fold(&self) { self.fold_batch() } }\n"),
        ("src/index/batch.rs", "use super::Index;\nimpl Index { pub(super) fn fold_batch(&self) {} }\n"),
    ]);
    caught(&circles(&graph), &["src/index.rs:3 names the method fold_batch", "src/index/batch.rs:1"]);
}

#[test]
fn macros_attributes_and_nested_imports_hide_no_circle() {
    for hidden in [
        "fn f() { println!(\"{}\", crate::b::text()) }",
        "#[serde(with = \"crate::b\")] pub struct A;",
        "#[serde(with = \"crate::b::text\")] pub struct A;",
        "fn f() { use crate::{b::{self, text as t}}; t() }",
        "mod inner { pub fn f() { super::super::b::text() } }",
        "pub struct A { b: Vec<Option<crate::b::B>> }",
        "use crate::b::B::*;",
        "fn f() { let _ = vec![1, crate::b::text()]; }",
    ] {
        let a = format!("pub const A: u8 = 1;\n{hidden}\n");
        let b = "pub fn text() {}\npub enum B { One }\nconst C: u8 = crate::a::A;\n";
        let files = [("src/lib.rs", "mod a;\nmod b;\n"), ("src/a.rs", a.as_str()), ("src/b.rs", b), MANIFEST];
        let caught = circles(&Graph::of(&Tree::made_up(files)));
        // What names a module and nothing in it can't be told from another text.
        assert_eq!(caught.len(), usize::from(!hidden.contains("\"crate::b\"")), "{hidden}: {caught:?}");
    }
}

#[test]
fn what_is_compiled_for_tests_only_makes_no_circle() {
    let graph = graph(&[
        ("src/lib.rs", "mod a;\nmod b;\n"),
        (
            "src/a.rs",
            "#[cfg(test)]\nuse crate::b::B;\npub struct A { #[cfg(test)] b: crate::b::B }\n\
             fn f() { #[cfg(test)]\ncrate::b::b(); }\n#[cfg(test)]\nmod tests { use crate::b::B; }\n",
        ),
        ("src/b.rs", "use crate::a::A;\npub struct B(A);\npub fn b() {}\n"),
    ]);
    assert_eq!(circles(&graph), Vec::<String>::new());
}

#[test]
fn a_circle_between_programs_and_libraries_of_tools_is_caught() {
    let graph = graph(&[
        ("tools/one/Cargo.toml", "[package]\nname = \"the-one\"\n"),
        ("tools/one/src/lib.rs", "pub mod a;\n"),
        ("tools/one/src/a.rs", "use the_two::B;\npub struct A(B);\n"),
        ("tools/two/Cargo.toml", "[package]\nname = \"the-two\"\n"),
        ("tools/two/src/lib.rs", "mod b;\npub use b::B;\n"),
        ("tools/two/src/b.rs", "pub struct B;\nfn f(_: ::the_one::a::A) {}\n"),
    ]);
    caught(&circles(&graph), &["tools/one/src/a.rs:1 names the_two::B", "tools/two/src/b.rs:2"]);
}

#[test]
fn an_import_upwards_or_beside_is_caught() {
    let upwards = graph(&[
        ("src/lib.rs", "mod event;\nmod store;\npub use store::Store;\n"),
        ("src/event.rs", "fn f(_: crate::Store) {}\n"),
        ("src/store/mod.rs", "mod start;\npub use start::Store;\n"),
        ("src/store/start.rs", "pub struct Store;\n"),
    ]);
    let names = ["src/event.rs:1", "crate::Store", "src/store/start.rs defines", "event does not stand above store"];
    caught(&floors::upward_imports(&upwards), &names);
    let beside = graph(&[
        ("src/lib.rs", "mod record;\nmod segment;\n"),
        ("src/record.rs", "pub struct Record;\n"),
        ("src/segment.rs", "use crate::record::Record;\n"),
    ]);
    caught(&floors::upward_imports(&beside), &["src/segment.rs:1", "segment does not stand above record"]);
}

#[test]
fn each_import_of_what_must_be_absent_is_caught() {
    let violations = [
        ("src/appender/sync_loop.rs", "use rusqlite::Connection;", "SQLite"),
        ("src/fold/cut.rs", "fn f(_: ::rusqlite::Row) {}", "SQLite"),
        ("src/fold/cut.rs", "use crate::segment::Reader;", "pure"),
        ("src/compactor/pace.rs", "fn f() { crate::segment::writer::append() }", "own appender"),
        ("src/query/plan.rs", "use crate::segment;\nfn f(_: segment::Reader) {}", "the log"),
        ("src/segment/writer.rs", "use memmap2::MmapMut;", "maps"),
        ("src/recorder/lane.rs", "use std::{fs, io};", "hot path"),
        ("tools/wal-inspect/src/dump.rs", "use mcplog::Store;", "only reads segments"),
        ("tools/wal-inspect/src/dump.rs", "fn f() { rusqlite::version() }", "only reads segments"),
        ("tools/observe/src/exchange.rs", "use tokio::sync::mpsc;", "no socket"),
        ("tools/observe/src/exchange.rs", "use std::net::TcpStream;", "no socket"),
        ("tools/observe/src/exchange.rs", "fn f(_: hyper::Request<()>) {}", "no socket"),
        ("tools/observe/src/exchange.rs", "use std::fs::File;", "no file"),
    ];
    for (file, text, reason) in violations {
        let package = file.split_once("src/").expect("in src").0;
        let (folder, name) = file.rsplit_once('/').expect("a folder");
        let name = name.trim_end_matches(".rs");
        let (manifest, root) = (format!("{package}Cargo.toml"), format!("{package}src/lib.rs"));
        let (facade, is_room) = (format!("{folder}/mod.rs"), package.is_empty());
        let own = format!("[package]\nname = \"{}\"\n", if is_room { "mcplog" } else { "tool" });
        let declares = format!("mod {name};\n");
        let library = "pub mod segment;\npub mod store;\npub use store::Store;\n";
        let room = folder.rsplit('/').next().unwrap_or_default();
        let room_root = if room == "segment" { library.to_owned() } else { format!("mod {room};\n{library}") };
        let mut files = vec![
            ("Cargo.toml", "[package]\nname = \"mcplog\"\n"),
            ("src/lib.rs", library),
            ("src/store.rs", "pub struct Store;\n"),
            ("src/segment/mod.rs", "pub struct Reader;\npub mod writer;\n"),
            ("src/segment/writer.rs", "pub fn append() {}\n"),
            (manifest.as_str(), own.as_str()),
        ];
        if is_room {
            files.push((root.as_str(), room_root.as_str()));
            if room != "segment" {
                files.push((facade.as_str(), declares.as_str()));
            }
        } else {
            files.push((root.as_str(), declares.as_str()));
        }
        files.push((file, text));
        let messages = floors::forbidden_imports(&Graph::of(&Tree::made_up(files)));
        caught(&messages, &[file, reason]);
    }
}

#[test]
fn what_is_an_exception_passes_and_nothing_beside_it() {
    let inspect = |text| {
        let graph = graph(&[
            ("src/lib.rs", "pub mod store;\n"),
            ("src/store/mod.rs", "pub mod writer_lock;\nmod start;\npub use start::Store;\n"),
            ("src/store/writer_lock.rs", "pub fn holder() {}\n"),
            ("src/store/start.rs", "pub struct Store;\n"),
            ("tools/wal-inspect/Cargo.toml", "[package]\nname = \"wal-inspect\"\n"),
            ("tools/wal-inspect/src/lib.rs", text),
        ]);
        floors::forbidden_imports(&graph)
    };
    assert_eq!(inspect("use planted::store::writer_lock;\nfn f() { writer_lock::holder() }\n"), [""; 0]);
    caught(&inspect("use planted::store::Store;\n"), &["tools/wal-inspect/src/lib.rs:1"]);
}

#[test]
fn an_entry_of_src_without_a_floor_is_caught_and_so_are_too_many() {
    let entry = |name| listing::entries_without_a_floor(&tree(&[("src/lib.rs", ""), (name, "")]));
    caught(&entry("src/helpers.rs"), &["src/helpers.rs"]);
    caught(&entry("src/helpers/mod.rs"), &["src/helpers/"]);
    caught(&entry("src/schema.sql"), &["src/schema.sql"]);
    assert_eq!(entry("src/index/schema.sql"), Vec::<String>::new());
    let rooms: Vec<String> = crate::rules::FLOORS.concat().iter().map(|room| format!("src/{room}.rs")).collect();
    let doubled = rooms.iter().map(|file| file.replace(".rs", "/a.rs")).collect::<Vec<_>>();
    let all = Tree::made_up(rooms.iter().chain(&doubled).map(|file| (file.as_str(), "")));
    caught(&listing::entries_without_a_floor(&all), &["src/ has 24 entries"]);
}

#[test]
fn a_table_in_lib_rs_that_says_something_else_is_caught() {
    let table = |rows| tree(&[("src/lib.rs", rows), ("src/event.rs", ""), ("src/fold/cut.rs", "")]);
    let differences = |rows| listing::differences_from_the_table(&table(rows));
    assert_eq!(differences("//! | a | `event.rs`, [`Event`] |\n//! | b | `fold/`, `fold/cut.rs` |\n"), [""; 0]);
    caught(&differences("//! | a | `event.rs` |\n"), &["does not name fold/"]);
    caught(&differences("//! | a | `fold/` |\n//! `event.rs` is in no table.\n"), &["does not name event.rs"]);
    caught(&differences("//! | a | `event.rs`, `fold/`, `store/` |\n"), &["names store/, which is not there"]);
    caught(&differences("//! | a | `event.rs`, `fold/`, `fold/gone.rs` |\n"), &["names fold/gone.rs"]);
}

#[test]
fn logic_in_a_mod_rs_is_caught() {
    for logic in ["fn f() {}", "pub struct A;", "mod inner { fn f() {} }", "const A: u8 = 1;", "impl super::B {}"] {
        let facade = format!("//! A folder.\nmod child;\npub use child::C;\n#[cfg(test)]\nmod tests;\n{logic}\n");
        let tree = Tree::made_up([
            MANIFEST,
            ("src/lib.rs", "mod a;\npub struct B;\n"),
            ("src/a/mod.rs", facade.as_str()),
            ("src/a/child.rs", "pub struct C;\n"),
            ("src/a/tests.rs", "fn f() {}\n"),
        ]);
        caught(&facade::logic_in_facades(&tree, &Graph::of(&tree)), &["src/a/mod.rs:6"]);
    }
}

#[test]
fn a_file_without_a_purpose_or_without_a_crate_is_caught() {
    let files = [("src/lib.rs", "//! A purpose.\n"), ("src/a.rs", "// No purpose.\n")];
    let (tree, graph) = (tree(&files), graph(&files));
    caught(&text::files_without_a_purpose(&tree), &["src/a.rs"]);
    caught(&text::files_of_no_crate(&tree, &graph), &["src/a.rs"]);
}

#[test]
fn unsafe_code_is_caught_wherever_it_hides() {
    for code in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "unsafe impl Send for A {}",
        "#![allow(unsafe_code)]",
        "fn f() { println!(\"{}\", unsafe { g() }) }",
        "#[unsafe(no_mangle)] fn f() {}",
    ] {
        caught(&text::unsafe_uses(&Tree::made_up([("src/a.rs", code)])), &["src/a.rs:1"]);
    }
    let harmless = "//! Never unsafe.\n/* unsafe {} */ fn f() -> &'static str { \"unsafe { }\" }\n";
    assert_eq!(text::unsafe_uses(&Tree::made_up([("src/a.rs", harmless)])), [""; 0]);
    let unproven = "// SAFETY: known.\nfn f() { unsafe { g() } }\nfn g() { unsafe { h() } }\n";
    caught(&text::unsafe_uses(&Tree::made_up([("src/segment/file.rs", unproven)])), &["2 unsafe uses and 1 proofs"]);
}

#[test]
fn a_fault_in_several_lines_is_caught() {
    let fine = "use crate::ground::sabotage::{self, Spot};\nfn f() { sabotage::at(Spot::Sync, path)?; }\n";
    assert_eq!(text::faults_in_more_than_a_line(&Tree::made_up([("src/segment/a.rs", fine)])), [""; 0]);
    for code in ["#[cfg(test)]\nif sabotage::is_due(Spot::Sync) {}\n", "use crate::ground::sabotage::Fault;\n"] {
        caught(&text::faults_in_more_than_a_line(&Tree::made_up([("src/segment/a.rs", code)])), &["src/segment/a.rs"]);
    }
    let in_tests = "#[cfg(test)]\nmod tests { fn f() { sabotage::order(); } }\n";
    assert_eq!(text::faults_in_more_than_a_line(&Tree::made_up([("src/segment/a.rs", in_tests)])), [""; 0]);
}

#[test]
fn printing_that_ends_the_process_is_caught() {
    let printing = |path, code| text::printing_that_may_panic(&Tree::made_up([(path, code)]));
    for code in ["fn f() { println!(\"a\") }", "fn f() { anstream::eprint!(\"a\") }", "fn f() {\n    dbg!(1);\n}"] {
        caught(&printing("tools/one/src/a.rs", code), &["tools/one/src/a.rs:", "panics"]);
        assert_eq!(printing("tools/one/tests/a.rs", code), [""; 0]);
        assert_eq!(printing("examples/a.rs", code), [""; 0]);
    }
    let fine =
        "// No println!\nfn f() { let _ = writeln!(err, \"a\"); }\n#[cfg(test)]\nmod tests { fn f() { println!() } }\n";
    assert_eq!(printing("src/a.rs", fine), [""; 0]);
}

#[test]
fn what_is_left_for_later_and_a_long_file_are_caught() {
    let later = concat!("fn f() { to", "do!() }");
    caught(&text::left_for_later(&tree(&[("src/a.rs", later)])), &["src/a.rs", "do!("]);
    let long = "\n".repeat(451) + "#[cfg(test)]\nmod tests {}\n";
    let fine = "\n".repeat(450) + "#[cfg(test)]\nmod tests {" + &"\n".repeat(300) + "}\n";
    let tree = Tree::made_up([
        MANIFEST,
        ("src/lib.rs", "mod long;\nmod fine;\n"),
        ("src/long.rs", long.as_str()),
        ("src/fine.rs", fine.as_str()),
    ]);
    caught(&text::long_files(&tree, &Graph::of(&tree)), &["src/long.rs has 451 lines"]);
}

#[test]
fn a_skip_that_is_not_listed_is_caught() {
    let skips = |code| text::skips_that_are_not_listed(&Tree::made_up([("tests/a.rs", code)]));
    assert_eq!(skips("fn f() { mcplog_skipped::skip(\"a\", \"b\", \"c\") }"), [""; 0]);
    caught(&skips(concat!("fn f() { eprintln!(\"SKIP", "PED: a\") }")), &["tests/a.rs"]);
    caught(&skips(concat!("fn f() { fs::write(\"/dev/std", "err\", \"a\") }")), &["tests/a.rs"]);
}

#[test]
fn a_command_that_nobody_runs_is_caught() {
    let tree =
        |readme| tree(&[("README.md", readme), (".ci/run", "tests/run\n"), ("tools/mcplog/tests/readme.rs", "")]);
    assert_eq!(commands::commands_that_nobody_runs(&tree("```sh\n# Why.\ntests/run\nmcplog logs\n```\n")), [""; 0]);
    caught(&commands::commands_that_nobody_runs(&tree("```sh\nmake install\n```\n")), &["nobody runs: make install"]);
}

#[test]
fn a_check_that_ci_does_not_make_is_caught() {
    let justfile = "# All.\nlint: build\n    cargo fmt --check\n    cargo clippy\ntest *arguments:\n    tests/run\n";
    let tree = tree(&[("justfile", justfile), (".ci/run", "step lints\ncargo fmt --check\n")]);
    caught(&commands::checks_that_ci_does_not_make(&tree), &["just lint", "cargo clippy"]);
}

#[test]
fn a_recipe_that_leads_nowhere_is_caught() {
    let recipe = |line| {
        let recipes = format!("all:\n    {line}\n");
        let files = [("justfile", recipes.as_str()), ("tests/run", ""), ("benches/codec.rs", ""), MANIFEST];
        commands::recipes_that_lead_nowhere(&Tree::made_up(files))
    };
    assert_eq!(recipe("A=1 B=\"2 3\" tests/run --quiet"), [""; 0]);
    assert_eq!(recipe("cargo bench -p planted --bench codec"), [""; 0]);
    caught(&recipe("tests/walk"), &["starts tests/walk"]);
    caught(&recipe("A=1 B=\"2 3\" tests/walk"), &["starts tests/walk"]);
    caught(&recipe("cargo test -p nothing"), &["names nothing"]);
    caught(&recipe("cargo test --test nothing"), &["names nothing"]);
    caught(&recipe("cargo bench --bench nothing"), &["names nothing"]);
    caught(&recipe("cargo check --manifest-path none/Cargo.toml"), &["names none/Cargo.toml"]);
}
