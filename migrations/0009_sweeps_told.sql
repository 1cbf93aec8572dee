-- Up to which end number the log has been told of the ends of sweeps, so that a daemon that was killed right after
-- an end tells it at its next start.
ALTER TABLE totals ADD COLUMN sweeps_told INTEGER NOT NULL DEFAULT 0;
UPDATE totals SET sweeps_told = sweeps_ended;
