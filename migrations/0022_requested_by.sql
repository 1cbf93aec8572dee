-- The name of whose token asked for a sweep; it outlives the token. '': nobody's (a program of this machine, or a watch),
-- or asked for before this migration.
ALTER TABLE sweeps ADD COLUMN requested_by TEXT NOT NULL DEFAULT '';
