-- Watches: models that are looked at every night, or every so many minutes, and whose new and moved revisions are
-- then swept; and the webhooks that tell others what came of it.

CREATE TABLE watches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL UNIQUE REFERENCES models (id) ON DELETE CASCADE,
    at_minute INTEGER CHECK (at_minute BETWEEN 0 AND 1439), -- after local midnight
    every_minutes INTEGER CHECK (every_minutes BETWEEN 1 AND 525600),
    request TEXT NOT NULL, -- JSON: what its sweeps ask for, the model included
    priority INTEGER NOT NULL,
    webhook_url TEXT NOT NULL DEFAULT '', -- '': none
    webhook_secret TEXT NOT NULL DEFAULT '', -- leaves the daemon only as a key of signatures
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL, -- of what its sweeps ask for
    since_ms INTEGER NOT NULL, -- since when the present time or interval counts
    is_asked INTEGER NOT NULL DEFAULT 0 CHECK (is_asked IN (0, 1)), -- someone asked for a run now
    run_ms INTEGER, -- the last run began
    run_report TEXT NOT NULL DEFAULT '', -- JSON: what it found
    run_sweep_id INTEGER REFERENCES sweeps (id) ON DELETE SET NULL, -- what it started
    failures INTEGER NOT NULL DEFAULT 0, -- runs in a row that failed for a passing reason
    retry_ms INTEGER, -- when the failed run is tried again
    sweeps_ended INTEGER NOT NULL DEFAULT 0, -- sweeps of the model that ended since the watch was made
    sweeps_announced INTEGER NOT NULL DEFAULT 0, -- of them, those whose findings were looked at
    CHECK ((at_minute IS NULL) <> (every_minutes IS NULL))
) STRICT;

-- The watch whose run started a sweep; NULL: someone asked for it.
ALTER TABLE sweeps ADD COLUMN watch_id INTEGER REFERENCES watches (id) ON DELETE SET NULL;
CREATE INDEX sweeps_watch ON sweeps (watch_id, id) WHERE watch_id IS NOT NULL;
CREATE INDEX watches_run_sweep ON watches (run_sweep_id) WHERE run_sweep_id IS NOT NULL;

-- What webhooks are owed: one row for each event, written in the transaction that causes it.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    watch_id INTEGER NOT NULL REFERENCES watches (id) ON DELETE CASCADE,
    name TEXT NOT NULL UNIQUE, -- random: by it a receiver knows a repeated delivery
    event TEXT NOT NULL
        CHECK (event IN ('sweep.finished', 'onset.found', 'stopping.recommended', 'audit.finding')),
    sweep_id INTEGER REFERENCES sweeps (id) ON DELETE CASCADE, -- of sweep.finished
    body TEXT NOT NULL, -- JSON; '' of sweep.finished until it is sent first
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL, -- of the next attempt
    created_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    status INTEGER, -- HTTP, of the last answer
    error TEXT NOT NULL DEFAULT '' -- of the last attempt
) STRICT;
CREATE INDEX deliveries_pending ON deliveries (next_ms, id) WHERE state = 'pending';
CREATE INDEX deliveries_watch ON deliveries (watch_id, id);
CREATE INDEX deliveries_sweep ON deliveries (sweep_id) WHERE sweep_id IS NOT NULL;

-- What a watch has told of the analysis and the audit, so that it tells it once.
CREATE TABLE announcements (
    watch_id INTEGER NOT NULL REFERENCES watches (id) ON DELETE CASCADE,
    finding TEXT NOT NULL, -- what was found, as one line
    PRIMARY KEY (watch_id, finding)
) STRICT, WITHOUT ROWID;
