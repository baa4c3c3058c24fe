-- The tables of store.db. PRAGMA user_version says which version they are of. Times are Unix milliseconds, UTC.
-- Only index/ writes here; query/ and the sqlite3 shell read. Whoever changes anything here adds a migration that makes the
-- same change in a store that exists.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who records, or did: one row for each life of a process that recorded anything. The log says it itself, in its first record
-- and its last. A row outlives the folder of its log, so that a folder which a power cut brings back is not folded again.
CREATE TABLE writers (
    id              INTEGER PRIMARY KEY,    -- its number within this database
    writer          TEXT    NOT NULL UNIQUE,    -- its id: a UUID, which names the folder in wal/
    process_id      INTEGER,                -- NULL, as all of these: the record that says it is not folded
    host            TEXT,
    program         TEXT,
    program_version TEXT,
    started_at      INTEGER,
    last_seen_at    INTEGER,                -- when its newest event happened; NULL before the first
    ended_at        INTEGER,                -- of one that died: then at the latest
    ended           TEXT CHECK (ended IN ('closed', 'died'))
) STRICT;

-- Up to here, folded, for each writer. Commits together with the rows that it vouches for.
CREATE TABLE checkpoint (
    writer   INTEGER PRIMARY KEY REFERENCES writers (id),
    segment  INTEGER NOT NULL,
    offset   INTEGER NOT NULL,      -- of the first byte that is not folded
    sequence INTEGER NOT NULL,      -- of the last record that is folded, or missing in the log; 0 for none
    last_ts  INTEGER                -- of what time the last record is that is folded; NULL where nobody knows
) STRICT;

-- Which record is which row. Each record that is folded takes the next id, also one whose row is ignored or expired since;
-- records that are missing take one together. A run is so many ids from first_id on, for as many records of one writer from
-- first_sequence on. (writer, sequence) names a record for ever; ids are the order of folding in this database.
CREATE TABLE fold_runs (
    first_id       INTEGER PRIMARY KEY,
    writer         INTEGER NOT NULL REFERENCES writers (id),
    first_sequence INTEGER NOT NULL,
    count          INTEGER NOT NULL CHECK (count > 0),
    UNIQUE (writer, first_sequence)
) STRICT;

-- Since when requests are kept, once any were too old or too many. What lies before it is expired: no roll-up counts it,
-- its rows go step by step, and a request from then that comes late is only counted here. Of a session that goes on, what
-- its expired requests add up to is kept.
CREATE TABLE retention (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    kept_since    INTEGER NOT NULL,         -- a minute's first millisecond
    late_requests INTEGER NOT NULL
) STRICT;
CREATE TABLE expired_requests (
    session     INTEGER PRIMARY KEY REFERENCES session_state (id),
    first_at    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    proxy       TEXT    NOT NULL,           -- the least of their proxies' names
    calls       INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    tool_errors INTEGER NOT NULL
) STRICT;

-- Who was called how, and by whom: each proxy, method, tool, endpoint and direction that a request named, once.
CREATE TABLE calls (
    id       INTEGER PRIMARY KEY,
    proxy    TEXT    NOT NULL,
    method   TEXT    NOT NULL,
    tool     TEXT,
    endpoint TEXT,                          -- which server: several may be behind one proxy
    direction INTEGER NOT NULL DEFAULT 1 CHECK (direction IN (1, 2))  -- 1 the client asked, 2 the server
) STRICT;
CREATE UNIQUE INDEX calls_by_name ON calls (
    proxy, method, tool IS NULL, ifnull(tool, ''), endpoint IS NULL, ifnull(endpoint, ''), direction
);
CREATE INDEX calls_by_endpoint ON calls (endpoint);

-- The rows beneath view `requests`: names that repeat are numbers here, so that a row and its indexes stay small.
CREATE TABLE request_rows (
    id               INTEGER PRIMARY KEY,   -- the record's id in the order of folding, as in fold_runs
    request_id       TEXT    NOT NULL,
    ts               INTEGER NOT NULL,
    call             INTEGER NOT NULL REFERENCES calls (id),
    session          INTEGER REFERENCES session_state (id),
    latency_us       INTEGER NOT NULL,
    -- Ok, error, timeout. Not `IN (0, 1, 2)`: for that, SQLite makes a temporary index for each row, a tenth of inserting it.
    status           INTEGER NOT NULL CHECK (status BETWEEN 0 AND 2),
    -- From here on in the order of the list in src/event/request.rs; what a request does not have is NULL. SQLite leaves out
    -- the NULLs at the end of a row (SQLITE_ENABLE_NULL_TRIM), so what is rare comes last.
    -- What it counts as, as src/event/outcome.rs says; view requests has the names.
    outcome          INTEGER NOT NULL CHECK (outcome BETWEEN 1 AND 10),
    bytes_in         INTEGER,
    bytes_out        INTEGER,
    tool_error       INTEGER CHECK (tool_error IN (0, 1)),  -- the result said isError; NULL where it can't
    protocol_version TEXT,
    rpc_id           TEXT,
    http_status      INTEGER,
    transport        INTEGER,               -- 1 http, 2 sse, 3 stdio
    endpoint         TEXT,                  -- the server's path: the one that was asked
    error_code       TEXT,
    error_msg        TEXT,                  -- the error's message, or what a tool that failed (tool_error) said
    target           TEXT,                  -- resource URI, prompt name or task id
    cause            TEXT,                  -- why an upstream failed
    direction        INTEGER,               -- 2 the server asked; NULL the client, as of nearly all
    principal        TEXT,                  -- on whose behalf: a digest or a claim, never a credential
    trace_id         BLOB,                  -- 16 bytes
    parent_span_id   BLOB,                  -- 8 bytes
    retry_of         TEXT,                  -- the request id of the call that this one continues
    input_wait_us    INTEGER,
    notes            TEXT                   -- oddities, such as unread: their names, with commas between them
) STRICT;
CREATE UNIQUE INDEX request_rows_by_request_id ON request_rows (request_id);
CREATE INDEX request_rows_by_ts      ON request_rows (ts);
CREATE INDEX request_rows_by_call    ON request_rows (call, ts);
CREATE INDEX request_rows_by_session ON request_rows (session, ts) WHERE session IS NOT NULL;
CREATE INDEX request_rows_by_outcome ON request_rows (outcome, ts) WHERE outcome <> 1;

-- A name that a query does not ask for costs it nothing. The session is joined, so that a condition on session_id finds
-- its rows by the index; what the calls are named is looked up, so that counting rows does not join them.
CREATE VIEW requests AS
SELECT r.id, r.request_id, r.ts,
       (SELECT proxy FROM calls WHERE calls.id = r.call) AS proxy,
       s.session_id,
       (SELECT method FROM calls WHERE calls.id = r.call) AS method,
       (SELECT tool FROM calls WHERE calls.id = r.call) AS tool,
       r.latency_us,
       CASE r.status WHEN 0 THEN 'ok' WHEN 1 THEN 'error' ELSE 'timeout' END AS status,
       r.error_code, r.error_msg, r.bytes_in, r.bytes_out, r.tool_error, r.target, r.protocol_version, r.rpc_id,
       r.http_status,
       CASE r.transport WHEN 1 THEN 'http' WHEN 2 THEN 'sse' WHEN 3 THEN 'stdio' END AS transport,
       r.endpoint,
       CASE r.outcome
            WHEN 1 THEN 'ok' WHEN 2 THEN 'tool_error' WHEN 3 THEN 'error' WHEN 4 THEN 'timeout' WHEN 5 THEN 'cancelled'
            WHEN 6 THEN 'probe' WHEN 7 THEN 'redirected' WHEN 8 THEN 'ended' WHEN 9 THEN 'input_required'
            WHEN 10 THEN 'lost' END AS outcome,
       r.cause,
       CASE r.direction WHEN 2 THEN 'server' ELSE 'client' END AS direction,
       r.principal, nullif(lower(hex(r.trace_id)), '') AS trace_id,
       nullif(lower(hex(r.parent_span_id)), '') AS parent_span_id, r.retry_of, r.input_wait_us, r.notes
FROM request_rows AS r LEFT JOIN session_state AS s ON s.id = r.session;

-- One row per session id that any event named, in whatever order the events came. The columns up to total_tool_errors
-- are what people read; those below are what folding needs so that order does not matter.
CREATE TABLE session_state (
    id                INTEGER PRIMARY KEY,  -- ascends as sessions appear, so that active ones lie together
    session_id        TEXT    NOT NULL UNIQUE,
    proxy             TEXT    NOT NULL,
    started_at        INTEGER NOT NULL,
    last_seen_at      INTEGER NOT NULL,
    closed_at         INTEGER,              -- the earliest SessionClosed that no request came after; NULL while open
    client_name       TEXT,
    client_version    TEXT,
    client_platform   TEXT,
    protocol_version  TEXT,
    derived           INTEGER NOT NULL CHECK (derived IN (0, 1)),
    total_calls       INTEGER NOT NULL,
    total_errors      INTEGER NOT NULL,     -- those that failed: outcome error or timeout
    total_tool_errors INTEGER NOT NULL,     -- outcome tool_error
    announced_at      INTEGER,              -- the earliest Session event; NULL until one came
    first_request_at  INTEGER,
    last_request_at   INTEGER,
    request_proxy     TEXT,                 -- the least proxy name among the requests
    first_closed_at   INTEGER,              -- the earliest SessionClosed, and the latest
    last_closed_at    INTEGER,
    noise_lines       INTEGER               -- lines on standard output that were no messages; NULL: nobody counted
) STRICT;

-- What filters and sums over all sessions read instead of session_state: 256 sessions to a page, packed as
-- session_digest.rs says. A function of session_state. The two tables of names that it refers to may have more names than
-- sessions have now.
CREATE TABLE session_digest (
    page   INTEGER PRIMARY KEY,
    digest BLOB    NOT NULL
) STRICT;
CREATE TABLE clients (
    id              INTEGER PRIMARY KEY,
    client_name     TEXT,
    client_version  TEXT,
    client_platform TEXT
) STRICT;
CREATE UNIQUE INDEX clients_by_name ON clients (
    client_name IS NULL, ifnull(client_name, ''), client_version IS NULL, ifnull(client_version, ''),
    client_platform IS NULL, ifnull(client_platform, '')
);
CREATE TABLE proxies (
    id    INTEGER PRIMARY KEY,
    proxy TEXT    NOT NULL UNIQUE
) STRICT;

-- What requests add up to within a cell of time, for each call and for all together. A function of request_rows, as
-- rollup.rs says. Cells that begin at the same time share pages, as rollup_page.rs says: where tools are many, most
-- cells are smaller than a row of SQLite.
CREATE TABLE rollups (
    id    INTEGER PRIMARY KEY,              -- as they appear, so that pages of one time lie together
    level INTEGER NOT NULL,                 -- 0: a second, only in minutes of many requests; 1: a minute; 2: ten;
    start INTEGER NOT NULL,                 -- 3: an hour; 4: six; 5: a day; 6: ten. The cells' first millisecond
    page  INTEGER NOT NULL,                 -- which calls
    calls INTEGER NOT NULL,                 -- how many requests of these calls; those of all together not once more
    cells BLOB    NOT NULL,
    UNIQUE (level, start, page)
) STRICT;

-- A session that is not closed, or spoke again since, and has been silent for meta.session_idle_ms counts as ended when
-- it was last seen. Computed when read, so that it reopens by itself when it speaks again. (Not unixepoch('subsec'): the sqlite3
-- shells of before 3.42 don't know it.)
CREATE VIEW sessions AS
SELECT session_id, proxy, started_at, last_seen_at,
       coalesce(closed_at,
                CASE WHEN last_seen_at + (SELECT nullif(CAST(value AS INTEGER), 0) FROM meta WHERE key = 'session_idle_ms')
                          <= CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
                     THEN last_seen_at END) AS ended_at,
       client_name, client_version, client_platform, total_calls, total_errors,
       total_tool_errors, protocol_version, derived, noise_lines
FROM session_state;

-- What servers offered, each version once.
CREATE TABLE schema_versions (
    id           INTEGER PRIMARY KEY,
    proxy        TEXT    NOT NULL,
    upstream_url TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    content_hash TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    UNIQUE (proxy, upstream_url, method, content_hash)
) STRICT;

-- Who was offered which version, from when on. The changes below are a function of these rows, ordered by (ts, arrival),
-- whatever the order of folding was. A version may be missing, if its record was lost.
CREATE TABLE schema_sightings (
    id           INTEGER PRIMARY KEY,       -- the record's id in the order of folding, as in fold_runs
    proxy        TEXT    NOT NULL,
    upstream_url TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    caller       TEXT    NOT NULL,          -- the client's name, or auth- and a digest; never a credential. '': unknown
    ts           INTEGER NOT NULL,
    content_hash TEXT    NOT NULL,
    arrival      BLOB    NOT NULL,          -- the writer's id and the record's number in its log, in 24 bytes: which of two was first
    UNIQUE (proxy, upstream_url, method, caller, ts, content_hash)
) STRICT;
CREATE INDEX schema_sightings_by_time ON schema_sightings (proxy, upstream_url, method, ts, arrival);
CREATE INDEX schema_sightings_by_hash ON schema_sightings (proxy, upstream_url, method, content_hash, ts);

-- The version that anybody saw last, since it was first seen without another in between.
CREATE VIEW server_schema AS
SELECT id, proxy, upstream_url, method,
       coalesce((SELECT payload FROM schema_versions AS version
                 WHERE version.proxy = sighting.proxy AND version.upstream_url = sighting.upstream_url
                   AND version.method = sighting.method AND version.content_hash = sighting.content_hash),
                'null') AS payload,
       ts AS captured_at, content_hash AS schema_hash
FROM schema_sightings AS sighting
WHERE NOT EXISTS (
    SELECT 1 FROM schema_sightings AS later
    WHERE later.proxy = sighting.proxy AND later.upstream_url = sighting.upstream_url
      AND later.method = sighting.method AND (later.ts, later.arrival) > (sighting.ts, sighting.arrival)
      AND later.content_hash <> sighting.content_hash
) AND content_hash IS NOT (
    SELECT before.content_hash FROM schema_sightings AS before
    WHERE before.proxy = sighting.proxy AND before.upstream_url = sighting.upstream_url
      AND before.method = sighting.method AND (before.ts, before.arrival) < (sighting.ts, sighting.arrival)
    ORDER BY before.ts DESC, before.arrival DESC LIMIT 1
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
    caller       TEXT    NOT NULL,          -- whose sighting it was, as in schema_sightings
    sighting_id  INTEGER NOT NULL REFERENCES schema_sightings (id)
) STRICT;
CREATE INDEX schema_changes_by_sighting ON schema_changes (sighting_id);
CREATE INDEX schema_changes_by_time     ON schema_changes (detected_at);

-- Events known to be lost: how many, from when to when. Either events that were dropped before they were recorded, of which a
-- record in the log tells; or records that were in the log, are in no segment of it any more, and were not folded before.
CREATE TABLE gaps (
    id       INTEGER PRIMARY KEY,           -- the record's id in the order of folding, as in fold_runs; missing records have one
    from_ts  INTEGER NOT NULL,              -- of missing records: when the last one before them happened,
    to_ts    INTEGER NOT NULL,              -- and the first one behind them, as far as that is known
    events   INTEGER NOT NULL,
    missing  INTEGER NOT NULL DEFAULT 0 CHECK (missing IN (0, 1)),  -- records with the numbers from sequence on are missing
    writer   INTEGER NOT NULL REFERENCES writers (id),              -- whose events
    sequence INTEGER NOT NULL               -- the record's number in that writer's log; of missing records, the first one's
) STRICT;
CREATE INDEX gaps_of_missing ON gaps (writer, sequence) WHERE missing = 1;

-- Steps of the clock by which times are recorded: somebody set it, ahead or back, by more than a minute. Rows that were
-- recorded around from_ts and to_ts may not be in the order of their times.
CREATE TABLE clock_steps (
    id           INTEGER PRIMARY KEY,       -- the record's id in the order of folding, as in fold_runs
    from_ts      INTEGER NOT NULL,          -- what the clock would have said; between runs, of the newest request on record
    to_ts        INTEGER NOT NULL,          -- what it said instead
    step_ms      INTEGER NOT NULL,          -- from one to the other; negative: set back
    between_runs INTEGER NOT NULL CHECK (between_runs IN (0, 1))    -- it was set while nobody recorded
) STRICT;

-- What time it is, as far as ages are concerned, where anything goes by its age: age_clock.rs has the reasons.
CREATE TABLE age_clock (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    believed_ms INTEGER NOT NULL,           -- the time that was believed when this was written
    clock_ms    INTEGER NOT NULL,           -- what the clock said then
    doubted_ms  INTEGER,                    -- for how long the clock had said something else by then; NULL: they agree
    patience_ms INTEGER NOT NULL,           -- after so long the clock is believed
    boot_id     BLOB    NOT NULL,           -- which start of the machine that was; 16 bytes
    up_ms       INTEGER NOT NULL            -- for how long the machine was up, time in suspension included
) STRICT;

-- Records of a kind, or of a version of their kind, that the mcplog which came upon them did not know, because a newer one
-- wrote them. They wait here, whole, until one opens the store that knows them, and become rows of the other tables then.
CREATE TABLE newer_records (
    id       INTEGER PRIMARY KEY,           -- the record's id in the order of folding, as in fold_runs
    writer   INTEGER NOT NULL REFERENCES writers (id),
    sequence INTEGER NOT NULL,              -- the record's number in that writer's log
    segment  INTEGER NOT NULL,
    offset   INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    noted_at INTEGER NOT NULL,              -- by when it was recorded, as far as that is known
    payload  BLOB    NOT NULL               -- the record as it stands in the log
) STRICT;
CREATE INDEX newer_records_by_kind ON newer_records (kind, version);
CREATE INDEX newer_records_by_time ON newer_records (noted_at);

-- What a log holds but nobody can fold: an intact record that can't be decoded, or damaged bytes.
CREATE TABLE quarantine (
    id       INTEGER PRIMARY KEY,
    writer   INTEGER NOT NULL REFERENCES writers (id),  -- whose log
    segment  INTEGER NOT NULL,
    offset   INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    sequence INTEGER,                       -- NULL for damaged bytes
    reason   TEXT    NOT NULL,
    noted_at INTEGER NOT NULL,              -- by when it was recorded, as far as that is known
    payload  BLOB,                          -- the record as it stands in the log; NULL for damaged bytes
    unknown_records INTEGER NOT NULL DEFAULT 0,  -- 1: a whole file, and no number behind it tells how many records it held
    UNIQUE (writer, segment, offset)
) STRICT;
CREATE INDEX quarantine_unknown_records ON quarantine (writer, segment) WHERE unknown_records = 1;
