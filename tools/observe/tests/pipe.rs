//! A pipe from outside: what a server offers becomes versions of its schema, and what reading along costs.

use mcplog::Event;
use mcplog_observe::{
    Counts, Observer, Pipe, PipeReader, SchemaQueue, SchemaResult, SchemaWatch, Side, Sink, Surroundings, SystemClock,
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

fn observer(store: &Arc<Store>) -> Arc<Observer> {
    Observer::new(Surroundings {
        proxy: "notes".into(),
        sink: store.clone(),
        schema: store.clone(),
        counts: Arc::new(Counts::default()),
        clock: Arc::new(SystemClock),
        session_idle_ms: 0,
    })
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
    let observer = observer(&store);
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
    let observer = observer(&store);
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
