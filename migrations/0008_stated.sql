-- Which of stage, ingredient and tokens a revision's name says, as a set of bits (1, 2, 4): the others are 0 for the
-- order alone. Of what is there, a number other than 0 was said; and step 0 has seen 0 tokens wherever the tokens of
-- other revisions are known. The next look at the hub corrects the rest.
ALTER TABLE revisions ADD COLUMN stated INTEGER NOT NULL DEFAULT 0;
UPDATE revisions SET stated = (stage <> 0) + 2 * (ingredient <> 0) + 4 * (tokens <> 0 OR (step = 0 AND EXISTS (
    SELECT 1 FROM revisions AS other WHERE other.model_id = revisions.model_id AND other.tokens <> 0)))
WHERE step IS NOT NULL;
