#include "daemon/measure/device_turns.h"

#include "daemon/base/clock.h"
#include "daemon/base/pulse.h"
#include "gpu/backend.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define WAIT_MS 250 /* how often who waits shows that it does */

struct device_turns {
    struct device *contexts[2]; /* the second one NULL: there is one */
    _Atomic int64_t *busy_us;
    int computing;          /* which context computes: changes with the load and the turn, read with either */
    struct score_need need; /* of the model scored last; the load */
    double began_s;         /* of the turn */
    atomic_bool is_lost;
    atomic_bool is_hung;  /* lost by hanging */
    pthread_mutex_t lock; /* of what follows, never held while something is computed or loaded */
    pthread_cond_t changed;
    int is_loading; /* somebody has the load, which is taken before the turn */
    int is_taken;   /* the turn */
    int passes_waiting, models_waiting;
    int passes_in_row; /* that went before a model that waits */
};

/* Marks the device where a call of its backend said so. */
static int note(struct device_turns *turns, int code)
{
    if (code != ERR_DEVICE_LOST)
        return code;
    (void)pthread_mutex_lock(&turns->lock);
    atomic_store(&turns->is_lost, true);
    (void)pthread_cond_broadcast(&turns->changed);
    (void)pthread_mutex_unlock(&turns->lock);
    return code;
}

int device_turns_is_lost(const struct device_turns *turns)
{
    return turns && atomic_load(&turns->is_lost);
}

void device_turns_give_up(struct device_turns *turns)
{
    atomic_store(&turns->is_hung, true);
    (void)note(turns, ERR_DEVICE_LOST);
}

static int check_lost(const struct device_turns *turns, struct err *err)
{
    if (!device_turns_is_lost(turns))
        return 0;
    return err_set(err, ERR_CANCELLED, "the compute device was lost under another task");
}

int device_turns_new(struct device *device, struct device *second, _Atomic int64_t *busy_us,
                     struct device_turns **ret_turns, struct err *err)
{
    struct device_turns *turns = calloc(1, sizeof *turns);
    if (!turns)
        return err_set(err, ERR_NO_MEMORY, "turns of the device: out of memory");
    turns->contexts[0] = device;
    turns->contexts[1] = second;
    turns->busy_us = busy_us;
    (void)pthread_mutex_init(&turns->lock, NULL);
    (void)pthread_cond_init(&turns->changed, NULL);
    *ret_turns = turns;
    return 0;
}

void device_turns_free(struct device_turns *turns)
{
    if (!turns)
        return;
    (void)pthread_cond_destroy(&turns->changed);
    (void)pthread_mutex_destroy(&turns->lock);
    free(turns);
}

void device_turns_count_waiting(struct device_turns *turns, int *ret_passes, int *ret_models)
{
    (void)pthread_mutex_lock(&turns->lock);
    *ret_passes = turns->passes_waiting;
    *ret_models = turns->models_waiting;
    (void)pthread_mutex_unlock(&turns->lock);
}

/* With the lock, which is let go of. NULL: the device was lost meanwhile, and nobody has the turn. */
static struct device *begin(struct device_turns *turns)
{
    const int is_lost = atomic_load(&turns->is_lost);
    turns->is_taken |= !is_lost;
    (void)pthread_mutex_unlock(&turns->lock);
    if (is_lost)
        return NULL;
    turns->began_s = clock_monotonic_s();
    return turns->contexts[turns->computing];
}

/* With the lock: waits for what another has; not for one that has lost the device, and may never come back.
 */
static int must_wait(struct device_turns *turns, int is_held)
{
    if (!is_held || atomic_load(&turns->is_lost))
        return 0;
    pulse_wait(&turns->changed, &turns->lock, WAIT_MS);
    return 1;
}

static struct device *begin_pass(struct device_turns *turns)
{
    (void)pthread_mutex_lock(&turns->lock);
    turns->passes_waiting++;
    while (must_wait(turns, turns->is_taken ||
                                (turns->models_waiting && turns->passes_in_row >= DEVICE_TURNS_PASSES)))
        ;
    turns->passes_waiting--;
    turns->passes_in_row += turns->models_waiting > 0;
    return begin(turns);
}

struct device *device_turns_begin(struct device_turns *turns)
{
    (void)pthread_mutex_lock(&turns->lock);
    turns->models_waiting++;
    while (must_wait(turns, turns->is_taken ||
                                (turns->passes_waiting && turns->passes_in_row < DEVICE_TURNS_PASSES)))
        ;
    turns->models_waiting--;
    turns->passes_in_row = 0;
    return begin(turns);
}

void device_turns_end(struct device_turns *turns)
{
    atomic_fetch_add(turns->busy_us, (int64_t)((clock_monotonic_s() - turns->began_s) * 1e6));
    (void)pthread_mutex_lock(&turns->lock);
    turns->is_taken = 0;
    (void)pthread_cond_broadcast(&turns->changed);
    (void)pthread_mutex_unlock(&turns->lock);
}

static int take_load(struct device_turns *turns, struct err *err)
{
    (void)pthread_mutex_lock(&turns->lock);
    while (must_wait(turns, turns->is_loading))
        ;
    const int is_taken = !turns->is_loading; /* else it is lost */
    turns->is_loading = 1;
    (void)pthread_mutex_unlock(&turns->lock);
    return is_taken ? 0 : check_lost(turns, err);
}

static void give_load(struct device_turns *turns)
{
    (void)pthread_mutex_lock(&turns->lock);
    turns->is_loading = 0;
    (void)pthread_cond_broadcast(&turns->changed);
    (void)pthread_mutex_unlock(&turns->lock);
}

static int run_statistics(struct device_turns *turns, const struct statistics_request *request,
                          struct statistics_result *result, struct err *err)
{
    struct device *device = begin_pass(turns);
    int code = check_lost(turns, err);
    if (!device)
        return code;
    pulse_call(DEVICE_TURNS_CALLEE);
    if (!code)
        code = note(turns, device_statistics(device, request, result, err));
    pulse_call(NULL);
    device_turns_end(turns);
    return code;
}

int device_turns_statistics(struct device_turns *turns, int is_alone,
                            const struct statistics_request *request, struct statistics_result *result,
                            struct err *err)
{
    int code = 0;
    if (!is_alone) {
        code = run_statistics(turns, request, result, err);
        if (code != ERR_NO_MEMORY || !turns->contexts[1])
            return code;
        *err = (struct err)ERR_INIT;
    }
    if ((code = take_load(turns, err))) /* who has a model has one of the two */
        return code;
    code = run_statistics(turns, request, result, err);
    give_load(turns);
    return code;
}

static int load(struct device_turns *turns, int context, const struct score_model_source *source,
                struct device_turn *turn, struct err *err)
{
    double begin_s = clock_monotonic_s();
    void *device = device_context(turns->contexts[context]);
    int code = check_lost(turns, err);
    pulse_call(DEVICE_TURNS_CALLEE);
    if (!code)
        code = note(turns, turn->backend->model_load(device, source, &turn->model, err));
    pulse_call(NULL);
    turn->load_seconds = clock_monotonic_s() - begin_s;
    return code;
}

/* A model that was loaded when the device was lost. What hangs may also hang here: then the process ends. */
static void drop_model(struct device_turns *turns, struct device_turn *turn)
{
    if (turn->model && !atomic_load(&turns->is_hung))
        turn->backend->model_free(turn->model);
}

int device_turns_load(struct device_turns *turns, int is_alone, struct score_model_source *source,
                      struct device_turn *ret_turn, struct err *err)
{
    struct device_turn turn = {.backend = device_backend(turns->contexts[0]), .is_alone = is_alone};
    if (!turn.backend->model_load)
        return err_set(err, ERR_UNSUPPORTED, "the backend %s cannot score models", turn.backend->name);
    int code = take_load(turns, err);
    if (code)
        return code;
    const int has_second = turns->contexts[1] && turn.backend->model_need;
    const int loading = has_second ? 1 - turns->computing : turns->computing;
    code = ERR_NO_MEMORY;
    if (has_second && !is_alone) {
        source->beside = &turns->need;
        code = load(turns, loading, source, &turn, err);
        source->beside = NULL;
    }
    const int is_later = code == ERR_NO_MEMORY; /* loads when no other model is there */
    if (code && !is_later) {
        give_load(turns);
        return code;
    }
    if (!device_turns_begin(turns)) {
        drop_model(turns, &turn);
        give_load(turns);
        return check_lost(turns, err);
    }
    if (is_later) {
        *err = (struct err)ERR_INIT;
        code = load(turns, loading, source, &turn, err);
    }
    if (!code) {
        turns->computing = loading;
        if (turn.backend->model_need)
            turn.backend->model_need(turn.model, &turns->need);
        *ret_turn = turn;
    } else {
        device_turns_end(turns);
    }
    if (code || !is_alone)
        give_load(turns);
    return code;
}

int device_turns_score(struct device_turns *turns, const struct device_turn *turn,
                       const struct score_request *request, struct score_result *result, struct err *err)
{
    int code = check_lost(turns, err); /* it may have been loaded beside the model that lost the device */
    pulse_call(DEVICE_TURNS_CALLEE);
    if (!code)
        code = note(turns, turn->backend->model_score(turn->model, request, result, err));
    pulse_call(NULL);
    return code;
}

void device_turns_unload(struct device_turns *turns, struct device_turn *turn)
{
    pulse_call(DEVICE_TURNS_CALLEE);
    turn->backend->model_free(turn->model);
    pulse_call(NULL);
    turn->model = NULL;
    device_turns_end(turns);
    if (turn->is_alone)
        give_load(turns);
}
