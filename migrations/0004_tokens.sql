-- Who may do what over the API. Only digests are kept: a token itself is shown once, when it is made.

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice, so that a log tells which token it was
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE, -- SHA-256 of the token as it is sent
    scopes TEXT NOT NULL, -- of read, sweep, worker and admin, joined by commas
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER, -- NULL: never
    last_used_ms INTEGER, -- to the minute; NULL: never
    revoked_ms INTEGER -- NULL: it counts
) STRICT;
CREATE UNIQUE INDEX tokens_name ON tokens (name) WHERE revoked_ms IS NULL;

-- One row: grows whenever a token is made or revoked, also by another process, so that the daemon notices.
CREATE TABLE token_changes (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO token_changes (id, version) VALUES (1, 1);
