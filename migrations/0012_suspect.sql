-- Code of the last failure that may have been the device's, or of memory that a neighbour had; '' without one. A later
-- failure of the network does not clear it.
ALTER TABLE tasks ADD COLUMN suspect TEXT NOT NULL DEFAULT '';
UPDATE tasks SET suspect = error_code WHERE failures > 0 AND state IN ('queued', 'claimed')
    AND error_code NOT IN ('network', 'http', 'rate_limited', 'no_space', 'mismatch', 'gated');
