//! A pipe from outside: what a server offers becomes versions of its schema, and what reading along costs.

use mcplog::Event;
use mcplog_observe::{
    Budget, Counts, Observer, PIPE_FREE_BYTES, Pipe, PipeReader, SchemaQueue, SchemaResult, SchemaWatch, Side, Sink,
    Surroundings, SystemClock,
};
use parking_lot::Mutex;
use std::sync::Arc;

/// Keeps what is offered, and what versions are recorded of that.
#[derive(Default)]
struct Store {
    offered: Mutex<Vec<SchemaResult>>,
    /// URL, method, caller and payload.
    versions: Mutex<Vec<[String; 4]>>,
}

impl Sink for Store {
    fn record(&self, event: Event<'_>) -> bool {
        if let Event::SchemaVersion(version) = event {
            let said = [version.upstream_url, version.method, version.caller, version.payload.unwrap_or_default()];
            self.versions.lock().push(said.map(str::to_owned));
        }
        true
    }
}

impl SchemaQueue for Store {
    fn offer(&self, result: SchemaResult) {
        self.offered.lock().push(result);
    }
}

fn surroundings(store: &Arc<Store>) -> Surroundings {
    Surroundings {
        proxy: "notes".into(),
        sink: store.clone(),
        schema: store.clone(),
        counts: Arc::new(Counts::default()),
        clock: Arc::new(SystemClock),
        session_idle_ms: 0,
    }
}

/// A pipe, and the readers of what its client and its server send.
fn begin(observer: &Arc<Observer>) -> (Arc<Pipe>, [PipeReader; 2]) {
    let pipe = Pipe::begin(observer);
    let readers = [Side::Client, Side::Server].map(|side| pipe.reader(side));
    (pipe, readers)
}

const CLIENT: &str = r#""_meta":{"io.modelcontextprotocol/clientInfo":{"name":"cursor"}}"#;

#[test]
fn the_pages_of_a_list_are_one_version_of_a_server_that_has_a_name_and_no_address() {
    let store = Arc::new(Store::default());
    let observer = Observer::new(surroundings(&store));
    let (_pipe, [mut client, mut server]) = begin(&observer);
    for (id, cursor, answer) in [
        (1, "", r#""tools":[{"name":"write"}],"nextCursor":"2""#),
        (2, r#""cursor":"2","#, r#""tools":[{"name":"read","description":"é"}]"#),
    ] {
        let params = format!("{cursor}{CLIENT}");
        let asked = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{{params}}}}}"#);
        client.push(format!("{asked}\r\n").as_bytes());
        // The text of the answer is that of its own line, however it is cut, and whatever passes before it.
        let noise = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"soon"}}"#;
        let answer = format!("{noise}\nlisting\n\r\n  {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{answer}}}}}\r\n");
        answer.as_bytes().chunks(5).for_each(|piece| server.push(piece));
    }
    let (sink, counts, url) = (store.clone(), Arc::new(Counts::default()), Pipe::url_of("notes"));
    let mut watch = SchemaWatch::new(sink, counts, "notes".into(), url.into());
    store.offered.lock().drain(..).for_each(|result| watch.look_at(&result));
    let payload = r#"{"tools":[{"description":"é","name":"read"},{"name":"write"}]}"#;
    let [version] = std::mem::take(&mut *store.versions.lock()).try_into().expect("one version");
    assert_eq!(version[..3], ["stdio:notes", "tools/list", "cursor"]);
    let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON")["tools"].clone();
    let mut tools = same(&version[3]).as_array().expect("a list").clone();
    tools.sort_by_key(|tool| tool["name"].to_string());
    assert_eq!(serde_json::Value::from(tools), same(payload));
}

/// A tool call, as it passes most of the time: each line in a piece of its own.
fn tool_call([client, server]: &mut [PipeReader; 2]) {
    client.push(
        b"{\"jsonrpc\":\"2.0\",\"id\":17,\"method\":\"tools/call\",\"params\":{\"name\":\"search\",\"arguments\":{\"text\":\"x\"}}}\n",
    );
    server.push(b"{\"jsonrpc\":\"2.0\",\"id\":17,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"y\"}]}}\n");
}

#[test]
fn a_call_allocates_no_more_than_it_needs() {
    let store = Arc::new(Store::default());
    let observer = Observer::new(surroundings(&store));
    let (_pipe, mut readers) = begin(&observer);
    // The first one makes what a process and a thread have once.
    tool_call(&mut readers);
    let memory = allocation_counter::measure(|| tool_call(&mut readers));
    assert!(memory.count_total <= 8, "{} allocations", memory.count_total);
    assert_eq!(memory.bytes_current, 0);
    // What is no call costs nothing, as long as nobody asks what the server offers.
    let noise =
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\"soon\"}}\nlistening\n\n";
    let memory = allocation_counter::measure(|| readers.iter_mut().for_each(|reader| reader.push(noise)));
    assert_eq!(memory.count_total, 0);
}

/// What both sides send without end: a beginning, and what follows again and again.
fn endless() -> Vec<(&'static str, String)> {
    let long = "x".repeat(9000);
    let said = |head: &'static str, again: String| (head, again);
    vec![
        said("{", format!(r#""method":"{long}","#)),
        said(r#"{"jsonrpc":"2.0","id":1,"params":{"#, format!(r#""name":"{long}","uri":"{long}","cursor":"{long}","#)),
        said("", long.clone()),
        said("", "{\n".repeat(20)),
        said("", "[".repeat(40)),
        said(r#"{"id":1,"result":{"isError":true,"content":["#, format!(r#"{{"type":"text","text":"{long}"}},"#)),
        said("[", r#"{"jsonrpc":"2.0","method":"notifications/progress"},"#.to_owned()),
        said("[", format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":1,"message":"{long}"}}}},"#)),
        said("[", format!(r#"{{"id":7,"result":{{"isError":true,"content":[{{"type":"text","text":"{long}"}}]}}}},"#)),
        said("[", format!(r#"{{"id":7,"result":{{"content":"{long}"}}}}],[\n["#)),
    ]
}

/// How much is held while both sides send that, in bytes.
fn held((head, again): &(&str, String), budget_bytes: usize) -> u64 {
    /// As long as that is open, the text of each line is kept.
    const LIST: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n";
    let again = again.repeat((64 * 1024 / again.len()).max(1));
    let budget = Budget::new(budget_bytes);
    let memory = allocation_counter::measure(|| {
        let observer = Observer::within(budget.clone(), surroundings(&Arc::new(Store::default())));
        let (_pipe, mut readers) = begin(&observer);
        readers[0].push(LIST);
        readers.iter_mut().for_each(|reader| reader.push(head.as_bytes()));
        for _ in 0..20 {
            readers.iter_mut().for_each(|reader| reader.push(again.as_bytes()));
        }
        observer.finish();
    });
    assert_eq!((memory.bytes_current, budget.taken()), (0, 0), "nothing stays behind: {head} {}", &again[..40]);
    memory.bytes_max
}

#[test]
fn what_either_side_sends_without_end_is_held_in_bounded_memory() {
    const BUDGET_BYTES: usize = 1 << 19;
    /// With what an observer holds beside its pipes.
    const BESIDE: usize = 64 * 1024 + PIPE_FREE_BYTES;
    let mut is_hostile = false;
    for attack in endless() {
        for budget_bytes in [0, BUDGET_BYTES] {
            let bytes = held(&attack, budget_bytes);
            assert!(bytes <= (BESIDE + budget_bytes) as u64, "{bytes} bytes: {} {}", attack.0, &attack.1[..8]);
        }
        is_hostile |= held(&attack, 100 * BUDGET_BYTES) > (BESIDE + BUDGET_BYTES) as u64;
    }
    assert!(is_hostile, "none of them would take more if it could");
}
