-- Which of stage, ingredient and tokens a revision's name says, as a set of bits (1, 2, 4): the others are 0 for the
-- order alone. Of what is there, a number other than 0 was said; and step 0 has seen 0 tokens wherever the tokens of
-- other revisions are known. The next look at the hub corrects the rest. The models of those are listed once: asked
-- for each revision, SQLite would look through all revisions of its model.
ALTER TABLE revisions ADD COLUMN stated INTEGER NOT NULL DEFAULT 0;
UPDATE revisions SET stated = (stage <> 0) + 2 * (ingredient <> 0) + 4 * (tokens <> 0) WHERE step IS NOT NULL;
UPDATE revisions SET stated = stated + 4
WHERE step = 0 AND tokens = 0 AND model_id IN (SELECT model_id FROM revisions WHERE step IS NOT NULL AND tokens <> 0);
