//! smoke
use mcplog::*;
use std::time::Duration;
#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path().join("s"));
    config.keep_segments_bytes = Some(u64::MAX);
    let a = Store::open(config.clone()).unwrap();
    let b = Store::open(config.clone()).unwrap();
    for i in 0..1000 {
        a.recorder().record(Request::new(&format!("a{i}"), i, "files", "tools/call"));
        b.recorder().record(Request::new(&format!("b{i}"), i, "files", "tools/call"));
    }
    println!("{:?}", a.wait_folded(Duration::from_secs(4)));
    println!("{:?}\n{:?}", a.stats(), b.stats());
    b.wait_folded(Duration::from_secs(10)).unwrap();
    println!("{:?}\n{:?}", a.stats(), b.stats());
    let q = Query::open(a.dir()).unwrap();
    assert_eq!(q.totals().unwrap().requests, 2000);
    drop(q);
    println!("{:?}", b.shutdown(Duration::from_secs(5)));
    println!("{:?}", a.shutdown(Duration::from_secs(5)));
    let out = std::process::Command::new("find").arg(dir.path()).output().unwrap();
    println!("{}", String::from_utf8_lossy(&out.stdout));
    let r =
        rebuild(&Config::new(dir.path().join("s")), rebuild::Source::Log, |_, _| std::ops::ControlFlow::Continue(()));
    println!("{r:?}");
    let q = Query::open(&dir.path().join("s")).unwrap();
    assert_eq!(q.totals().unwrap().requests, 2000);
    drop(q);
    println!("{:?}", backup(&dir.path().join("s"), &dir.path().join("t"), |_| std::ops::ControlFlow::Continue(())));
}
