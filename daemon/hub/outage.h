/*
 * An outage: a part of the hub (daemon/hub/parts.h), or the way to it, is down, so that no request to it
 * can succeed, whatever it asks for. From then on it is asked only one question, at growing intervals,
 * until something answers.
 *
 * What counts, of the requests to one part:
 *
 *   - An answer is any status below 500: whatever it says, somebody is there. It ends all doubt.
 *   - No host: no address, no connection, a proxy that leads nowhere. No file can be at fault.
 *   - A failure: 5xx, or a connection that gives no answer. The part may be at fault, or one file.
 *   - Anything else says nothing: TLS that fails is for somebody to set right, and waiting does not help.
 *
 * OUTAGE_FAILURES of the latter two in a row, over OUTAGE_AFTER_MS or longer, raise a doubt; so does a
 * request that has used up its attempts, which then has one more, once the doubt is over. Without a host it
 * is an outage. Failures are held against a witness: what was answered last, in this life or an earlier one;
 * `home` where nothing was, or just that fails. If the witness is answered, it is the file's fault and no
 * outage; if it fails, too, it is one. The witness is also what is asked whether the outage is over.
 *
 * What a machine beside this one says raises a doubt, too (outage_doubt()): a process that asks for nothing
 * itself would not notice otherwise.
 *
 * A part that never answered does not count as down: its address may be wrong, or closed to this machine,
 * which the user must learn soon. So there is no outage before a first answer, now or in an earlier life of
 * the daemon (`is_reached`).
 *
 * An outage counts from when this process found it, so its limit begins anew with each start: whether the hub
 * was there in between, nobody knows.
 *
 * Pure: the time is handed in, and whoever calls has the lock.
 */
#ifndef BIFURCATED_HUB_OUTAGE_H
#define BIFURCATED_HUB_OUTAGE_H

#include "daemon/base/err.h"
#include "daemon/base/limits.h"

#include <stdint.h>

#define OUTAGE_FAILURES 4
#define OUTAGE_AFTER_MS 3000
#define OUTAGE_DOUBT_MS 60000   /* a doubt of others is looked into at most once in this time */
#define OUTAGE_SETTLED_MS 60000 /* one that begins so soon after another goes on with its intervals */

enum outage_sign { OUTAGE_SIGN_NONE, OUTAGE_SIGN_ANSWER, OUTAGE_SIGN_FAILURE, OUTAGE_SIGN_NO_HOST };

enum outage_state {
    OUTAGE_STATE_NONE,
    OUTAGE_STATE_DOUBT,   /* the witness is asked; other requests wait for that */
    OUTAGE_STATE_ON,      /* nothing may be asked */
    OUTAGE_STATE_ENDURED, /* it has lasted longer than anything should wait: requests fail by themselves */
};

struct outage_times {
    int64_t first_ms, longest_ms; /* intervals of the question; first_ms 0: outages are not looked for */
    int64_t limit_ms;             /* an outage that lasts longer is endured */
};

struct outage {
    struct outage_times times;
    char home[LIMIT_URL_BYTES];    /* what can be asked of it in any case */
    char witness[LIMIT_URL_BYTES]; /* what was answered last; "" before */
    int is_reached;
    int failure_count; /* in a row, */
    int64_t failed_ms; /* since */

    enum outage_state state;
    const char *asked; /* the question: home or witness */
    int is_asking, question_count;
    int64_t since_ms, ask_at_ms;    /* monotonic, as the next */
    int64_t ended_ms, doubted_ms;   /* 0: there was none */
    char reason[ERR_MESSAGE_BYTES]; /* of what failed, in words */
};

/* Zeroes all. `home` and `witness` are copied. */
void outage_init(struct outage *outage, const struct outage_times *times, const char *home,
                 const char *witness, int is_reached);

/* A request that is not the question has ended; `reason` says in words how it failed. `jitter` in [0.5, 1)
 * spreads the questions of many machines. */
void outage_note(struct outage *outage, const char *url, enum outage_sign sign, const char *reason,
                 int64_t now_ms, double jitter);

/* A request has used up its attempts, the last with this sign. Returns whether it shall be asked for once
 * more, when the state lets it: there is a doubt, or an outage. */
int outage_accuse(struct outage *outage, const char *url, enum outage_sign sign, const char *reason,
                  int64_t now_ms, double jitter);

/* Others do not reach it: it is asked whether it answers, unless that was done lately. */
void outage_doubt(struct outage *outage, int64_t now_ms);

/* The state now: an outage that lasts for too long becomes one that is endured. */
enum outage_state outage_update(struct outage *outage, int64_t now_ms);

/* The address that is to be asked now; the caller asks it and tells by outage_note_question(). NULL: none. */
const char *outage_ask(struct outage *outage, int64_t now_ms);

/* Milliseconds until outage_ask() may give an address; -1: only outage_note() can bring that about. */
int64_t outage_ask_wait_ms(const struct outage *outage, int64_t now_ms);

/* How the question ended. */
void outage_note_question(struct outage *outage, enum outage_sign sign, const char *reason, int64_t now_ms,
                          double jitter);

#endif
