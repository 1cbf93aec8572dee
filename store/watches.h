/*
 * Watches: a model that is looked at every day at a time, or every so many minutes, so that its new and moved
 * revisions are swept; and what its last look found. At most one for each model.
 *
 * A look ("run") is made by the daemon, which lists refs, brings the revisions up to date (revisions_update),
 * asks watches_list_due_revisions() what is left to measure, and ends with watches_record_run(), which starts
 * the sweep in the same transaction.
 */
#ifndef BIFURCATED_STORE_WATCHES_H
#define BIFURCATED_STORE_WATCHES_H

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/base/timetable.h"
#include "store/perplexities.h"
#include "store/revisions.h"
#include "store/store.h"

#define WATCHES_URL_SIZE 2048
#define WATCHES_SECRET_SIZE 256
#define WATCHES_SECRET_MIN 16 /* characters */

struct watch_setting {
    int64_t model_id;
    struct timetable timetable;
    const char *request;        /* JSON of a sweep, the model included; at most LIMIT_API_BODY_BYTES */
    int priority;               /* of its sweeps */
    const char *webhook_url;    /* "": none */
    const char *webhook_secret; /* NULL: the one that is there, if the URL stays the same */
};

struct watch_row {
    int64_t id; /* never used again, also if the watch is deleted and made anew */
    int64_t model_id;
    char model[LIMIT_MODEL_NAME_BYTES + 1];
    struct timetable timetable;
    int priority;
    char webhook_url[WATCHES_URL_SIZE];
    char webhook_secret[WATCHES_SECRET_SIZE];
    int64_t created_ms;
    int64_t request_number; /* grows with each change of the request; its sweeps bear it */
    int64_t since_ms;       /* from when on the timetable counts */
    int is_asked;           /* someone asked for a run now */
    int64_t asks;           /* how often anyone did */
    int64_t run_ms;         /* begin of the last run; 0: none yet */
    int64_t run_sweep_id;   /* what it started; 0: nothing */
    int failures;           /* runs in a row that failed and are tried again */
    int64_t retry_ms;       /* when the failed run is tried again; 0: not before the timetable says so */
    int64_t sweeps_ended, sweeps_announced; /* of the model; see store/deliveries.h */
};

/* Makes or changes the watch of a model; what is known of its runs stays. ERR_INVALID: a webhook needs a
 * secret of WATCHES_SECRET_MIN characters. ERR_NOT_FOUND: the model was removed since its number was read.
 * *ret_is_new may be NULL. */
int watches_put(struct store *store, const struct watch_setting *setting, int *ret_is_new, struct err *err);

/* ERR_NOT_FOUND if the model has none (or is not known). */
int watches_find(struct store *store, const char *model, struct watch_row *ret_row, struct err *err);

/* By the model's name, after `after` ("" from the start), at most `limit`. */
int watches_list(struct store *store, const char *after, int limit,
                 int (*row)(void *context, const struct watch_row *row), void *context, struct err *err);

/* Appends the request of its sweeps, the report of the last run ("" before the first one), and to `changes`
 * (may be NULL) what an earlier run has written into the revisions and could not report: JSON, {"new":
 * {"count": N, "names": [...]}, "moved": ..., "gone": ...}, or "". */
int watches_get_texts(struct store *store, int64_t id, struct buf *request, struct buf *report,
                      struct buf *changes, struct err *err);

/* Sweeps that it started go on. ERR_NOT_FOUND. */
int watches_delete(struct store *store, const char *model, struct err *err);

/* The next run is due now; one that is running now does not count. ERR_NOT_FOUND. */
int watches_ask(struct store *store, const char *model, struct err *err);

/* When its next run is due (daemon/base/timetable.h); now or earlier: at once. */
int64_t watch_due(const struct watch_row *watch, int64_t now_ms);

/* The same to be shown: of a watch that is due a moment that has passed and stays the same until it runs. */
int64_t watch_next(const struct watch_row *watch, int64_t now_ms);

/* -- Runs -- */

/* What a watch wants to be known of a revision. */
enum watch_want {
    WATCH_WANT_NOTHING,
    WATCH_WANT_MEASURED, /* the model's unembedding, or a perplexity of the mode, of any sweep */
    WATCH_WANT_SWEPT,    /* only what this watch has swept counts: it asks for something special */
};

struct watch_query {
    enum watch_want statistics, perplexity;
    enum perplexity_mode mode;
};

/*
 * Current revisions, in step order, that lack something of the query and that are not being measured now.
 * Those that this watch has swept since its request changed are passed over, unless they failed for a passing
 * reason (err_is_transient), or because the hub refused them (ERR_GATED, or ERR_UNAUTHORIZED: a token that
 * expired meanwhile), `refusals` times: whether it still does, and whether the request selects a revision, is
 * for the caller to say. What a sweep that failed did not come to try is due as before; unless eight others
 * had failed alike (store/tasks.h): then nothing of that sweep is, until the request, the revision or the
 * program is another.
 */
int watches_list_due_revisions(struct store *store, const struct watch_row *watch,
                               const struct watch_query *query,
                               int (*row)(void *context, const struct revision_row *row, int refusals),
                               void *context, struct err *err);

/* Current revisions that sweeps of the watch left untried, since eight others had failed alike, that are not
 * due for that, and that nobody has tried since. */
struct watch_untried {
    int64_t count;
    int64_t sweep_id;                      /* the newest of those sweeps; 0: none */
    char reason[STORE_ERROR_MESSAGE_SIZE]; /* its error */
};

int watches_count_untried(struct store *store, const struct watch_row *watch, struct watch_untried *ret,
                          struct err *err);

/* What a series shows a revision's displacements against, of a current revision's unembedding. */
struct watch_link {
    int64_t revision_id;
    int is_first;             /* against the reference; else against the previous revision */
    int64_t reference_id;     /* a revision */
    int is_reference_current; /* 0: it has moved or is gone */
};

int watches_list_links(struct store *store, int64_t model_id,
                       int (*row)(void *context, const struct watch_link *link), void *context,
                       struct err *err);

/* A revision, and those that its displacements are against; 0: none. */
struct watch_compared {
    int64_t revision_id, reference_id, previous_id;
};

/* Whether the watch has swept this revision, since its request changed, against these; or whether the
 * revision is being measured now. *ret_refusals: see above. */
int watches_has_swept(struct store *store, const struct watch_row *watch,
                      const struct watch_compared *compared, int *ret_has_swept, int *ret_refusals,
                      struct err *err);

struct watch_run {
    int64_t started_ms;
    const char *report;        /* JSON, at most LIMIT_API_BODY_BYTES */
    const char *sweep_request; /* JSON; NULL: nothing to sweep */
    int has_changes;           /* the report says what has changed, also what earlier runs could not report */
    int failures;
    int64_t retry_ms; /* 0: none */
};

/* Notes a run and starts its sweep, both or none. A run that was asked for since `watch` was read stays due.
 * *ret_sweep_id becomes 0 without one. ERR_NOT_FOUND if the watch is gone or asks for something else by now:
 * then nothing is noted or started. */
int watches_record_run(struct store *store, const struct watch_row *watch, const struct watch_run *run,
                       int64_t *ret_sweep_id, struct err *err);

/* The unfinished sweep that the watch has started, or 0. */
int watches_find_unfinished(struct store *store, int64_t id, int64_t *ret_sweep_id, struct err *err);

#endif
