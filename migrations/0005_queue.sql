-- Leases know their length, a watch counts who asked for runs, and sums over tables that are pruned or large have
-- rows of their own.

-- How long the lease lasted when it was given: one that ends later than that from now is of a clock set back.
ALTER TABLE tasks ADD COLUMN lease_ms INTEGER NOT NULL DEFAULT 86400000;

-- How often a run was asked for: a request during a run is one more than the run has seen.
ALTER TABLE watches ADD COLUMN asks INTEGER NOT NULL DEFAULT 0;

-- One row: numbers that only grow, while the rows that they count may be deleted.
CREATE TABLE totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    tasks_ended INTEGER NOT NULL, -- done or failed
    jobs_submitted INTEGER NOT NULL -- whose number is known
) STRICT;
INSERT INTO totals (id, tasks_ended, jobs_submitted) VALUES (
    1,
    (SELECT coalesce(sum(tasks_done + tasks_failed), 0) FROM sweeps),
    (SELECT count(*) FROM jobs WHERE job_id IS NOT NULL)
);

-- The body behind everything else: what lists and counts read does not lie beyond megabytes of it.
CREATE TABLE deliveries_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    watch_id INTEGER NOT NULL REFERENCES watches (id) ON DELETE CASCADE,
    name TEXT NOT NULL UNIQUE, -- random: by it a receiver knows a repeated delivery
    event TEXT NOT NULL
        CHECK (event IN ('sweep.finished', 'onset.found', 'stopping.recommended', 'audit.finding')),
    sweep_id INTEGER REFERENCES sweeps (id) ON DELETE CASCADE, -- of sweep.finished
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL, -- of the next attempt
    created_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    status INTEGER, -- HTTP, of the last answer
    error TEXT NOT NULL DEFAULT '', -- of the last attempt
    body TEXT NOT NULL -- JSON; '' of sweep.finished until it is sent first
) STRICT;
INSERT INTO deliveries_new (id, watch_id, name, event, sweep_id, state, attempts, next_ms, created_ms, ended_ms, status, error, body)
    SELECT id, watch_id, name, event, sweep_id, state, attempts, next_ms, created_ms, ended_ms, status, error, body FROM deliveries;
-- Numbers that were used stay used.
INSERT INTO sqlite_sequence (name, seq) SELECT 'deliveries_new', seq FROM sqlite_sequence
    WHERE name = 'deliveries' AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'deliveries_new');
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'deliveries')
    WHERE name = 'deliveries_new' AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'deliveries');
DROP TABLE deliveries;
ALTER TABLE deliveries_new RENAME TO deliveries;
CREATE INDEX deliveries_pending ON deliveries (next_ms, id) WHERE state = 'pending';
CREATE INDEX deliveries_watch ON deliveries (watch_id, id);
CREATE INDEX deliveries_sweep ON deliveries (sweep_id) WHERE sweep_id IS NOT NULL;
CREATE INDEX deliveries_state ON deliveries (state);
