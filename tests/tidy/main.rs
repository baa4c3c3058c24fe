//! The rules of the house, checked: who may import whom, circles, headers, where `unsafe` is, what README and CI say.
//!
//! Each rule is a function from a tree of files to messages. Here it is held against the repository; `planted` holds it
//! against made-up trees with a violation in them. `cargo test --test tidy -- --nocapture graph` prints the counts.

mod circle;
mod commands;
mod facade;
mod floors;
mod graph;
mod listing;
mod module;
mod package;
mod planted;
mod resolve;
mod rules;
mod tests_only;
mod text;
mod tree;
mod uses;

use graph::Graph;
use std::path::Path;
use std::sync::LazyLock;
use tree::Tree;

static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))));
static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::of(&TREE));

/// Fails with all messages, if there are any.
#[track_caller]
fn none(messages: &[String]) {
    assert!(messages.is_empty(), "{} of them:\n{}", messages.len(), messages.join("\n"));
}

#[test]
fn graph_has_no_circle_of_files() {
    print_counts();
    none(&circle::circles(&GRAPH));
}

/// How many rooms, floors, arrows and circles there are, in each part of the repository.
fn print_counts() {
    let rooms = GRAPH.folded(|file| floors::room(file).map(str::to_owned));
    let mut rows = vec![("the rooms of src".to_owned(), rooms)];
    for folder in ["src", "tools", "benches", "tests", "fuzz"] {
        rows.push((format!("the files of {folder}"), GRAPH.part(|file| file.starts_with(&format!("{folder}/")))));
    }
    rows.push(("all files".to_owned(), GRAPH.part(|_| true)));
    println!("{:<22} {:>6} {:>6} {:>6} {:>7}", "", "rooms", "floors", "arrows", "circles");
    for (name, graph) in rows {
        let circles = circle::circles(&graph).len();
        let (rooms, arrows) = (graph.arrows.len(), graph.arrow_count());
        println!("{name:<22} {rooms:>6} {:>6} {arrows:>6} {circles:>7}", graph.floor_count());
    }
}

#[test]
fn imports_go_down_the_floors_of_the_design() {
    none(&floors::upward_imports(&GRAPH));
}

#[test]
fn nobody_imports_what_must_be_absent() {
    none(&floors::forbidden_imports(&GRAPH));
}

#[test]
fn each_entry_of_src_has_a_floor_and_they_are_few() {
    none(&listing::entries_without_a_floor(&TREE));
}

#[test]
fn the_table_in_lib_rs_and_the_listing_of_src_say_the_same() {
    none(&listing::differences_from_the_table(&TREE));
}

#[test]
fn a_mod_rs_only_declares_and_re_exports() {
    none(&facade::logic_in_facades(&TREE, &GRAPH));
}

#[test]
fn every_file_opens_with_its_purpose() {
    none(&text::files_without_a_purpose(&TREE));
}

#[test]
fn every_file_is_part_of_a_crate() {
    none(&text::files_of_no_crate(&TREE, &GRAPH));
}

#[test]
fn unsafe_is_in_named_files_and_each_use_has_its_proof() {
    none(&text::unsafe_uses(&TREE));
}

#[test]
fn nothing_that_is_printed_can_end_the_process() {
    none(&text::printing_that_may_panic(&TREE));
}

#[test]
fn a_fault_that_tests_order_takes_one_line_where_it_strikes() {
    none(&text::faults_in_more_than_a_line(&TREE));
}

#[test]
fn nothing_is_left_for_later() {
    none(&text::left_for_later(&TREE));
}

#[test]
fn whatever_is_skipped_is_listed() {
    none(&text::skips_that_are_not_listed(&TREE));
}

#[test]
fn files_stay_short_enough_to_read() {
    none(&text::long_files(&TREE, &GRAPH));
}

#[test]
fn every_command_in_the_readme_is_run_by_ci_or_by_a_test() {
    assert!(commands::readme_commands(&TREE).len() > 5);
    none(&commands::commands_that_nobody_runs(&TREE));
}

#[test]
fn the_two_commands_of_the_readme_come_first_and_ci_runs_both() {
    let commands = commands::readme_commands(&TREE);
    assert_eq!(commands[..2], ["cargo run --release --bin mcplog -- demo", "tests/run"]);
    let ci = TREE.read_text(".ci/run");
    for command in &commands[..2] {
        assert!(ci.lines().any(|line| line.starts_with(command)), "CI does not run: {command}");
    }
}

#[test]
fn the_recipes_of_the_justfile_name_what_is_there() {
    none(&commands::recipes_that_lead_nowhere(&TREE));
}

#[test]
fn the_checks_of_the_justfile_are_those_of_ci() {
    none(&commands::checks_that_ci_does_not_make(&TREE));
}

#[test]
fn the_format_version_has_a_golden_segment_and_a_page() {
    let version = mcplog::segment::format::FORMAT_VERSION;
    for version in 1..=version {
        let golden = format!("{}/tests/golden/v{version}/store/store-id", env!("CARGO_MANIFEST_DIR"));
        assert!(Path::new(&golden).exists(), "version {version}");
    }
    let title = format!("# The mcplog log format, version {version}\n");
    assert!(TREE.read_text("format.md").starts_with(&title));
}
