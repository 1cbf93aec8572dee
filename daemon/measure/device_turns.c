#include "daemon/measure/device_turns.h"

#include "daemon/base/clock.h"
#include "gpu/backend.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct device_turns {
    struct device *contexts[2]; /* the second one NULL: there is one */
    _Atomic int64_t *busy_us;
    pthread_mutex_t load_lock; /* taken before the turn */
    int computing; /* which context computes: changes with load_lock and the turn, read with either */
    struct score_need need; /* of the model scored last; load_lock */
    double began_s;         /* of the turn */
    atomic_bool is_lost;
    pthread_mutex_t lock; /* of what follows, never held while something is computed or loaded */
    pthread_cond_t changed;
    int is_taken; /* the turn */
    int passes_waiting, models_waiting;
    int passes_in_row; /* that went before a model that waits */
};

/* Marks the device where a call of its backend said so. */
static int note(struct device_turns *turns, int code)
{
    if (code == ERR_DEVICE_LOST)
        atomic_store(&turns->is_lost, true);
    return code;
}

int device_turns_is_lost(const struct device_turns *turns)
{
    return turns && atomic_load(&turns->is_lost);
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
    (void)pthread_mutex_init(&turns->load_lock, NULL);
    (void)pthread_mutex_init(&turns->lock, NULL);
    (void)pthread_cond_init(&turns->changed, NULL);
    *ret_turns = turns;
    return 0;
}

void device_turns_free(struct device_turns *turns)
{
    if (!turns)
        return;
    (void)pthread_mutex_destroy(&turns->load_lock);
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

/* With the lock, which is let go of. */
static struct device *begin(struct device_turns *turns)
{
    turns->is_taken = 1;
    (void)pthread_mutex_unlock(&turns->lock);
    turns->began_s = clock_monotonic_s();
    return turns->contexts[turns->computing];
}

static struct device *begin_pass(struct device_turns *turns)
{
    (void)pthread_mutex_lock(&turns->lock);
    turns->passes_waiting++;
    while (turns->is_taken || (turns->models_waiting && turns->passes_in_row >= DEVICE_TURNS_PASSES))
        (void)pthread_cond_wait(&turns->changed, &turns->lock);
    turns->passes_waiting--;
    turns->passes_in_row += turns->models_waiting > 0;
    return begin(turns);
}

struct device *device_turns_begin(struct device_turns *turns)
{
    (void)pthread_mutex_lock(&turns->lock);
    turns->models_waiting++;
    while (turns->is_taken || (turns->passes_waiting && turns->passes_in_row < DEVICE_TURNS_PASSES))
        (void)pthread_cond_wait(&turns->changed, &turns->lock);
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

static int run_statistics(struct device_turns *turns, const struct statistics_request *request,
                          struct statistics_result *result, struct err *err)
{
    struct device *device = begin_pass(turns);
    int code = check_lost(turns, err);
    if (!code)
        code = note(turns, device_statistics(device, request, result, err));
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
    (void)pthread_mutex_lock(&turns->load_lock); /* who has a model has one of the two locks */
    code = run_statistics(turns, request, result, err);
    (void)pthread_mutex_unlock(&turns->load_lock);
    return code;
}

static int load(struct device_turns *turns, int context, const struct score_model_source *source,
                struct device_turn *turn, struct err *err)
{
    double begin_s = clock_monotonic_s();
    void *device = device_context(turns->contexts[context]);
    int code = check_lost(turns, err);
    if (!code)
        code = note(turns, turn->backend->model_load(device, source, &turn->model, err));
    turn->load_seconds = clock_monotonic_s() - begin_s;
    return code;
}

int device_turns_load(struct device_turns *turns, int is_alone, struct score_model_source *source,
                      struct device_turn *ret_turn, struct err *err)
{
    struct device_turn turn = {.backend = device_backend(turns->contexts[0]), .is_alone = is_alone};
    if (!turn.backend->model_load)
        return err_set(err, ERR_UNSUPPORTED, "the backend %s cannot score models", turn.backend->name);
    (void)pthread_mutex_lock(&turns->load_lock);
    const int has_second = turns->contexts[1] && turn.backend->model_need;
    const int loading = has_second ? 1 - turns->computing : turns->computing;
    int code = ERR_NO_MEMORY;
    if (has_second && !is_alone) {
        source->beside = &turns->need;
        code = load(turns, loading, source, &turn, err);
        source->beside = NULL;
    }
    const int is_later = code == ERR_NO_MEMORY; /* loads when no other model is there */
    if (code && !is_later) {
        (void)pthread_mutex_unlock(&turns->load_lock);
        return code;
    }
    (void)device_turns_begin(turns);
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
        (void)pthread_mutex_unlock(&turns->load_lock);
    return code;
}

int device_turns_score(struct device_turns *turns, const struct device_turn *turn,
                       const struct score_request *request, struct score_result *result, struct err *err)
{
    int code = check_lost(turns, err); /* it may have been loaded beside the model that lost the device */
    return code ? code : note(turns, turn->backend->model_score(turn->model, request, result, err));
}

void device_turns_unload(struct device_turns *turns, struct device_turn *turn)
{
    turn->backend->model_free(turn->model);
    turn->model = NULL;
    device_turns_end(turns);
    if (turn->is_alone)
        (void)pthread_mutex_unlock(&turns->load_lock);
}
