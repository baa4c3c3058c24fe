//! Names that are told apart no more, because there are too many. The limits are those of tests: eight, and two beyond
//! for those that share a name.

use super::*;

/// A call: proxy, method, tool.
type Call = (&'static str, &'static str, Option<&'static str>);

impl Fixture {
    /// Folds a request of each call, in one batch, and returns the calls that their rows name.
    fn fold_calls(&mut self, calls: &[Call]) -> Vec<Vec<Value>> {
        let payloads: Vec<Vec<u8>> = (0_i64..).zip(calls).map(|(ts, call)| request_of(ts, *call)).collect();
        let mutations = (1..).map(Sequence).zip(payloads.iter().map(|payload| fold(Record::decode(payload).unwrap())));
        let mut batch = self.index().begin().unwrap();
        batch.apply(WRITER, mutations.collect()).unwrap();
        batch.commit().unwrap();
        self.rows("SELECT proxy, method, tool FROM requests ORDER BY ts")
    }
}

fn request_of(ts: i64, (proxy, method, tool): Call) -> Vec<u8> {
    let id = format!("r{ts}");
    let mut request = Request::new(&id, ts, proxy, method);
    request.tool = tool;
    let mut payload = Vec::new();
    Record::from(Event::from(request)).encode(&mut payload);
    payload
}

fn row((proxy, method, tool): Call) -> Vec<Value> {
    vec![proxy.to_owned().into(), method.to_owned().into(), tool.map(str::to_owned).into()]
}

#[test]
fn of_too_many_calls_the_tool_goes_first_and_then_the_rest_of_the_name() {
    const EIGHT: [&str; 8] = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"];
    let told_apart = EIGHT.map(|tool| (("p", "tools/call", Some(tool)), ("p", "tools/call", Some(tool))));
    let other = (OTHER_NAME, OTHER_NAME, None);
    let too_many = [
        // Who gives a tool that name, or names none, has no name to share.
        (("p", "tools/call", Some(OTHER_NAME)), other),
        (("p", "ping", None), other),
        // Two calls share the name of their method; then there is no room for a third such name.
        (("p", "tools/call", Some("t8")), ("p", "tools/call", Some(OTHER_NAME))),
        (("q", "tools/call", Some("t8")), other),
        (("p", "tools/call", Some("t9")), ("p", "tools/call", Some(OTHER_NAME))),
        // What was told apart before still is.
        (("p", "tools/call", Some("t7")), ("p", "tools/call", Some("t7"))),
        (("p", "ping", None), other),
    ];
    let all: Vec<(Call, Call)> = told_apart.into_iter().chain(too_many).collect();
    let mut fixture = Fixture::new();
    let found = fixture.fold_calls(&all.iter().map(|(recorded, _)| *recorded).collect::<Vec<_>>());
    for ((recorded, expected), found) in all.iter().zip(&found) {
        assert_eq!(found, &row(*expected), "{recorded:?}");
    }
    assert_eq!(found.len(), all.len());
}

#[test]
fn of_too_many_endpoints_further_ones_are_one_and_rows_keep_their_own() {
    // Three are told apart: who makes up paths takes no names of tools.
    let recorded = [Some("/a"), None, Some("/b"), Some("/c"), Some("/d"), Some("/e"), Some("/d"), Some("/a")];
    let names =
        [Some("/a"), None, Some("/b"), Some("/c"), Some(OTHER_NAME), Some(OTHER_NAME), Some(OTHER_NAME), Some("/a")];
    let mut fixture = Fixture::new();
    for batch in 0..2 {
        let payloads: Vec<Vec<u8>> = (0_i64..)
            .zip(recorded)
            .map(|(number, endpoint)| {
                let id = format!("r{batch}-{number}");
                let mut request = Request::new(&id, batch * 100 + number, "p", "tools/call");
                (request.tool, request.endpoint) = (Some("t"), endpoint);
                let mut payload = Vec::new();
                Record::from(Event::from(request)).encode(&mut payload);
                payload
            })
            .collect();
        let numbers = (1 + 100 * u64::try_from(batch).unwrap()..).map(Sequence);
        let mutations = numbers.zip(payloads.iter().map(|payload| fold(Record::decode(payload).unwrap())));
        let mut index_batch = fixture.index().begin().unwrap();
        index_batch.apply(WRITER, mutations.collect()).unwrap();
        index_batch.commit().unwrap();
    }
    let text = |endpoint: Option<&str>| Value::from(endpoint.map(str::to_owned));
    let sql = "SELECT r.endpoint, c.endpoint FROM request_rows r JOIN calls c ON c.id = r.call ORDER BY ts";
    let once: Vec<Vec<Value>> = recorded.iter().zip(names).map(|(own, name)| vec![text(*own), text(name)]).collect();
    assert_eq!(fixture.rows(sql), [once.clone(), once].concat());
    let calls = fixture.rows("SELECT DISTINCT proxy, method, tool FROM calls");
    assert_eq!(calls, [row(("p", "tools/call", Some("t")))]);
}

#[test]
fn clients_and_proxies_are_crowded_beyond_half_of_those_that_are_told_apart() {
    for (table, column) in [("clients", "client_name"), ("proxies", "proxy")] {
        for (count, expected) in [(0, false), (4, false), (5, true), (8, true)] {
            let mut fixture = Fixture::new();
            let Index { held, connection, .. } = fixture.index();
            let names = &mut held.names;
            for name in 0..count {
                connection.execute(&format!("INSERT INTO {table} ({column}) VALUES (?)"), [name.to_string()]).unwrap();
            }
            assert_eq!(names.are_crowded(connection), Ok(expected), "{count} {table}");
        }
    }
}
