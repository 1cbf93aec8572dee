-- What the steps of a model's revisions count (daemon/base/step_unit.h): 0 optimiser steps, 1 tokens, 2 words, 3 epochs.
-- Of what is there, tokens were taken for steps where both are one number; words and epochs are told by the names and
-- rules that the program read at that time. The next look at the hub corrects the rest.
ALTER TABLE models ADD COLUMN step_unit INTEGER NOT NULL DEFAULT 0 CHECK (step_unit IN (0, 1, 2, 3));
UPDATE models SET step_unit = 1
WHERE id IN (SELECT model_id FROM revisions WHERE is_current = 1 AND step > 0 AND stated & 4 AND tokens = step);
UPDATE models SET step_unit = 2
WHERE (rule = '' OR instr(rule, 'chck_{tokens}'))
    AND id IN (SELECT model_id FROM revisions WHERE is_current = 1 AND step > 0 AND name GLOB '*chck_[0-9]*');
UPDATE models SET step_unit = 3
WHERE lower(rule) GLOB '*epoch{step}*' OR lower(rule) GLOB '*epoch[-_= ]{step}*' OR rule = ''
    AND id IN (SELECT model_id FROM revisions
        WHERE is_current = 1 AND step > 0 AND name GLOB '*^Training in progress, epoch [0-9]*');
