# The usual commands. `just` lists them; CONTRIBUTING.md says how long each takes and what it needs. None hides anything:
# each line can be typed as it stands.

_list:
    just --list --unsorted

# Builds the two commands, mcplog and wal-inspect
build:
    cargo build --release --locked

# Runs the library's tests and the rules of the house: `just quick segment::` those whose name says so
quick *arguments:
    cargo test --locked -p mcplog {{arguments}}

# Runs every test, the end-to-end tests too, and says what was skipped
test *arguments:
    tests/run {{arguments}}

# Checks formatting and lints, as CI does
lint:
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo fmt --manifest-path benches/peers/Cargo.toml --all --check
    cargo fmt --manifest-path benches/peers/predecessor/Cargo.toml --check
    cargo clippy --workspace --all-targets --locked -- --deny warnings

# Makes the documentation, as CI does
docs:
    RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --exclude mcplog-model --no-deps --locked

# Prints how many rooms, floors, arrows and circles the code has
graph:
    cargo test --locked -p mcplog --test tidy -- --nocapture graph

# Fuzzes: `just fuzz 600 fold` gives one target ten minutes
fuzz *arguments:
    fuzz/run {{arguments}}

# Runs the long set of the fault tests, as root
faults *arguments:
    tests/faults/run {{arguments}}

# Runs the long set of the tests of many processes at one store: `just many --test killed` those that are killed
many *arguments:
    tests/many/run {{arguments}}

# Plays 1,600,000 random exchanges of all revisions and holds the rows against a judge who sees the wire
wire *arguments:
    tests/wire/run {{arguments}}

# Holds all readers against each other on 20,000 damaged logs; `MCPLOG_AGREEMENT_SEED=100..200 just agreement` on some
agreement *arguments:
    tests/agreement/run {{arguments}}

# Plants faults in the library for an hour: `just mutants --minutes 10 --since HEAD~1 --sample 0` in what changed last
mutants *arguments:
    tests/mutants {{arguments}}

# Measures on this machine: codec, durable, folding, handover, idle, many, pipeline, queries, recovery, retention or wrap
bench name="pipeline":
    cargo bench --locked --bench {{name}}

# Measures mcplog beside its peers: `just peers --quick --only latency`
peers *arguments:
    cargo run --release --locked --manifest-path benches/peers/Cargo.toml -- {{arguments}}

# Runs Miri over the codec and ThreadSanitizer over the threads, with a nightly compiler
sanitizers *arguments:
    tests/sanitizers {{arguments}}

# Runs what CI runs
ci:
    .ci/run
