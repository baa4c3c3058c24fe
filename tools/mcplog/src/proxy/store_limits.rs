//! How much room the store takes and leaves, as the proxy tells it at its start.
//!
//! On the main thread. It looks at the file system and changes nothing.

use mcplog_terminal::units::bytes;

/// Two lines for the greeting: how large the database gets, and what is left free of its disk.
pub(super) fn told(store: &mcplog::Config) -> String {
    let database = match mcplog::plan::limits(store).database_bytes_max {
        Some(limit) => format!("at most {} (--max-size); then the oldest go", bytes(limit)),
        None => "without limit (--max-size)".to_owned(),
    };
    let free = match store.min_free() {
        0 => "nothing of the disk (--min-free)".to_owned(),
        min_free => format!("{} of the disk (--min-free)", bytes(min_free)),
    };
    format!("  database grows      {database}\n  leaves free         {free}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_that_count_are_told_with_the_flags_that_change_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = mcplog::Config::new(dir.path());
        store.limit_database_by_disk = true;
        let by_disk = told(&store);
        assert!(by_disk.contains("database grows      at most ") && by_disk.contains("iB of the disk"), "{by_disk}");
        assert!(by_disk.lines().all(|line| line.len() <= 80), "{by_disk}");
        (store.database_bytes_max, store.min_free_bytes) = (Some(2 << 30), Some(3 << 30));
        let expected = "  database grows      at most 2.0 GiB (--max-size); then the oldest go\n  \
                        leaves free         3.0 GiB of the disk (--min-free)\n";
        assert_eq!(told(&store), expected);
        (store.database_bytes_max, store.min_free_bytes) = (None, Some(0));
        store.limit_database_by_disk = false;
        let none = told(&store);
        assert!(none.contains("without limit") && none.contains("nothing of the disk"), "{none}");
    }
}
