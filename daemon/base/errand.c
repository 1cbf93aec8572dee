#include "daemon/base/errand.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SILENT_MAX 64 /* threads that may be lost to silent places */
#define LOOK_MS 100

struct errands {
    int64_t silent_ms, lost_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct sent *first; /* what is under way */
    int user_count;     /* the owner, and all that is under way: lock */
};

struct sent {
    struct errand errand;
    struct errands *errands;
    struct sent *next;
    char *place;
    struct pulse pulse;
    int is_back, is_left; /* lock */
    int code;
    struct err reason;
};

int errands_new(int64_t silent_ms, int64_t lost_ms, struct errands **ret_errands, struct err *err)
{
    struct errands *errands = calloc(1, sizeof *errands);
    if (!errands)
        return err_set(err, ERR_NO_MEMORY, "errands: out of memory");
    errands->silent_ms = silent_ms;
    errands->lost_ms = lost_ms;
    errands->user_count = 1;
    (void)pthread_mutex_init(&errands->lock, NULL);
    (void)pthread_cond_init(&errands->changed, NULL);
    *ret_errands = errands;
    return 0;
}

/* One user less; gives the lock back, and frees with the last one. */
static void leave_errands(struct errands *errands)
{
    int is_last = --errands->user_count == 0;
    (void)pthread_mutex_unlock(&errands->lock);
    if (!is_last)
        return;
    (void)pthread_cond_destroy(&errands->changed);
    (void)pthread_mutex_destroy(&errands->lock);
    free(errands);
}

void errands_free(struct errands *errands)
{
    if (!errands)
        return;
    (void)pthread_mutex_lock(&errands->lock);
    leave_errands(errands);
}

static void free_sent(struct sent *sent)
{
    free(sent->place);
    free(sent);
}

/* Out of the list. With the lock. */
static void take_out(struct sent *sent)
{
    struct sent **at = &sent->errands->first;
    while (*at != sent)
        at = &(*at)->next;
    *at = sent->next;
}

/* How a place is after so long without a beat. */
static int judge(const struct errands *errands, const char *place, int64_t age_ms, struct err *err)
{
    char since[CLOCK_TEXT_SIZE];
    if (age_ms < errands->silent_ms)
        return 0;
    clock_format(clock_wall_ms() - age_ms, since, sizeof since);
    if (errands->lost_ms && age_ms >= errands->lost_ms)
        return err_set(err, ERR_TIMEOUT,
                       "%.300s: has not answered since %s: check its mount and dmesg; once ls "
                       "of it answers, restart this program if it still says so",
                       place, since);
    return err_set(err, ERR_UNREACHABLE,
                   "%.300s: has not answered since %s: check its mount (ls of it, dmesg)", place, since);
}

/* With the lock. */
static int look(const struct errands *errands, const char *place, struct err *err)
{
    int64_t age_ms = 0;
    for (const struct sent *sent = errands->first; sent; sent = sent->next) {
        int64_t own_ms = pulse_age_ms(&sent->pulse);
        if (own_ms > age_ms && strcmp(sent->place, place) == 0)
            age_ms = own_ms;
    }
    return judge(errands, place, age_ms, err);
}

/* With the lock. */
static int count_silent(const struct errands *errands)
{
    int count = 0;
    for (const struct sent *sent = errands->first; sent; sent = sent->next)
        count += pulse_age_ms(&sent->pulse) >= errands->silent_ms;
    return count;
}

static void *work(void *context)
{
    struct sent *sent = context;
    struct errands *errands = sent->errands;
    pulse_attach(&sent->pulse);
    sent->code = sent->errand.work(sent->errand.context, &sent->reason);
    pulse_attach(NULL);
    (void)pthread_mutex_lock(&errands->lock);
    take_out(sent);
    sent->is_back = 1;
    if (sent->is_left) {
        sent->errand.drop(sent->errand.context);
        free_sent(sent);
    }
    (void)pthread_cond_broadcast(&errands->changed);
    leave_errands(errands);
    return NULL;
}

/* With the lock. */
static int send_out(struct errands *errands, struct sent *sent, struct err *err)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int code = look(errands, sent->place, err), count = count_silent(errands);
    if (code)
        return code;
    if (count >= SILENT_MAX)
        return err_set(err, ERR_UNREACHABLE,
                       "%.300s: not read, since %d folders do not answer: check their mounts (dmesg)",
                       sent->place, count);
    pulse_beat_for(&sent->pulse);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, work, sent);
    (void)pthread_attr_destroy(&attributes);
    if (failed)
        return err_set_errno(err, failed, "%.300s: cannot start a thread", sent->place);
    sent->next = errands->first;
    errands->first = sent;
    errands->user_count++;
    return 0;
}

/* Until it is back, or nobody waits any more. With the lock. */
static int await(struct errands *errands, struct sent *sent, const atomic_bool *cancel, struct err *err)
{
    int code = 0;
    while (!sent->is_back && !code) {
        int64_t looked_ms = clock_monotonic_ms();
        pulse_wait(&errands->changed, &errands->lock, LOOK_MS);
        if (sent->is_back)
            break;
        if (clock_monotonic_ms() - looked_ms >= errands->silent_ms) /* this process stood still, not it */
            pulse_beat_for(&sent->pulse);
        if (cancel && atomic_load(cancel))
            code = err_set(err, ERR_CANCELLED, "cancelled");
        else
            code = judge(errands, sent->place, pulse_age_ms(&sent->pulse), err);
    }
    return code;
}

int errands_run(struct errands *errands, const char *place, const struct errand *errand,
                const atomic_bool *cancel, int *ret_is_back, struct err *err)
{
    struct sent *sent = calloc(1, sizeof *sent);
    char *copy = strdup(place);
    *ret_is_back = 0;
    if (!sent || !copy) {
        free(sent);
        free(copy);
        errand->drop(errand->context);
        return err_set(err, ERR_NO_MEMORY, "%.300s: out of memory", place);
    }
    *sent = (struct sent){.errand = *errand, .errands = errands, .place = copy};
    (void)pthread_mutex_lock(&errands->lock);
    int code = send_out(errands, sent, err), is_sent = code == 0;
    if (is_sent)
        code = await(errands, sent, cancel, err);
    if (is_sent && code) {
        sent->is_left = 1;
        sent->errand.leave(sent->errand.context);
    }
    (void)pthread_mutex_unlock(&errands->lock);
    if (!is_sent)
        errand->drop(errand->context);
    if (is_sent && code)
        return code; /* the thread frees it */
    if (is_sent) {
        *ret_is_back = 1;
        code = sent->code;
        if (code)
            *err = sent->reason;
    }
    free_sent(sent);
    return code;
}

int errands_check_place(struct errands *errands, const char *place, struct err *err)
{
    (void)pthread_mutex_lock(&errands->lock);
    int code = look(errands, place, err);
    (void)pthread_mutex_unlock(&errands->lock);
    return code;
}

int errands_silent_count(struct errands *errands)
{
    (void)pthread_mutex_lock(&errands->lock);
    int count = count_silent(errands);
    (void)pthread_mutex_unlock(&errands->lock);
    return count;
}
