-- The tables of store.db, version 1 (PRAGMA user_version). Times are Unix milliseconds, UTC.
-- Only index.rs writes here; query/ and the sqlite3 shell read.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Up to here, folded. Commits together with the rows that it vouches for.
CREATE TABLE checkpoint (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    writer_id BLOB    NOT NULL,     -- whose log this is; 16 bytes
    segment   INTEGER NOT NULL,
    offset    INTEGER NOT NULL,     -- of the first byte that is not folded
    sequence  INTEGER NOT NULL      -- of the last record that is folded; 0 for none
) STRICT;

CREATE TABLE requests (
    id               INTEGER PRIMARY KEY,   -- the record's sequence number in the log
    request_id       TEXT    NOT NULL UNIQUE,
    ts               INTEGER NOT NULL,
    proxy            TEXT    NOT NULL,
    session_id       TEXT,
    method           TEXT    NOT NULL,
    tool             TEXT,
    latency_us       INTEGER NOT NULL,
    status           TEXT    NOT NULL CHECK (status IN ('ok', 'error', 'timeout')),
    error_code       TEXT,
    error_msg        TEXT,
    bytes_in         INTEGER,
    bytes_out        INTEGER,
    tool_error       INTEGER CHECK (tool_error IN (0, 1)),  -- the result said isError; NULL where it can't
    target           TEXT,                  -- resource URI or prompt name
    protocol_version TEXT,
    rpc_id           TEXT
) STRICT;
CREATE INDEX requests_by_ts      ON requests (ts);
CREATE INDEX requests_by_session ON requests (session_id, ts) WHERE session_id IS NOT NULL;

-- One row per session id that any event named, in whatever order the events came. The columns up to total_errors
-- are what people read; those below are what folding needs so that order does not matter.
CREATE TABLE session_state (
    session_id        TEXT    PRIMARY KEY,
    proxy             TEXT    NOT NULL,
    started_at        INTEGER NOT NULL,
    last_seen_at      INTEGER NOT NULL,
    closed_at         INTEGER,              -- the earliest SessionClosed
    client_name       TEXT,
    client_version    TEXT,
    client_platform   TEXT,
    protocol_version  TEXT,
    derived           INTEGER NOT NULL CHECK (derived IN (0, 1)),
    total_calls       INTEGER NOT NULL,
    total_errors      INTEGER NOT NULL,     -- status error and timeout
    total_tool_errors INTEGER NOT NULL,
    announced_at      INTEGER,              -- the earliest Session event; NULL until one came
    first_request_at  INTEGER,
    last_request_at   INTEGER,
    request_proxy     TEXT                  -- the least proxy name among the requests
) STRICT, WITHOUT ROWID;
CREATE INDEX session_state_by_last_seen ON session_state (last_seen_at);

-- A session that was never closed and has been silent for meta.session_idle_ms counts as ended when it was last
-- seen. Computed when read, so that it reopens by itself when it speaks again. (Not unixepoch('subsec'): the sqlite3
-- shells of before 3.42 don't know it.)
CREATE VIEW sessions AS
SELECT session_id, proxy, started_at, last_seen_at,
       coalesce(closed_at,
                CASE WHEN last_seen_at + (SELECT nullif(CAST(value AS INTEGER), 0) FROM meta WHERE key = 'session_idle_ms')
                          <= CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
                     THEN last_seen_at END) AS ended_at,
       client_name, client_version, client_platform, total_calls, total_errors,
       total_tool_errors, protocol_version, derived
FROM session_state;

-- Every version ever seen. The changes below are a function of this set, ordered by (ts, content_hash).
CREATE TABLE schema_versions (
    id           INTEGER PRIMARY KEY,       -- the record's sequence number in the log
    proxy        TEXT    NOT NULL,
    upstream_url TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    ts           INTEGER NOT NULL,
    content_hash TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    UNIQUE (proxy, upstream_url, method, ts, content_hash)
) STRICT;

CREATE VIEW server_schema AS
SELECT id, proxy, upstream_url, method, payload, ts AS captured_at, content_hash AS schema_hash
FROM schema_versions AS version
WHERE NOT EXISTS (
    SELECT 1 FROM schema_versions AS later
    WHERE later.proxy = version.proxy AND later.upstream_url = version.upstream_url AND later.method = version.method
      AND (later.ts, later.content_hash) > (version.ts, version.content_hash)
);

CREATE TABLE schema_changes (
    id           INTEGER PRIMARY KEY,
    proxy        TEXT    NOT NULL,
    upstream_url TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    change_type  TEXT    NOT NULL,
    item_name    TEXT,
    old_hash     TEXT,
    new_hash     TEXT,
    detected_at  INTEGER NOT NULL,
    version_id   INTEGER NOT NULL REFERENCES schema_versions (id)
) STRICT;
CREATE INDEX schema_changes_by_version ON schema_changes (version_id);
CREATE INDEX schema_changes_by_time    ON schema_changes (detected_at);

-- Events known to be lost: how many, from when to when.
CREATE TABLE gaps (
    id      INTEGER PRIMARY KEY,            -- the record's sequence number in the log
    from_ts INTEGER NOT NULL,
    to_ts   INTEGER NOT NULL,
    events  INTEGER NOT NULL
) STRICT;

-- What the log holds but nobody can fold: an intact record that can't be decoded, or damaged bytes.
CREATE TABLE quarantine (
    id       INTEGER PRIMARY KEY,
    segment  INTEGER NOT NULL,
    offset   INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    sequence INTEGER,                       -- NULL for damaged bytes
    reason   TEXT    NOT NULL,
    payload  BLOB,                          -- the record as it stands in the log; NULL for damaged bytes
    UNIQUE (segment, offset)
) STRICT;
