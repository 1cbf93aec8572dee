-- What a watch asks for is numbered, and its sweeps say with which number they began: so what it has swept since its
-- request changed is known whatever the clock said when.
ALTER TABLE watches ADD COLUMN request_number INTEGER NOT NULL DEFAULT 1; -- grows whenever the request changes
ALTER TABLE sweeps ADD COLUMN watch_request INTEGER; -- of watch_id
UPDATE sweeps SET watch_request = (SELECT sweeps.created_ms >= w.changed_ms FROM watches w WHERE w.id = sweeps.watch_id)
    WHERE watch_id IS NOT NULL;
ALTER TABLE watches DROP COLUMN changed_ms;
