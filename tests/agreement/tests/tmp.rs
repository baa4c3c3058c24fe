//! tmp
use mcplog_agreement::case::{Case, Recordings};
#[test]
fn w() {
    let r = Recordings::default();
    for seed in std::env::var("S").unwrap().split(',').map(|s| s.parse::<u64>().unwrap()) {
        let d = Case::of(seed).make(&r);
        let to = format!("/dev/shm/agree/case{seed}");
        let _ = std::fs::remove_dir_all(&to);
        d.store.write(std::path::Path::new(&to));
        println!("{seed}: {}", d.story.join("\n   "));
        for ((p, f), folder) in &d.store.folders {
            for (n, file) in &folder.files {
                if let Some(s) = &file.segment {
                    println!(
                        "  {p:?} {} {n} living {} base {} frames {} durable {} sealed {} gen {}",
                        &f[9..],
                        folder.is_living,
                        s.header.base,
                        s.frames.len(),
                        s.durable_frames,
                        s.is_sealed,
                        s.generation
                    );
                }
            }
        }
        println!("  folded {:?} places {:?}", d.store.folded, d.store.places.values());
    }
}
