-- A model can be removed. From one moment on nothing shows it, and its name may be another model's; its rows then go in
-- parts, also after a restart.
ALTER TABLE models ADD COLUMN removed TEXT; -- what it was called, while its rows go; `name` then only keeps it apart
CREATE INDEX models_removed ON models (id) WHERE removed IS NOT NULL;

-- No number of a model, a revision or a content up to this one is given again: whoever has read one may still ask for
-- it, and ETags are made of them.
ALTER TABLE totals ADD COLUMN numbers_removed INTEGER NOT NULL DEFAULT 0;

-- Who else refers to what goes.
CREATE INDEX series_links_content ON series_links (reference_id);
CREATE INDEX revision_perplexities_perplexity ON revision_perplexities (perplexity_id);
