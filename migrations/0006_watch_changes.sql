-- What a look of a watch has written into the revisions and has not reported yet: a daemon that dies in between must
-- still say it. JSON with "new", "moved" and "gone" as in the report; '': nothing.
ALTER TABLE watches ADD COLUMN changes TEXT NOT NULL DEFAULT '';
