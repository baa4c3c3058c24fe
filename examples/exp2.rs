//! exp2
use mcplog::{Config, Request, Store};
use std::time::Instant;
use std::hint::black_box;
fn main() {
    let dir = tempfile::tempdir_in("target").unwrap();
    let store = Store::open(Config::new(dir.path().join("data"))).unwrap();
    let recorder = store.recorder();
    let sessions: Vec<String> = (0..200_u64).map(|n| format!("{:032x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let only = std::env::args().len() > 2; let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    for round in 0..5 {
    let t = Instant::now();
    for number in 0..n {
        let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-000000000000", 1_760_000_000_000 + number as i64, "files", "tools/call");
        request.session_id = Some(&sessions[number % 200]);
        request.tool = Some("search");
        request.latency_us = 1_000 + (number % 977) as i64;
        request.bytes_in = Some(180);
        request.bytes_out = Some(1_900);
        if only { black_box(request); } else { recorder.record(black_box(request)); }
    }
    let e = t.elapsed();
    println!("{round}: {:.1} ns/event dropped {}", e.as_nanos() as f64 / n as f64, store.stats().dropped);
    store.wait_folded(std::time::Duration::from_secs(60)).unwrap();
    }
}
