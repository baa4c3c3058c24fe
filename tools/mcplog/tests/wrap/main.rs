//! `mcplog wrap` as a process between a client and a scripted server.
//!
//! The tests have a harness of their own, because the program is the scripted server too: started with other arguments, it
//! plays a script and prints nothing else, which no test program of the standard harness can.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod bytes;
mod ends;
mod fixture;
mod recording;
mod server;
mod signals;
mod starts;

use libtest_mimic::{Arguments, Trial};

/// Tests by the names of their functions.
macro_rules! trials {
    ($($module:ident :: { $($name:ident),* $(,)? }),* $(,)?) => {
        vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || { $module::$name(); Ok(()) })),*),*]
    };
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(server::SERVER) => server::play(&arguments[2..]),
        Some(server::CLIENT) => server::hang_before(&arguments[2..]),
        _ => {}
    }
    server::ignore_nothing();
    let trials = trials! {
        bytes::{
            what_passes_is_what_passes_without_a_wrapper,
            random_bytes_pass_in_random_pieces,
            a_line_of_64_mib_passes_both_ways_at_once,
            no_byte_waits_for_its_line,
            a_client_that_does_not_read_holds_up_nothing_but_what_it_does_not_read,
            errors_pass_while_nobody_reads_the_output,
        },
        ends::{
            the_servers_end_is_the_wrappers,
            what_a_server_says_after_its_input_ended_comes_however_long_it_takes,
            a_server_whose_client_is_gone_ends_with_all_that_it_started,
            a_client_that_is_killed_takes_the_server_and_all_that_it_started_with_it,
            a_server_whose_wrapper_is_killed_has_its_end_of_input,
            a_server_that_ends_first_ends_the_wrapper_although_the_client_goes_on,
            output_that_others_hold_open_is_passed_on_and_not_waited_for,
            a_server_that_reads_no_more_is_told_to_the_client,
            a_client_that_reads_no_more_is_told_to_the_server,
            a_server_that_ignores_sigterm_is_killed_before_the_clients_patience_ends,
        },
        signals::{
            every_signal_reaches_the_server_and_what_it_started_once,
            what_was_ignored_stays_ignored,
            a_stop_stops_both_and_both_go_on,
            ctrl_c_in_a_terminal_reaches_the_server_once,
            a_server_that_wants_the_terminal_has_it_in_the_foreground_and_is_told_of_otherwise,
            a_wrapper_whose_parent_ignores_its_children_learns_how_the_server_ended,
        },
        starts::{
            a_command_that_can_not_be_run_ends_as_shells_end_it,
            a_script_without_a_first_line_runs_as_everywhere,
            a_command_needs_its_dashes,
            environment_directory_and_descriptors_are_the_servers,
        },
        recording::{
            every_call_is_a_row_and_the_process_a_closed_session,
            a_restart_makes_no_version_of_what_stayed_the_same,
            ten_at_once_share_a_store,
            a_server_that_dies_fails_its_open_calls_with_its_last_words,
            no_words_of_a_server_are_kept_where_nobody_wants_them,
            what_a_server_asks_is_a_row_of_its_own,
            stray_lines_are_counted_and_pass,
            a_command_leaves_none_of_its_arguments_in_the_store,
            trouble_with_the_store_is_said_once_and_touches_nothing,
            a_quiet_wrapper_says_nothing,
        },
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
