-- Which entries are sampled depends on the number of token rows, which is not the same wherever content is equal: of a
-- copy without its tokenizer all rows count. So it is part of the key, as it is of the columns. Where statistics of one
-- number alone are there, the entries are of that; where there are several nobody knows of which they are, and they go.
CREATE TABLE samples_new (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    token_rows INTEGER NOT NULL, -- the entries are of the first rows
    definition INTEGER NOT NULL, -- version of the rule that picks the entries
    seed INTEGER NOT NULL,
    count INTEGER NOT NULL,
    encoding INTEGER NOT NULL,
    size_raw INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (content_id, token_rows, definition, seed, count)
) STRICT;
INSERT INTO samples_new (content_id, token_rows, definition, seed, count, encoding, size_raw, data)
    SELECT s.content_id, t.token_rows, s.definition, s.seed, s.count, s.encoding, s.size_raw, s.data FROM samples s
    JOIN (SELECT content_id, min(token_rows) AS token_rows FROM statistics WHERE row_set = 'tokens'
        GROUP BY content_id HAVING min(token_rows) = max(token_rows)) t ON t.content_id = s.content_id;
DROP TABLE samples;
ALTER TABLE samples_new RENAME TO samples;
