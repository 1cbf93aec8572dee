#include "daemon/measure/scorer.h"

#include "daemon/base/log.h"
#include "gpu/backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct scorers {
    const struct registry *registry;
    struct device *device;
    struct device_turns *turns;
    struct backend_options processor_options;
    pthread_mutex_t lock;     /* of what follows */
    struct device *processor; /* NULL until it is needed */
    struct device_turns *processor_turns;
    _Atomic int64_t processor_busy_us;
    int64_t told, told_overflow, told_slow; /* the newest sweep of which the log was told */
};

int scorers_new(const struct registry *registry, struct device *device, struct device_turns *turns,
                const struct backend_options *processor, struct scorers **ret_scorers, struct err *err)
{
    struct scorers *scorers = calloc(1, sizeof *scorers);
    if (!scorers)
        return err_set(err, ERR_NO_MEMORY, "scorers: out of memory");
    scorers->registry = registry;
    scorers->device = device;
    scorers->turns = turns;
    scorers->processor_options = *processor;
    (void)pthread_mutex_init(&scorers->lock, NULL);
    *ret_scorers = scorers;
    return 0;
}

void scorers_free(struct scorers *scorers)
{
    if (!scorers)
        return;
    device_turns_free(scorers->processor_turns);
    device_close(scorers->processor);
    (void)pthread_mutex_destroy(&scorers->lock);
    free(scorers);
}

/* With the lock. */
static int open_processor(struct scorers *scorers, struct err *err)
{
    int code = scorers->processor ? 0
                                  : device_open(scorers->registry, "cpu", &scorers->processor_options,
                                                &scorers->processor, err);
    if (code || scorers->processor_turns)
        return code;
    return device_turns_new(scorers->processor, NULL, &scorers->processor_busy_us, &scorers->processor_turns,
                            err);
}

static struct scorer scorer_of(const struct device *device, struct device_turns *turns)
{
    const char *backend = device_info(device)->backend;
    const int is_half = strcmp(backend, "cpu") != 0;
    return (struct scorer){.turns = turns,
                           .backend = backend,
                           .precision = is_half ? "half" : "float32",
                           .wide = is_half ? "float32" : NULL};
}

/* With the lock. */
static void tell(struct scorers *scorers, int64_t sweep_id, const char *reason)
{
    if (sweep_id <= scorers->told)
        return;
    scorers->told = sweep_id;
    log_info("models are scored on the processor", log_int("sweep", sweep_id),
             log_text("device", device_info(scorers->device)->id), log_text("because", reason), log_end);
}

/* Whether the log is to be told of a sweep; `told` is the newest that it was told of. */
static int is_news(struct scorers *scorers, int64_t *told, int64_t sweep_id)
{
    (void)pthread_mutex_lock(&scorers->lock);
    const int is_newer = sweep_id > *told;
    *told = is_newer ? sweep_id : *told;
    (void)pthread_mutex_unlock(&scorers->lock);
    return is_newer;
}

void scorers_report_overflow(struct scorers *scorers, int64_t sweep_id, const char *revision)
{
    if (is_news(scorers, &scorers->told_overflow, sweep_id))
        log_info("half precision overflows; such revisions are scored again in float32, which takes longer",
                 log_int("sweep", sweep_id), log_text("revision", revision), log_end);
}

void scorers_report_slow(struct scorers *scorers, int64_t sweep_id, const char *slow)
{
    if (*slow && is_news(scorers, &scorers->told_slow, sweep_id))
        log_warning(
            "cuBLASLt does not do some of the model's products; kernels of bifurcated do, which takes "
            "longer",
            log_int("sweep", sweep_id), log_text("device", device_info(scorers->device)->id),
            log_text("products", slow), log_end);
}

int scorers_choose(struct scorers *scorers, int64_t sweep_id, const struct score_config *config,
                   struct scorer *ret_scorer, struct err *err)
{
    const struct backend_table *backend = device_backend(scorers->device);
    struct err reason = ERR_INIT;
    if (!backend->model_load)
        (void)err_set(&reason, ERR_UNSUPPORTED, "the backend %s measures tensors only", backend->name);
    else if (!backend->model_check || !backend->model_check(config, &reason)) {
        *ret_scorer = scorer_of(scorers->device, scorers->turns);
        return 0;
    }
    (void)pthread_mutex_lock(&scorers->lock);
    int code = open_processor(scorers, err);
    if (!code) {
        tell(scorers, sweep_id, reason.message);
        *ret_scorer = scorer_of(scorers->processor, scorers->processor_turns);
    }
    (void)pthread_mutex_unlock(&scorers->lock);
    return code;
}
