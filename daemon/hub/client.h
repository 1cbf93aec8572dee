/*
 * What the files of this folder share: the hub, a repository on it, and the judgement of answers.
 */
#ifndef BIFURCATED_HUB_CLIENT_H
#define BIFURCATED_HUB_CLIENT_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/base/errand.h"
#include "daemon/hub/cache.h"
#include "daemon/hub/cache_queue.h"
#include "daemon/hub/folder_hints.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/outage.h"
#include "daemon/hub/refusals.h"
#include "daemon/hub/repository.h"
#include "daemon/hub/small_files.h"
#include "daemon/hub/token.h"
#include "daemon/hub/transfer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Running counters; see struct repository_counters. */
struct usage {
    _Atomic uint64_t request_count, received_bytes, transfer_us, retry_count, cache_hit_count;
};

struct hub {
    struct hub_options options;
    struct token *token;
    struct transfers *transfers;
    struct folder_hints *folder_hints;
    struct folder_hints *place_hints; /* at which commits folders of branches were seen: view.c */
    struct errands *errands;          /* to folders */
    struct refusals refusals;         /* what the token may not read */
    struct small_files small_files;
    struct cache_queue cache_queue; /* who waits for room in the cache budget */
    atomic_bool is_cancelled;
    struct usage usage;
};

struct hub_repository {
    struct repository repository;
    char *name; /* "owner/name" */
    struct hub *hub;
    enum repository_kind kind;
    int is_expected;            /* hub_expect_repository() */
    _Atomic int64_t refused_ms; /* when its API refused it first, monotonic; 0: never */
    struct usage usage;
    struct hub_repository
        *payer;            /* whose costs these are, too: another one's view opened it; NULL: nobody's */
    struct cache cache;    /* this repository's part of the standard cache */
    pthread_mutex_t mutex; /* guards `resolved` */
    struct repository_refs resolved; /* names with their commits: client_note_name() */
};

void usage_read(struct usage *usage, struct repository_counters *counters);

/* NULL for what is no repository on the hub. */
struct hub_repository *client_repository_of(struct repository *repository);

/* Adds one finished transfer to the hub's and the repository's counters. */
void client_count(struct hub_repository *repository, const struct transfer *transfer);

/* Adds a retry, likewise. */
void client_count_retry(struct hub_repository *repository);

/* Counts a range that is served from what was kept. */
void client_count_cache_hit(struct hub_repository *repository);

/* Counts a file that is served from the cache, and notes in the ledger that it was used; `path` is the blob
 * or a link to it. */
void client_note_cache_hit(struct hub_repository *repository, const char *path);

/* Whether the endpoint itself is asked, by scheme, host and port: it alone gets the token, and its buckets
 * and the budget count. */
int client_is_endpoint(const struct hub *hub, const char *url);

/* "model" or "data set". */
const char *client_kind_word(const struct hub_repository *repository);

/* What is read by its commit was listed before: of the kind and name of the repository. */
#define CLIENT_NO_COMMIT                                                                                     \
    "%s %s has no such commit: it is mistyped, or its branch's history was rewritten since it was listed; "  \
    "sweep again"

/* Judging answers: judge.c. */
enum client_verdict {
    CLIENT_VERDICT_OK,       /* 200 or 206 and the whole body was taken */
    CLIENT_VERDICT_REDIRECT, /* 3xx with a Location */
    CLIENT_VERDICT_RETRY,    /* may work the next time; err says what went wrong this time */
    CLIENT_VERDICT_FAILED,   /* err says why */
};

/* Judges a finished transfer; fills err in words that say what to do unless OK or REDIRECT. */
enum client_verdict client_judge(struct hub_repository *repository, const struct transfer *transfer,
                                 struct err *err);

/* Whether another host than the endpoint refuses access in a hub's own words: final, where storage that
 * answers 403 means an address that has expired. */
int client_is_refused_elsewhere(const struct transfer *transfer);

/* The part of client_judge() for a transfer without an answer. */
enum client_verdict client_judge_connection(const struct transfer *transfer, struct err *err);

/* What a finished transfer tells of the hub as a whole; of a failure `reason` says what failed, in words. */
enum outage_sign client_read_sign(const struct transfer *transfer, struct err *reason);

/* A number in [0.5, 1): what many clients do at times must not fall together. */
double client_jitter(void);

/*
 * How long to wait before attempt number `attempt` (from 1): what the server asked for, else exponential with
 * jitter. 429 also holds back all other requests of the same bucket. Negative if the server asks for more
 * than options.wait_max_ms; err then says so. Where outages are looked for, 5xx that asks for so much is an
 * attempt as any other: whether the hub is down is not known yet.
 */
int64_t client_retry_delay_ms(struct hub_repository *repository, const struct transfer *transfer, int attempt,
                              struct err *err);

/* Appends "https://endpoint/api/models/owner/name". */
void client_append_api(const struct hub_repository *repository, struct buf *url);

/* Appends ".../owner/name/resolve/<commit>/<path>". */
void client_append_resolve(const struct hub_repository *repository, const char *commit, const char *path,
                           struct buf *url);

/*
 * GETs a JSON reply of the API, follows redirects, retries, also once what is no JSON. Appends the body to
 * `body`; *ret_next becomes the address of the next page or NULL (the caller frees it); `ret_next` may be
 * NULL.
 */
int request_get_json(struct hub_repository *repository, const char *url, struct buf *body, char **ret_next,
                     struct err *err);

/* GETs a file's address at the endpoint, without its content: whether that is given to us, and, unless
 * `ret_file` is NULL, what the answer says of it; see repository_ask_file. */
int request_ask_file(struct hub_repository *repository, const char *url, const char *commit,
                     struct repository_file *ret_file, struct err *err);

/* ERR_INVALID unless this is a commit. */
int client_check_commit(const char *commit, struct err *err);

/* Behind the endpoint: what any hub answers, with or without a token. */
#define HUB_QUESTION "/api/whoami-v2"

/* Verbs of a repository on the hub; see repository.h. */
int listing_refs(struct repository *repository, struct repository_refs **ret_refs, struct err *err);
int listing_resolve(struct repository *repository, const char *revision, char *commit, struct err *err);
int listing_tree(struct repository *repository, const char *commit, struct repository_tree **ret_tree,
                 struct err *err);
int listing_commits(struct repository *repository, const char *revision,
                    struct repository_commits **ret_commits, struct err *err);

/* The tree of what lies in a folder of the commit, with whole paths; everything else may be left out. */
int listing_tree_below(struct repository *repository, const char *commit, const char *folder,
                       struct repository_tree **ret_tree, struct err *err);

/* Notes that a name has this commit, so that a download at it can write the name into the cache's refs. */
void client_note_name(struct hub_repository *repository, const char *name, const char *commit);

/* refs/<name> in the cache for every name that was noted with this commit. */
int client_write_names(struct hub_repository *repository, const char *commit, struct err *err);

/* Opens a file that is read by ranges over HTTP; see repository_open_file. */
int remote_open(struct hub_repository *repository, const char *commit, const char *path,
                const struct repository_file *expected, struct source **ret_source, struct err *err);

/* The id that the cache would give a remote file: sha256 for LFS, else git's blob id; "" if unknown. */
const char *remote_blob_id(const struct source *source);

/* See repository_download_file. Where the cache budget has no room but what other downloads have, it `waits`
 * for these, or fails with ERR_LIMIT. */
int download_file(struct hub_repository *repository, const char *commit, const char *path,
                  const struct repository_file *expected, int waits, char **ret_path, struct err *err);

#endif
