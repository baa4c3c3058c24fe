//! Whose a request is that names no session: by what it says of who asks, and where it comes from.

use super::*;
use crate::credential::Credential;

const FIREFOX: Option<&str> = Some("firefox");

fn client(name: &str) -> ClientIdentity {
    ClientIdentity::new(Some(name), Some("1"))
}

fn at(address: u128) -> Asker {
    Asker::new((Some(address), 1), "/mcp", None, None)
}

impl DerivedSessions {
    /// A handshake that succeeded.
    fn hello(&self, name: &str, asker: &Asker, now_ms: i64) -> Arc<str> {
        let session_id = self.seek(&client(name), asker, now_ms);
        self.settle(&session_id, true);
        self.shake_hands(&session_id, asker, Some("2025-06-18"));
        session_id
    }
}

#[test]
fn a_client_without_sessions_has_one_until_it_is_idle() {
    let sessions = DerivedSessions::new(1000);
    let first = sessions.seek(&client("c"), &at(1), 0);
    assert_eq!(sessions.settle(&first, false), None, "nothing proves the era yet");
    assert_eq!(sessions.settle(&first, true), Some(true));
    assert_eq!(sessions.seek(&client("c"), &at(1), 1000), first);
    assert_eq!([sessions.settle(&first, true), sessions.settle(&first, false)], [Some(false), Some(false)]);
    let elsewhere = Asker::new((Some(1), 1), "/other", None, None);
    for (name, asker) in [("d", at(1)), ("c", at(2)), ("c", elsewhere)] {
        assert_ne!(sessions.seek(&client(name), &asker, 1000), first, "{name} {asker:?}");
    }
    let second = sessions.seek(&client("c"), &at(1), 2001);
    assert_ne!(second, first, "idle for too long");
    assert_eq!(sessions.settle(&second, false), None);
}

#[test]
fn what_does_not_say_who_asks_belongs_to_the_one_client_that_it_can_come_from() {
    let asker = |connection, agent, token: Option<&str>| {
        Asker::new((Some(1), connection), "/mcp", agent, token.map(Credential::of))
    };
    let sessions = DerivedSessions::new(1000);
    let [alone, token] = [asker(1, None, None), asker(1, None, Some("Bearer a"))];
    assert_eq!(sessions.seek_nameless(&alone, 0), None, "nobody was there");
    let first = sessions.hello("c", &alone, 0);
    let nameless = |asker: &Asker, now_ms| sessions.seek_nameless(asker, now_ms);
    for known in [alone, asker(2, None, None), token] {
        assert_eq!(nameless(&known, 0).as_ref(), Some(&first), "{known:?}");
    }
    let other_place =
        [at(2), Asker::new((Some(1), 1), "/other", None, None), Asker::new((None, 1), "/mcp", None, None)];
    for unknown in other_place.into_iter().chain([asker(1, FIREFOX, None)]) {
        assert_eq!(nameless(&unknown, 0), None, "{unknown:?}");
    }
    // A second client that differs in its agent, one that differs in its credential, and one that differs in nothing.
    let by_agent = sessions.hello("browser", &asker(3, FIREFOX, None), 0);
    assert_eq!(nameless(&asker(4, FIREFOX, None), 0), Some(by_agent));
    assert_eq!(nameless(&asker(4, None, None), 0).as_ref(), Some(&first));
    let by_token = sessions.hello("d", &token, 0);
    assert_eq!(nameless(&asker(5, None, Some("Bearer a")), 0), Some(by_token));
    assert_eq!(nameless(&asker(5, None, None), 0).as_ref(), Some(&first));
    let twin = sessions.hello("twin", &asker(6, None, None), 0);
    assert_eq!(nameless(&asker(6, None, None), 0), Some(twin.clone()));
    assert_eq!(nameless(&asker(1, None, None), 0).as_ref(), Some(&first));
    assert_eq!(nameless(&asker(7, None, None), 0), None, "it may be either's");
    // Once the other is silent for too long, it is the only one.
    assert_eq!(nameless(&asker(6, None, None), 900), Some(twin.clone()));
    assert_eq!(nameless(&asker(7, None, None), 1500), Some(twin));
    assert_eq!(nameless(&asker(7, None, None), 9000), None, "all are idle");
}

#[test]
fn a_client_that_shakes_hands_again_goes_on_in_its_session() {
    let sessions = DerivedSessions::new(0);
    let first = sessions.hello("c", &at(1), 0);
    for connection in 2..300 {
        assert_eq!(sessions.hello("c", &Asker::new((Some(1), connection), "/mcp", None, None), 0), first);
    }
    assert_eq!(sessions.state.lock().handshakes.values().map(Vec::len).sum::<usize>(), 1);
    assert_eq!(sessions.protocol_version(&first).as_deref(), Some("2025-06-18"));
    assert_eq!(sessions.client_name(&first).as_deref(), Some("c"));
}

#[test]
fn memory_is_bounded_and_the_oldest_goes_first() {
    let sessions = DerivedSessions::new(0);
    for number in 0..=DERIVED_MAX {
        let now_ms = i64::try_from(number).unwrap();
        sessions.hello(&number.to_string(), &at(u128::try_from(number % 2).unwrap()), now_ms);
    }
    let state = sessions.state.lock();
    assert_eq!((state.sessions.len(), state.by_client.len()), (DERIVED_MAX, DERIVED_MAX));
    assert!(state.handshakes.values().all(|handshakes| handshakes.len() <= HANDSHAKES_MAX));
    drop(state);
    let now_ms = i64::try_from(DERIVED_MAX).unwrap();
    let [oldest, next] = ["1", "0"].map(|name| sessions.seek(&client(name), &at(u128::from(name == "1")), now_ms));
    assert_eq!(sessions.settle(&oldest, false), Some(false));
    assert_eq!(sessions.settle(&next, false), None, "it was forgotten");
}

#[test]
fn who_is_refused_pushes_nobody_out() {
    let sessions = DerivedSessions::new(0);
    let first = sessions.hello("c", &at(1), 0);
    for number in 0..3 * i64::try_from(DERIVED_MAX).unwrap() {
        sessions.seek(&client(&number.to_string()), &at(2), 1 + number);
    }
    assert_eq!(sessions.seek(&client("c"), &at(1), 1), first);
    assert!(sessions.state.lock().sessions.len() <= DERIVED_MAX);
}

/// What a store has of a session that began at that place with that salt.
fn on_record(session_id: &str, name: &str, version: &str, last_seen_at: i64) -> KnownSession {
    let text = |text: &str| Some(text.to_owned());
    KnownSession {
        session_id: session_id.to_owned(),
        client_name: text(name),
        client_version: text("1"),
        protocol_version: text(version),
        derived: true,
        last_seen_at,
    }
}

#[test]
fn a_client_goes_on_in_the_session_that_an_earlier_observer_made_up_for_it() {
    let salted = |idle_ms| {
        let sessions = DerivedSessions::new(idle_ms);
        sessions.learn("salt".to_owned(), vec![]);
        sessions
    };
    let (before, after) = (salted(1000), salted(1000));
    let ids = [1, 2].map(|address| before.seek(&client("c"), &at(address), 0));
    let old = before.hello("old", &at(3), 0);
    let known = vec![
        on_record(&ids[0], "c", "2026-07-28", 500),
        on_record(&ids[1], "c", "2026-07-28", 500),
        on_record(&old, "old", "2025-06-18", 500),
        on_record("derived-odd", "c", "2026-07-28", 500),
    ];
    for _ in 0..2 {
        after.learn("salt".to_owned(), known.clone());
        for (address, id) in [(2, &ids[1]), (1, &ids[0])] {
            assert_eq!(after.seek(&client("c"), &at(address), 900), *id);
            assert_eq!(after.settle(id, true), Some(false), "it is on record");
        }
        assert_eq!(after.seek_nameless(&at(1), 900), None, "such a client says who it is");
        let firefox = Asker::new((Some(3), 9), "/mcp", FIREFOX, None);
        assert_eq!(after.seek_nameless(&firefox, 900).as_ref(), Some(&old), "nobody knows its agent any more");
    }
    assert_eq!(after.protocol_version(&old).as_deref(), Some("2025-06-18"));
    assert_eq!(after.hello("old", &at(3), 900), old);
    assert_eq!(after.seek_nameless(&Asker::new((Some(3), 9), "/mcp", FIREFOX, None), 900), None, "now it is known");
    for (name, asker) in [("d", at(1)), ("c", at(4)), ("c", Asker::new((Some(1), 1), "/other", None, None))] {
        assert!(!ids.contains(&after.seek(&client(name), &asker, 900)), "{name} {asker:?}");
    }
    // Idle for too long; another store; heard of before the store could be read.
    let late = salted(1000);
    late.learn("salt".to_owned(), known.clone());
    assert_ne!(late.seek(&client("c"), &at(1), 1501), ids[0]);
    let foreign = salted(1000);
    foreign.learn("pepper".to_owned(), known.clone());
    assert_ne!(foreign.seek(&client("c"), &at(1), 900), ids[0]);
    let first_heard = DerivedSessions::new(1000);
    let own = first_heard.seek(&client("c"), &at(1), 800);
    first_heard.learn("salt".to_owned(), known);
    assert_eq!(first_heard.seek(&client("c"), &at(1), 900), own);
}

#[test]
fn a_session_that_is_forgotten_leaves_nothing_behind() {
    let sessions = DerivedSessions::new(10);
    for round in 0..3_i64 {
        for number in 0..100 {
            sessions.hello(&number.to_string(), &at(number), round * 1000);
        }
    }
    sessions.state.lock().make_room(9000, 10);
    let state = sessions.state.lock();
    assert!(state.sessions.is_empty() && state.by_client.is_empty() && state.handshakes.is_empty());
}
