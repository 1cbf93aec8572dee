/*
 * An outage: the hub, or what leads to it, is down, so that no request can succeed, whatever it asks for.
 * Then nothing is asked any more but one question at growing intervals, until something answers.
 *
 * What counts, for each of the three kinds of requests (API, files, other hosts) by itself:
 *
 *   - An answer is any status below 500: whatever it says, somebody is there. It ends all doubt.
 *   - No host: no address, no connection, a proxy that leads nowhere. No file can be at fault.
 *   - A failure: 5xx, or a connection that gives no answer. The hub may be at fault, or one file.
 *   - Anything else says nothing: TLS that fails is for somebody to set right, and waiting does not help.
 *
 * OUTAGE_FAILURES of the latter two in a row, over OUTAGE_AFTER_MS or longer, raise a doubt; so does a
 * request that has used up its attempts, which then has one more, once the doubt is over. Without a host it
 * is an outage. Failures are held against a witness: what was last answered of that kind, else the hub's
 * question for the token's owner. If that is answered, it is the file's fault and no outage; if it fails,
 * too, it is one. Where no file was ever answered and several fail, it is an outage as well; what is then
 * answered as the question is the witness from there on, so files that fail for ever are no outage twice.
 *
 * What a machine beside this one says raises a doubt, too (outage_doubt()): a process that asks for nothing
 * itself would not notice otherwise.
 *
 * A hub that never answered is none that is down: its address may be wrong, which must be told soon. So
 * there is no outage before an answer of the hub, now or in an earlier life (`is_reached`).
 *
 * Pure: the time is handed in, and whoever calls has the lock.
 */
#ifndef BIFURCATED_HUB_OUTAGE_H
#define BIFURCATED_HUB_OUTAGE_H

#include "daemon/base/limits.h"
#include "daemon/hub/gate.h"

#include <stdint.h>

#define OUTAGE_FAILURES 4
#define OUTAGE_AFTER_MS 3000
#define OUTAGE_DOUBT_MS 60000   /* what others say is asked after at most once in so long */
#define OUTAGE_SETTLED_MS 60000 /* one that begins so soon after another goes on with its intervals */

enum outage_sign { OUTAGE_SIGN_NONE, OUTAGE_SIGN_ANSWER, OUTAGE_SIGN_FAILURE, OUTAGE_SIGN_NO_HOST };

enum outage_state {
    OUTAGE_STATE_NONE,
    OUTAGE_STATE_DOUBT,   /* the witness is asked */
    OUTAGE_STATE_ON,      /* nothing may be asked */
    OUTAGE_STATE_ENDURED, /* it lasts for longer than anything shall wait: requests fail by themselves */
};

enum outage_order { OUTAGE_ORDER_GO, OUTAGE_ORDER_WAIT, OUTAGE_ORDER_REFUSE };

struct outage_row { /* failures in a row of one kind of request */
    int count;
    int64_t first_ms;
    uint64_t first_url; /* its hash, without the query */
    int are_several;    /* of different files */
    char witness[LIMIT_URL_BYTES];
};

struct outage {
    int64_t first_ms, longest_ms; /* intervals of the question; first_ms 0: outages are not looked for */
    int64_t limit_ms;             /* an outage that lasts longer is endured */
    char home[LIMIT_URL_BYTES];   /* what can be asked of every hub */
    int is_reached;
    struct outage_row rows[TRANSFER_BUCKET_COUNT];

    enum outage_state state;
    enum transfer_bucket bucket;  /* in which the doubt arose */
    char asked[LIMIT_URL_BYTES];  /* the question */
    enum transfer_bucket asks_of; /* its kind */
    int is_asking, question_count;
    int64_t since_ms, ask_at_ms;    /* monotonic, as the next */
    int64_t ended_ms, doubted_ms;   /* 0: there was none */
    char reason[ERR_MESSAGE_BYTES]; /* of what failed, in words */
};

/* Zeroes all; outages are looked for where first_ms is positive. `home` is copied. */
void outage_init(struct outage *outage, const char *home, int64_t first_ms, int64_t longest_ms,
                 int64_t limit_ms, int is_reached);

/* A request that is not the question has ended; `reason` says in words how it failed. `jitter` in [0.5, 1)
 * spreads the questions of many machines. */
void outage_note(struct outage *outage, enum transfer_bucket bucket, const char *url, enum outage_sign sign,
                 const char *reason, int64_t now_ms, double jitter);

/* A request of this kind has used up its attempts, the last with this sign. Returns whether it shall be asked
 * for once more, when the order is to go: there is a doubt, or an outage. */
int outage_accuse(struct outage *outage, enum transfer_bucket bucket, const char *url, enum outage_sign sign,
                  const char *reason, int64_t now_ms, double jitter);

/* Others do not reach the hub: it is asked whether it answers, unless that was done lately. */
void outage_doubt(struct outage *outage, int64_t now_ms);

/* What to do with a request that could start. */
enum outage_order outage_order(struct outage *outage, enum transfer_bucket bucket, int64_t now_ms);

/* The address that is to be asked now; the caller asks it and tells by outage_note_question(). NULL: none. */
const char *outage_ask(struct outage *outage, int64_t now_ms);

/* Milliseconds until outage_ask() may give an address; -1: only outage_note() can bring that about. */
int64_t outage_ask_wait_ms(const struct outage *outage, int64_t now_ms);

/* How the question ended. */
void outage_note_question(struct outage *outage, enum outage_sign sign, const char *reason, int64_t now_ms,
                          double jitter);

#endif
