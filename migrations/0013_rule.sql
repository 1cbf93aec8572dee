-- The rule for names of revisions that later sweeps take over, with the model: the sweep that brought it may be deleted
-- as it grows old. '': the built-in ones.
ALTER TABLE models ADD COLUMN rule TEXT NOT NULL DEFAULT '';
UPDATE models SET rule = coalesce((
    SELECT iif(json_valid(s.request), json_extract(s.request, '$.revisions.rule'), NULL) AS named FROM sweeps s
    WHERE s.model_id = models.id AND s.started_ms IS NOT NULL AND named IS NOT NULL ORDER BY s.id DESC LIMIT 1), '');
