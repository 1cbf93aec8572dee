/*
 * The client of the Hugging Face hub, and of anything that speaks its protocol.
 *
 * One hub serves all threads of the process. A single thread of its own drives every transfer (libcurl's
 * multi interface, so connections are shared and reused); callers wait for theirs. A global limit of
 * connections and a budget of requests per five minutes hold for all together; 429 and 5xx answers, broken
 * connections and stalls are retried with exponential backoff, and what `Retry-After` or `RateLimit` say is
 * obeyed. A hub, or a host of its files, that is down is noticed once for all who need it: until it
 * answers, their requests end with ERR_UNREACHABLE, which is nobody's failure.
 *
 * The token, read anew once its file changes, is sent to the scheme, host and port of the endpoint and to no
 * one else; redirects are followed by hand, at most LIMIT_HUB_REDIRECTS, and never from https to http.
 *
 * Whole files live in the standard hub cache (shared with Python, locked as Python locks it). Ranges of files
 * live in memory only, or in a folder of our own.
 */
#ifndef BIFURCATED_HUB_HUB_H
#define BIFURCATED_HUB_HUB_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum hub_keep {
    HUB_KEEP_NOTHING, /* ranges are read into memory; only what is already in the cache comes from there */
    HUB_KEEP_RANGES,  /* the same, and each range is kept in the state folder and read from there next time */
    HUB_KEEP_FILES,   /* a file that is opened is downloaded whole into the cache, verified and mapped */
};

/* Why requests to the endpoint, or downloads, are held back. */
enum hub_wait_reason {
    HUB_WAIT_NONE,
    HUB_WAIT_REQUEST_BUDGET, /* our own budget of requests is used up */
    HUB_WAIT_RATE_LIMIT,     /* the hub's is: RateLimit says so, or a 429 */
    HUB_WAIT_RETRY_AFTER,    /* the hub asks for a pause (Retry-After) for another reason */
    HUB_WAIT_UNREACHABLE,    /* it, or a host of its files, is down: see is_partial and hub_is_down() */
    HUB_WAIT_CACHE_BUDGET,   /* downloads wait for room that other downloads have */
};
#define HUB_WAIT_REASON_COUNT 6

/* "none", "request_budget", "rate_limit", "retry_after", "unreachable", "cache_budget". */
const char *hub_wait_reason_name(enum hub_wait_reason reason);

/* What stands still before the endpoint. */
struct hub_wait {
    enum hub_wait_reason reason; /* HUB_WAIT_NONE: nothing waits */
    int64_t until_ms;            /* wall clock; when the last of them may go, or when a hub that is down is
                                  * asked again; of the cache's budget when it is looked at again at the
                                  * latest; 0: nothing waits */
    int request_count;           /* requests that wait; of the cache's budget downloads */
    int64_t waited_ms;           /* how long something has waited since the start, all waits together */
    uint64_t serial;             /* grows whenever reason changes, or until_ms of requests */
    int is_endured;              /* what is down is so for so long that requests fail by themselves again */
    int is_partial;              /* what is down are files, or another host; the hub's API answers */
    /* If the reason is what is down: what failed, in words, with the host's name; if the cache's budget: what
     * to change; else "". */
    char detail[ERR_MESSAGE_BYTES];
};

/* The hub, or a host of its files, is down, is so for too long, or is back. */
struct hub_outage {
    int is_over, is_endured, is_partial; /* the last: of another host alone */
    char host[256];                      /* "https://huggingface.co" */
    char reason[ERR_MESSAGE_BYTES];      /* what failed, in words; of one that is over, "" */
};

/* The file of the token holds another one now, or none. */
struct hub_token_news {
    const char *path;
    int has_token;       /* whether the hub is asked with one from now on */
    const char *problem; /* why what it holds does not count, so that the one before does; NULL: it counts */
};

struct hub_options {
    char *endpoint;   /* "https://huggingface.co", may have a path; no trailing '/' */
    char *token;      /* or NULL */
    char *token_path; /* the file that it is of, or would be, and is read from anew once that changes; NULL:
                       * it stays as it is */
    char *token_problem; /* why a token file that is there or was named gives none, with its path; else NULL.
                            For the caller to report: the hub itself reports only later changes */
    char *cache_folder;  /* ".../hub", absolute */
    char *state_folder;  /* kept ranges, and the ledger of what we put into the cache; NULL: neither */
    char *ca_file;       /* PEM; NULL: the system's */
    char *user_agent;
    int is_offline;
    enum hub_keep keep;
    int connections_max;          /* at once, all hosts together */
    int connections_per_file_max; /* a big range is split over so many */
    int64_t connect_timeout_ms;
    int64_t stall_timeout_ms; /* no byte for so long: the transfer is broken off and tried again; likewise
                               * after ten times that, however it drips: of a range what came is kept, a reply
                               * starts anew */
    int64_t backoff_ms;       /* first pause between attempts; doubles, up to backoff_max_ms, with jitter */
    int64_t backoff_max_ms;
    int64_t wait_max_ms; /* the longest pause that Retry-After or RateLimit may ask for; more is an error */
    int attempts_max;    /* per request or piece of a range, counted anew whenever bytes arrived */
    int request_budget;  /* requests to the endpoint's API, and to its files, per window; 0: no budget */
    int64_t request_window_ms;   /* 0: five minutes, as the hub counts */
    uint64_t cache_budget_bytes; /* of whole files that we fetched, and again of ranges; 0: no limit */

    /* A hub that is down (daemon/hub/outage.h): it is asked after outage_first_ms whether it answers, then at
     * intervals that double up to outage_longest_ms, until outage_limit_ms are over. outage_first_ms 0: each
     * request fails by itself. */
    int64_t outage_first_ms, outage_longest_ms, outage_limit_ms;
    /* A folder that does not answer for so long is an error of what waits for it; 0: never. */
    int64_t hang_ms;

    int is_reached; /* the addresses are right, which else a first answer shows: what is asked may be down at
                     * once. The state folder keeps what answered */

    /* The first is called when a wait for a limit begins, and with HUB_WAIT_NONE when it is over; the second
     * of outages; both on the network thread. The third on that of any caller, one at a time. The fourth, on
     * that of a caller, now and then while so many downloads wait for the cache's budget. They must not call
     * the hub. NULL: nobody wants to know. */
    void (*tell_wait)(void *context, const struct hub_wait *wait);
    void (*tell_outage)(void *context, const struct hub_outage *outage);
    void (*tell_token)(void *context, const struct hub_token_news *news);
    void (*tell_cache)(void *context, int waiting_count);
    void *tell_context;
};

/*
 * Defaults, overridden by the environment: HF_ENDPOINT; HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH or
 * $HF_HOME/token (unless HF_HUB_DISABLE_IMPLICIT_TOKEN); HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME,
 * XDG_CACHE_HOME; HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE; REQUESTS_CA_BUNDLE, SSL_CERT_FILE. Proxies
 * (http_proxy, HTTPS_PROXY, NO_PROXY) are read by libcurl. The caller frees with hub_options_free.
 */
int hub_options_from_environment(struct hub_options *options, struct err *err);

/* Replaces a text member by a copy of `value` (NULL clears it). */
int hub_options_set(char **member, const char *value, struct err *err);

/* Frees the members, not the struct. */
void hub_options_free(struct hub_options *options);

struct hub;

/* Starts a hub; copies the options. The caller closes it after everything that was opened from it. */
int hub_open(const struct hub_options *options, struct hub **ret_hub, struct err *err);
void hub_close(struct hub *hub);

/* Ends all transfers, now and in future, with ERR_CANCELLED (for shutting down). From any thread. */
void hub_cancel(struct hub *hub);

/* What the whole process has cost so far. */
void hub_counters(struct hub *hub, struct repository_counters *counters);

/* What waits before the endpoint now. */
void hub_read_wait(struct hub *hub, struct hub_wait *ret_wait);

/* Whether the hub of a repository may not be asked, so that its cache is all there is. 0 for a folder. Of a
 * view as of what it is of. */
int hub_is_offline(struct repository *repository);

/* The same of the hub itself. */
int hub_works_offline(const struct hub *hub);

/* Whether the hub itself is down: requests to its API end with ERR_UNREACHABLE before they are sent. */
int hub_is_down(struct hub *hub);

/* Why its API does not answer, however long that has lasted, so also once nothing waits for it any more; ""
 * if it does, or is not known not to. */
void hub_read_problem(struct hub *hub, char problem[ERR_MESSAGE_BYTES]);

/* 0: nothing is down; else a number that changes whenever something that was down is back (or endured): work
 * that met ERR_UNREACHABLE before may be tried again. */
uint64_t hub_outage_mark(struct hub *hub);

/* Another machine does not reach the hub. This one then tries; if it does not reach it either, the hub
 * counts as down, even if nothing here is asking for anything. */
void hub_doubt(struct hub *hub);

/* A repository whose files the hub refuses us is not asked for again for minutes: requests for them end
 * with ERR_GATED at once, unless the token has changed. Somebody asks anew for what model or data set
 * `name` ("owner/name", "owner/name:path") holds, and access may have been granted: the next request is
 * sent. */
void hub_forget_refusals(struct hub *hub, const char *name);

/* The repository has been read before, maybe long ago: if the hub's API does not know it now, or refuses
 * us, it is asked again for some seconds, as after a transient fault. For any other repository that is a
 * typing mistake, which is reported at once. Before anything is asked; does nothing for a folder. */
void hub_expect_repository(struct repository *repository);

/* Whether the hub's API may be asked now for something that could wait: nothing holds it back, and half of
 * our request budget and some of what the hub allows are still there for others. 1 for a folder. Of a
 * view (daemon/hub/view.h) as of what it is of. */
int hub_has_room(struct repository *repository);

/* The same of its files, which it counts apart. */
int hub_has_room_for_files(struct repository *repository);

/* Bytes of the file with this digest are not what they should be: ranges of it that were kept
 * (HUB_KEEP_RANGES) are fetched again when they are next asked for. Does nothing for a folder. Of a view as
 * of what it is of. */
void hub_forget_ranges(struct repository *repository, const char *digest);

/* A number, never 0, that changes with the token: what was refused to another need not be to this one. Looks
 * at its file. */
uint64_t hub_token_mark(struct hub *hub);

/* What one question to the hub tells of it. */
struct hub_probe {
    char user[128];            /* whose token it is; "" without a token, and where `knows_users` is 0 */
    int knows_users;           /* 0: it has no such question (404), as mirrors, or is no hub at all */
    int64_t requests_left;     /* of the API in this window of its rate limit; -1 unknown */
    int64_t requests_reset_ms; /* until the window ends; -1 unknown */
    int64_t answer_ms;         /* how long the answer took */
    int64_t ahead_ms;          /* of our wall clock, against the answer's date; 0 unknown */
};

/* Asks the hub who the token belongs to, once and without another try. ERR_UNAUTHORIZED: it does not accept
 * the token. ERR_NETWORK, ERR_TIMEOUT, ERR_HTTP, ERR_RATE_LIMITED: it cannot be used now. ERR_FORMAT: what
 * answers is no hub. */
int hub_ask(struct hub *hub, struct hub_probe *ret_probe, struct err *err);

/*
 * Opens a repository: "owner/name" (or "name") on the hub, or "file:/path", a local folder whose subfolders
 * are its revisions (or which is one revision itself, then named "main"). No request is made yet, so a
 * missing one is told by the first call. `cancel`, or NULL, is polled while calls of this repository wait:
 * once it is true they end with ERR_CANCELLED; it must outlive the repository. ERR_INVALID for a bad name.
 */
int hub_open_repository(struct hub *hub, enum repository_kind kind, const char *name,
                        const atomic_bool *cancel, struct repository **ret_repository, struct err *err);

/* A model for a thread that must not stand still: a folder on a mount whose server is gone makes
 * ERR_UNREACHABLE after some seconds, and ERR_TIMEOUT once that has lasted for hang_ms. */
int hub_open_guarded(struct hub *hub, const char *name, const atomic_bool *cancel,
                     struct repository **ret_repository, struct err *err);

/* Whether the folder "file:/path" answers, as far as such threads know: 0, or an error as above. 0 for other
 * names. Never waits. */
int hub_check_folder(struct hub *hub, const char *name, struct err *err);

/* The same by looking at it, which takes seconds where that is not known yet. */
int hub_visit_folder(struct hub *hub, const char *name, struct err *err);

/* How many threads wait for folders that do not answer. */
int hub_silent_count(struct hub *hub);

/* A model of an owner, as a search finds it. */
struct hub_listed {
    char *name;                          /* "owner/name" */
    char commit[REPOSITORY_COMMIT_SIZE]; /* of its default branch; "" where the hub does not say it */
};

struct hub_listing {
    size_t count;
    struct hub_listed
        *rows; /* as the hub orders them; a model may come twice if the order changes meanwhile */
};

/*
 * The models of `owner` whose names hold `text` ("": all of them), as far as the token may see them. What
 * "hold" means is the hub's to say, so whoever asks compares the names; those of other owners are passed
 * over. An owner that does not exist has none. What it costs counts for `repository`, one of the same hub,
 * whose cancel ends it. The caller frees *ret_listing. ERR_LIMIT for more than LIMIT_HUB_REPOSITORIES;
 * ERR_UNSUPPORTED where a mirror cannot be searched, and of a folder; offline, ERR_NOT_FOUND as for what is
 * not in the cache.
 */
int hub_list_repositories(struct repository *repository, const char *owner, const char *text,
                          struct hub_listing **ret_listing, struct err *err);

/* NULL is allowed. */
void hub_listing_free(struct hub_listing *listing);

#endif
