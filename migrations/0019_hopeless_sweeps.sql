-- Of a sweep that left revisions untried, since nothing of it could succeed (store/hopeless.h): the version of the program
-- that found so. A watch tries them again with another version. '': any other sweep.
ALTER TABLE sweeps ADD COLUMN hopeless_version TEXT NOT NULL DEFAULT '';
