-- The first schema. Read by people too: `sqlite3 bifurcated.db .schema` shows these comments.
--
-- What is measured belongs to content (the bytes of a tensor), not to a branch. A branch that moves makes a new
-- row of revisions; two branches that serve the same bytes point to the same row of contents. Times are
-- milliseconds since 1970 UTC. Digests are lower-case hexadecimal. NULL in a REAL column: not computed.

PRAGMA application_id = 1114203762; -- "Bifr"

-- One row: which database this is, and how often its content changed. Both are part of ETags.
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    instance TEXT NOT NULL, -- random, made with the file
    version INTEGER NOT NULL -- grows with every transaction that changes what can be read
) STRICT;
INSERT INTO store (id, instance, version) VALUES (1, lower(hex(randomblob(16))), 1);

CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE, -- "owner/name" or "file:/path"
    kind TEXT NOT NULL CHECK (kind IN ('hub', 'folder')),
    model_type TEXT NOT NULL DEFAULT '', -- config.json, '' until known
    vocabulary_size INTEGER NOT NULL DEFAULT 0, -- rows of the unembedding; 0 until known
    token_rows INTEGER NOT NULL DEFAULT 0, -- rows that are real tokens; 0 until known
    hidden_size INTEGER NOT NULL DEFAULT 0,
    layers INTEGER NOT NULL DEFAULT 0,
    parameter_count INTEGER NOT NULL DEFAULT 0,
    tensor TEXT NOT NULL DEFAULT '', -- the tensor that is the unembedding, '' until known
    revision_count INTEGER NOT NULL DEFAULT 0, -- current revisions with a step
    measured_count INTEGER NOT NULL DEFAULT 0, -- of them, those whose `tensor` was measured
    version INTEGER NOT NULL DEFAULT 1, -- grows with every change of the model's series
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE revisions (
    id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    name TEXT NOT NULL, -- branch or tag
    commit_sha TEXT NOT NULL,
    step INTEGER, -- training step in the name; NULL for names such as main
    stage INTEGER NOT NULL DEFAULT 0, -- 0 where the name has none
    ingredient INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL DEFAULT 0, -- as the name says them, 0 where it does not
    is_current INTEGER NOT NULL DEFAULT 1 CHECK (is_current IN (0, 1)), -- 0: the branch has moved or is gone
    first_seen_ms INTEGER NOT NULL,
    -- the step order, without NULLs so that a page can start after a key
    is_stepless INTEGER NOT NULL GENERATED ALWAYS AS (step IS NULL) STORED,
    step_key INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(step, 0)) STORED,
    UNIQUE (model_id, name, commit_sha)
) STRICT;
CREATE INDEX revisions_order
    ON revisions (model_id, is_current, is_stepless, stage, ingredient, step_key, tokens, name);

-- What the hub says of the weight files of a revision: enough for an audit without downloading.
CREATE TABLE files (
    revision_id INTEGER NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    digest TEXT NOT NULL, -- sha256 of an LFS file, git's blob id of any other
    digest_kind TEXT NOT NULL CHECK (digest_kind IN ('sha256', 'git')),
    PRIMARY KEY (revision_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_digest ON files (digest);

CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL, -- sha256 of the contiguous row-major bytes
    dtype TEXT NOT NULL,
    rows INTEGER NOT NULL,
    columns INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    UNIQUE (digest, dtype, rows, columns)
) STRICT;

-- Which content a revision's tensor has, and which of the content's measurements its series shows.
CREATE TABLE revision_tensors (
    revision_id INTEGER NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    tensor TEXT NOT NULL,
    content_id INTEGER NOT NULL REFERENCES contents (id),
    token_rows INTEGER NOT NULL, -- with definition and backend: the shown rows of statistics
    definition INTEGER NOT NULL,
    backend TEXT NOT NULL,
    same_as INTEGER REFERENCES revisions (id) ON DELETE SET NULL, -- first current revision of the model with this content
    file_path TEXT NOT NULL,
    file_digest TEXT NOT NULL, -- '' if unknown
    fetched_bytes INTEGER NOT NULL,
    measured_ms INTEGER NOT NULL,
    PRIMARY KEY (revision_id, tensor)
) STRICT, WITHOUT ROWID;
CREATE INDEX revision_tensors_file ON revision_tensors (file_digest, tensor) WHERE file_digest <> '';
CREATE INDEX revision_tensors_content ON revision_tensors (content_id, tensor, same_as);
CREATE INDEX revision_tensors_same_as ON revision_tensors (same_as) WHERE same_as IS NOT NULL;

CREATE TABLE statistics (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    definition INTEGER NOT NULL, -- version of the formulas
    backend TEXT NOT NULL,
    row_set TEXT NOT NULL CHECK (row_set IN ('all', 'tokens')),
    token_rows INTEGER NOT NULL CHECK ((row_set = 'all') = (token_rows = 0)), -- the first rows, for 'tokens'
    is_centred INTEGER NOT NULL CHECK (is_centred IN (0, 1)), -- after subtracting each column's mean
    elements INTEGER NOT NULL, -- all, with NaN and Inf
    nan_count INTEGER NOT NULL,
    positive_inf_count INTEGER NOT NULL,
    negative_inf_count INTEGER NOT NULL,
    zero_count INTEGER NOT NULL,
    minimum REAL,
    maximum REAL,
    mean REAL,
    variance REAL, -- population, ddof 0
    skewness REAL, -- G1
    kurtosis REAL, -- G2, excess
    bimodality REAL, -- Sarle's coefficient with sample correction
    q001 REAL, -- quantile 0.001
    q01 REAL,
    q05 REAL,
    q25 REAL,
    q50 REAL,
    q75 REAL,
    q95 REAL,
    q99 REAL,
    q999 REAL,
    sparsity REAL, -- share of |w| below 0.1 standard deviations
    dip REAL, -- Hartigan's
    dip_sqrt_n REAL,
    dip_p REAL,
    dip_low REAL, -- modal interval
    dip_high REAL,
    mixture_weight1 REAL, -- of the first of two normal components; the second has the rest
    mixture_mean1 REAL,
    mixture_sd1 REAL,
    mixture_mean2 REAL,
    mixture_sd2 REAL,
    ashman_d REAL,
    delta_bic REAL, -- one component less two
    valley_to_peak REAL,
    PRIMARY KEY (content_id, definition, backend, row_set, token_rows, is_centred)
) STRICT, WITHOUT ROWID;

CREATE TABLE displacements (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    reference_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    definition INTEGER NOT NULL,
    backend TEXT NOT NULL,
    row_set TEXT NOT NULL CHECK (row_set IN ('all', 'tokens')),
    token_rows INTEGER NOT NULL CHECK ((row_set = 'all') = (token_rows = 0)),
    elements INTEGER NOT NULL, -- pairs that were averaged: both finite
    msd REAL,
    cosine REAL,
    norm REAL, -- Euclidean, of the content
    reference_norm REAL,
    wasserstein1 REAL,
    PRIMARY KEY (content_id, reference_id, definition, backend, row_set, token_rows)
) STRICT, WITHOUT ROWID;
CREATE INDEX displacements_reference ON displacements (reference_id);

-- Which reference the series shows for a revision; the newest sweep decides.
CREATE TABLE series_links (
    revision_id INTEGER NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    tensor TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('first', 'previous')),
    reference_revision_id INTEGER NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    reference_id INTEGER NOT NULL REFERENCES contents (id), -- what the reference held when it was measured
    token_rows INTEGER NOT NULL,
    definition INTEGER NOT NULL,
    backend TEXT NOT NULL,
    PRIMARY KEY (revision_id, tensor, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX series_links_reference ON series_links (reference_revision_id);

-- Large values, apart from the rows that polls read. `encoding` names the layout (store/distributions.c).
CREATE TABLE distributions (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    definition INTEGER NOT NULL,
    row_set TEXT NOT NULL CHECK (row_set IN ('all', 'tokens')),
    token_rows INTEGER NOT NULL CHECK ((row_set = 'all') = (token_rows = 0)),
    is_centred INTEGER NOT NULL CHECK (is_centred IN (0, 1)),
    code TEXT NOT NULL, -- what the 16 bits of a code mean: float16, bfloat16, ...
    encoding INTEGER NOT NULL,
    size_raw INTEGER NOT NULL, -- bytes before compression
    data BLOB NOT NULL,
    PRIMARY KEY (content_id, definition, row_set, token_rows, is_centred)
) STRICT;

CREATE TABLE columns_statistics (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    definition INTEGER NOT NULL,
    token_rows INTEGER NOT NULL, -- 0: all rows
    columns INTEGER NOT NULL,
    encoding INTEGER NOT NULL,
    size_raw INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (content_id, definition, token_rows)
) STRICT;

CREATE TABLE samples (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    definition INTEGER NOT NULL, -- version of the rule that picks the entries
    seed INTEGER NOT NULL,
    count INTEGER NOT NULL,
    encoding INTEGER NOT NULL,
    size_raw INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (content_id, definition, seed, count)
) STRICT;

CREATE TABLE perplexities (
    id INTEGER PRIMARY KEY,
    weights_digest TEXT NOT NULL, -- identity of all weights of a revision
    dataset_digest TEXT NOT NULL,
    tokenizer_digest TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('last_word', 'tokens', 'text_mean')),
    parameters TEXT NOT NULL, -- canonical JSON: window, stride, limit
    precision TEXT NOT NULL,
    backend TEXT NOT NULL,
    definition INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    nll_sum REAL,
    perplexity REAL,
    perplexity_stderr REAL,
    accuracy REAL,
    accuracy_stderr REAL,
    seconds REAL,
    measured_ms INTEGER NOT NULL,
    UNIQUE (weights_digest, dataset_digest, tokenizer_digest, mode, parameters, precision, backend, definition)
) STRICT;

CREATE TABLE revision_weights (
    revision_id INTEGER PRIMARY KEY REFERENCES revisions (id) ON DELETE CASCADE,
    weights_digest TEXT NOT NULL
) STRICT;
CREATE INDEX revision_weights_digest ON revision_weights (weights_digest);

-- Which perplexity the series shows for a revision; the newest sweep decides.
CREATE TABLE revision_perplexities (
    revision_id INTEGER NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    mode TEXT NOT NULL CHECK (mode IN ('last_word', 'tokens', 'text_mean')),
    perplexity_id INTEGER NOT NULL REFERENCES perplexities (id),
    PRIMARY KEY (revision_id, mode)
) STRICT, WITHOUT ROWID;

CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- numbers are public: none is used twice
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('planning', 'running', 'done', 'failed', 'cancelled')),
    request TEXT NOT NULL, -- JSON, as the API accepted it
    idempotency_key TEXT UNIQUE,
    priority INTEGER NOT NULL, -- higher first
    created_ms INTEGER NOT NULL,
    started_ms INTEGER, -- when the plan was complete
    finished_ms INTEGER,
    error_code TEXT NOT NULL DEFAULT '', -- a name of daemon/base/err.h
    error_message TEXT NOT NULL DEFAULT '',
    -- kept by the transitions of its tasks, so that progress is one row
    tasks_queued INTEGER NOT NULL DEFAULT 0,
    tasks_claimed INTEGER NOT NULL DEFAULT 0,
    tasks_done INTEGER NOT NULL DEFAULT 0,
    tasks_failed INTEGER NOT NULL DEFAULT 0,
    tasks_cancelled INTEGER NOT NULL DEFAULT 0,
    bytes_expected INTEGER NOT NULL DEFAULT 0,
    bytes_fetched INTEGER NOT NULL DEFAULT 0,
    served INTEGER NOT NULL DEFAULT 0, -- turn of the last claim: sweeps of equal priority take turns
    version INTEGER NOT NULL DEFAULT 1 -- grows with every change of the sweep or its tasks
) STRICT;
CREATE INDEX sweeps_model ON sweeps (model_id, id);
CREATE INDEX sweeps_state ON sweeps (state, id);
CREATE INDEX sweeps_queue ON sweeps (priority DESC, tasks_claimed, served, id)
    WHERE state = 'running' AND tasks_queued > 0;

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sweep_id INTEGER NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
    revision_id INTEGER NOT NULL REFERENCES revisions (id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL, -- step order within the sweep
    reference_revision_id INTEGER REFERENCES revisions (id) ON DELETE SET NULL,
    previous_revision_id INTEGER REFERENCES revisions (id) ON DELETE SET NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'claimed', 'done', 'failed', 'cancelled')),
    attempts INTEGER NOT NULL DEFAULT 0, -- claims so far; names the lease
    failures INTEGER NOT NULL DEFAULT 0, -- attempts that ended in an error or with the lease
    interruptions INTEGER NOT NULL DEFAULT 0, -- attempts that ended with the worker
    not_before_ms INTEGER NOT NULL DEFAULT 0, -- 0, or the end of the pause after a failure
    worker TEXT NOT NULL DEFAULT '', -- of the last claim
    lease_until_ms INTEGER,
    claimed_ms INTEGER,
    finished_ms INTEGER,
    error_code TEXT NOT NULL DEFAULT '', -- of the last failure
    error_message TEXT NOT NULL DEFAULT '',
    bytes_fetched INTEGER NOT NULL DEFAULT 0,
    bytes_expected INTEGER NOT NULL DEFAULT 0,
    CHECK ((state = 'claimed') = (lease_until_ms IS NOT NULL)),
    UNIQUE (sweep_id, revision_id)
) STRICT;
CREATE UNIQUE INDEX tasks_order ON tasks (sweep_id, ordinal);
CREATE INDEX tasks_state ON tasks (sweep_id, state, ordinal);
CREATE INDEX tasks_queue ON tasks (sweep_id, not_before_ms, ordinal) WHERE state = 'queued';
CREATE INDEX tasks_lease ON tasks (lease_until_ms) WHERE state = 'claimed';
CREATE INDEX tasks_claimed ON tasks (revision_id) WHERE state = 'claimed';
CREATE INDEX tasks_revision ON tasks (revision_id, id);
CREATE INDEX tasks_reference ON tasks (reference_revision_id) WHERE reference_revision_id IS NOT NULL;
CREATE INDEX tasks_previous ON tasks (previous_revision_id) WHERE previous_revision_id IS NOT NULL;

-- What happened to each task, oldest first by id.
CREATE TABLE task_events (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    event TEXT NOT NULL,
    worker TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX task_events_task ON task_events (task_id, id);
