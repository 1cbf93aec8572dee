-- Of which files a perplexity was scored, where a worker handed it in before the list of the revision's files was known.
-- What they hold is held against that list when it comes, as revision_tensors.file_digest is; then these rows go.
CREATE TABLE scored_files (
    revision_id INTEGER NOT NULL,
    mode TEXT NOT NULL,
    path TEXT NOT NULL,
    digest TEXT NOT NULL, -- as in files
    PRIMARY KEY (revision_id, mode, path),
    FOREIGN KEY (revision_id, mode) REFERENCES revision_perplexities (revision_id, mode) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
