-- A fifth unit: 4, checkpoints, which Amber's and K2's names number. A column's CHECK is changed with the column.
ALTER TABLE models ADD COLUMN unit INTEGER NOT NULL DEFAULT 0 CHECK (unit IN (0, 1, 2, 3, 4));
UPDATE models SET unit = step_unit;
UPDATE models SET unit = 4
WHERE name IN ('LLM360/Amber', 'IFM/Amber', 'LLM360/K2', 'IFM/K2') AND step_unit = 0 AND (rule = '' OR instr(rule, 'ckpt_{step}'));
ALTER TABLE models DROP COLUMN step_unit;
ALTER TABLE models RENAME COLUMN unit TO step_unit;
