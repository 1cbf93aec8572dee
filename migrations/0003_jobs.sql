-- Job arrays of a batch system that run workers. One row is one submission; a row without a job_id may or may
-- not have reached the batch system: its name, which is made of the store's instance and this id, tells.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sweep_id INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE, -- that it was submitted for
    job_id INTEGER, -- the batch system's number; NULL until it is known
    state TEXT NOT NULL CHECK (state IN ('submitting', 'pending', 'running', 'ended', 'refused')),
    size INTEGER NOT NULL, -- elements
    pending INTEGER NOT NULL DEFAULT 0, -- elements by what became of them
    running INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', -- why it waits, failed or was refused, in the batch system's words
    attempts INTEGER NOT NULL DEFAULT 0, -- of submitting
    submitted_ms INTEGER NOT NULL, -- of the last attempt
    ended_ms INTEGER,
    cancelled_ms INTEGER, -- when it was asked to be cancelled
    tasks_ended INTEGER NOT NULL DEFAULT 0 -- in the whole store when it was submitted: did it get anything done?
) STRICT;
CREATE INDEX jobs_sweep ON jobs (sweep_id, id);
CREATE INDEX jobs_live ON jobs (id) WHERE state IN ('submitting', 'pending', 'running');
