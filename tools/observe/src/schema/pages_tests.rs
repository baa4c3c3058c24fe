//! Pages: chains by hand, and every interleaving of two walks with a server that changes meanwhile.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

struct Server {
    pages: Pages,
    now: Instant,
}

/// A page that was answered, of a request that was sent at that time.
struct Page<'a> {
    scope: u64,
    method: SchemaMethod,
    cursor: Option<&'a str>,
    names: &'a [&'a str],
    next: Option<&'a str>,
    asked_at: Instant,
    bytes: usize,
}

impl Server {
    fn new() -> Self {
        Self { pages: Pages::default(), now: Instant::now() }
    }

    fn tick(&mut self) -> Instant {
        self.now += Duration::from_millis(1);
        self.now
    }

    /// A page of tools: the names, comma separated, of the completed list if it is one.
    fn page(&mut self, scope: u64, cursor: Option<&str>, names: &[&str], next: Option<&str>) -> Option<String> {
        self.page_of(SchemaMethod::Tools, scope, cursor, names, next)
    }

    fn page_of(
        &mut self,
        method: SchemaMethod,
        scope: u64,
        cursor: Option<&str>,
        names: &[&str],
        next: Option<&str>,
    ) -> Option<String> {
        let asked_at = self.tick();
        self.answer(&Page { scope, method, cursor, names, next, asked_at, bytes: 1 })
    }

    fn answer(&mut self, page: &Page<'_>) -> Option<String> {
        let (list, key) = page.method.list().unwrap();
        let Added::Whole(merged) = self.add(page) else { return None };
        let merged: Value = serde_json::from_str(&merged.payload().unwrap()).unwrap();
        assert!(merged.get("nextCursor").is_none());
        let names: Vec<&str> =
            merged[list].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap()).collect();
        Some(names.join(","))
    }

    fn add(&mut self, page: &Page<'_>) -> Added {
        let (list, key) = page.method.list().unwrap();
        let items: Vec<Value> = page.names.iter().map(|name| json!({key: name})).collect();
        let result = json!({list: items, "nextCursor": page.next, "ttlMs": 1, "pad": " ".repeat(page.bytes)});
        let answered_at = self.tick();
        let asked = Asked {
            scope: Scope::Connection(page.scope),
            endpoint: Some("/mcp".into()),
            method: page.method,
            cursor: page.cursor.map(Box::from),
            caller: Caller::default(),
            asked_at: page.asked_at,
        };
        let message = json!({"id": 1, "result": result}).to_string();
        self.pages.add(&asked, answered_at, message.as_bytes())
    }
}

#[test]
fn a_list_in_one_page_is_complete_at_once() {
    let mut server = Server::new();
    assert_eq!(server.page(1, None, &["a", "b"], None).as_deref(), Some("a,b"));
    assert_eq!(server.page(1, Some(""), &["a"], Some("")).as_deref(), Some("a"));
}

#[test]
fn pages_are_merged_in_order() {
    let mut server = Server::new();
    assert_eq!(server.page(1, None, &["a"], Some("2")), None);
    assert_eq!(server.page(1, Some("2"), &["b"], Some("3")), None);
    assert_eq!(server.page(1, Some("3"), &["c"], None).as_deref(), Some("a,b,c"));
}

#[test]
fn pages_without_a_beginning_or_out_of_turn_change_nothing() {
    let mut server = Server::new();
    assert_eq!(server.page(1, Some("2"), &["b"], None), None, "never begun");
    assert_eq!(server.page(1, None, &["a"], Some("2")), None);
    assert_eq!(server.page(1, Some("3"), &["c"], None), None, "not the promised cursor");
    assert_eq!(server.page(2, Some("2"), &["b"], None), None, "another scope");
    assert_eq!(server.page_of(SchemaMethod::Prompts, 1, Some("2"), &["b"], None), None, "another method");
    assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("a,b"));
    assert_eq!(server.page(1, Some("2"), &["b"], None), None, "the chain is over");
}

#[test]
fn a_first_page_that_was_abandoned_hides_no_change() {
    let mut server = Server::new();
    // The cursors of most servers are offsets: the same before and after.
    assert_eq!(server.page(1, None, &["a"], Some("2")), None);
    assert_eq!(server.page(1, None, &["new"], Some("2")), None);
    assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("new,b"));
    // The same where nothing or only the second page changed.
    for last in ["b", "other"] {
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(1, None, &["a"], Some("2")), None);
        assert_eq!(server.page(1, Some("2"), &[last], None), Some(format!("a,{last}")));
    }
}

#[test]
fn a_page_that_was_asked_for_before_the_cursor_was_known_is_another_walks() {
    let mut server = Server::new();
    assert_eq!(server.page(1, None, &["a"], Some("2")), None);
    let asked_at = server.tick();
    assert_eq!(server.page(1, None, &["new"], Some("2")), None);
    let (scope, method) = (1, SchemaMethod::Tools);
    let second = Page { scope, method, cursor: Some("2"), names: &["b"], next: None, asked_at, bytes: 1 };
    assert_eq!(server.answer(&second), None, "whose second page is this?");
    assert_eq!(server.page(1, Some("2"), &["c"], None).as_deref(), Some("new,c"));
}

/// Two walks over a server with two pages, whose list changes once: every interleaving of their four steps each (ask and be
/// answered, twice), with the change at every place, each walk abandoned after every step, with cursors that are the same
/// for all and ones that are given out once, where both pages change and where one does.
#[test]
fn no_interleaving_of_two_walks_hides_a_change_or_shows_a_list_that_was_never_there() {
    const OLD_AND_NEW: [[[&str; 2]; 2]; 3] =
        [[["a", "b"], ["A", "B"]], [["a", "b"], ["A", "b"]], [["a", "b"], ["a", "B"]]];
    let mut cases = 0;
    for lists in OLD_AND_NEW {
        for own_cursors in [false, true] {
            for order in 0..1_u32 << 8 {
                if order.count_ones() != 4 {
                    continue;
                }
                for change in 0..=8 {
                    for (first_steps, second_steps) in (0..=4).flat_map(|one| (0..=4).map(move |two| (one, two))) {
                        two_walks(&lists, own_cursors, order, change, [first_steps, second_steps]);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 3 * 2 * 70 * 9 * 25);
}

fn two_walks(lists: &[[&str; 2]; 2], own_cursors: bool, order: u32, change: usize, steps: [usize; 2]) {
    let mut server = Server::new();
    let whole = |list: &[&str; 2]| list.join(",");
    let (mut done, mut asked_at, mut began_new) = ([0; 2], [server.now; 2], [false; 2]);
    let mut first_seen = [None; 2];
    let (mut shown, mut may_mix) = (BTreeSet::new(), false);
    for place in 0..8 {
        let is_new = place >= change;
        let walk = (order >> place & 1) as usize;
        if done[walk] == steps[walk] {
            continue;
        }
        let step = done[walk];
        done[walk] += 1;
        let cursor = if own_cursors { format!("{walk}") } else { "2".to_owned() };
        let list = lists[usize::from(is_new)];
        let scope = 1;
        match step {
            0 | 2 => {
                began_new[walk] |= step == 0 && is_new;
                asked_at[walk] = server.tick();
            }
            1 => {
                first_seen[walk] = Some(is_new);
                let (method, next) = (SchemaMethod::Tools, Some(&*cursor));
                let page =
                    Page { scope, method, cursor: None, names: &list[..1], next, asked_at: asked_at[walk], bytes: 1 };
                assert_eq!(server.answer(&page), None);
            }
            _ => {
                let (method, cursor) = (SchemaMethod::Tools, Some(&*cursor));
                let page =
                    Page { scope, method, cursor, names: &list[1..], next: None, asked_at: asked_at[walk], bytes: 1 };
                // Where the list changes between two pages and nobody saw the new first page, nobody can tell.
                may_mix |= is_new && first_seen.iter().flatten().all(|is_new| !is_new);
                shown.extend(server.answer(&page));
            }
        }
    }
    let case = format!("{lists:?}, own cursors {own_cursors}, order {order:08b}, change {change}, steps {steps:?}");
    for list in &shown {
        let was_there = lists.iter().any(|there| whole(there) == *list);
        assert!(was_there || may_mix, "{list} was never there: {case}");
    }
    for walk in 0..2 {
        if began_new[walk] && done[walk] == 4 {
            assert!(shown.contains(&whole(&lists[1])), "the change is hidden: {case}, shown {shown:?}");
        }
    }
    if change == 8 && done.contains(&4) {
        assert_eq!(shown, BTreeSet::from([whole(&lists[0])]), "{case}");
    }
}

#[test]
fn two_scopes_with_the_same_cursors_do_not_touch() {
    let mut server = Server::new();
    assert_eq!(server.page(1, None, &["a"], Some("2")), None);
    assert_eq!(server.page(2, None, &["x"], Some("2")), None);
    assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("a,b"));
    assert_eq!(server.page(2, Some("2"), &["y"], None).as_deref(), Some("x,y"));
}

#[test]
fn a_chain_that_waited_too_long_makes_room() {
    let mut server = Server::new();
    assert_eq!(server.page(1, None, &["a"], Some("2")), None);
    server.now += WALK_IDLE_MAX;
    assert_eq!(server.page(2, None, &["a"], Some("2")), None);
    assert_eq!(server.pages.chains.len(), 1);
}

#[test]
fn unfinished_chains_are_bounded_and_the_oldest_goes_first() {
    let mut server = Server::new();
    for scope in 0..=(CHAINS_MAX as u64) {
        assert_eq!(server.page(scope, None, &["a"], Some("2")), None);
    }
    assert_eq!(server.pages.chains.len(), CHAINS_MAX);
    assert_eq!(server.page(0, Some("2"), &["b"], None), None, "forgotten");
    assert_eq!(server.page(1, Some("2"), &["b"], None).as_deref(), Some("a,b"));
    // One client's cursors are given out once, and it asks for nothing more.
    for cursor in 0..CHAINS_MAX {
        assert_eq!(server.page(1, None, &["a"], Some(&format!("own{cursor}"))), None);
    }
    assert_eq!(server.pages.chains.iter().filter(|chain| chain.owner.scope == Scope::Connection(1)).count(), 16);
    let of_another = CHAINS_OF_ONE_MAX as u64 + 1;
    assert_eq!(server.page(of_another, Some("2"), &["b"], None).as_deref(), Some("a,b"), "one client takes few places");
}

#[test]
fn what_chains_hold_is_bounded_and_who_holds_most_goes_first() {
    let (mut server, method) = (Server::new(), SchemaMethod::Tools);
    assert_eq!(server.page(2, None, &["small"], Some("2")), None);
    for walk in 0..40 {
        let (cursor, bytes, asked_at) = (format!("{walk}"), SCHEMA_BYTES_MAX - 1000, server.tick());
        let next = Some(&*cursor);
        assert_eq!(server.answer(&Page { scope: 1, method, cursor: None, names: &["a"], next, asked_at, bytes }), None);
        assert!(server.pages.bytes_of(None) <= CHAINS_BYTES_MAX);
    }
    assert_eq!(server.page(1, Some("39"), &["b"], None).as_deref(), Some("a,b"), "the newest one is kept");
    assert_eq!(server.page(2, Some("2"), &["b"], None).as_deref(), Some("small,b"));
}

#[test]
fn walks_that_go_on_alike_are_all_completed_and_held_once() {
    let mut server = Server::new();
    let bytes = SCHEMA_BYTES_MAX / 2;
    let first = |server: &mut Server| {
        let (method, names, next, asked_at) = (SchemaMethod::Tools, &["a"], Some("2"), server.tick());
        server.answer(&Page { scope: 1, method, cursor: None, names, next, asked_at, bytes })
    };
    for _ in 0..WALKS_MAX {
        assert_eq!(first(&mut server), None);
    }
    assert_eq!((server.pages.chains.len(), server.pages.bytes_of(None) < SCHEMA_BYTES_MAX), (1, true));
    for _ in 0..WALKS_MAX {
        assert_eq!(server.page(1, Some("2"), &["b"], Some("3")), None);
    }
    assert_eq!(server.pages.chains.len(), 1);
    for _ in 0..WALKS_MAX {
        assert_eq!(server.page(1, Some("3"), &["c"], None).as_deref(), Some("a,b,c"));
    }
    assert_eq!(server.page(1, Some("3"), &["c"], None), None, "as many as there were");
    assert_eq!(server.pages.chains.len(), 0);
}

#[test]
fn servers_behind_one_origin_do_not_share_cursors() {
    let mut server = Server::new();
    assert_eq!(server.page(1, None, &["a"], Some("2")), None);
    server.pages.chains[0].owner.endpoint = Some("/other".into());
    assert_eq!(server.page(1, Some("2"), &["b"], None), None);
}

#[test]
fn a_list_over_the_bound_is_given_up() {
    let mut server = Server::new();
    assert_eq!(server.page(1, None, &["a"], Some("2")), None);
    let (scope, method, bytes) = (1, SchemaMethod::Tools, SCHEMA_BYTES_MAX);
    let asked_at = server.tick();
    let page = Page { scope, method, cursor: Some("2"), names: &[], next: None, asked_at, bytes };
    assert!(matches!(server.add(&page), Added::TooLong));
    assert_eq!(server.pages.chains.len(), 0);
}
