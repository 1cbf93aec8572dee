#include "daemon/executor/executor.h"

#include "api/http/metrics.h"
#include "daemon/base/clock.h"
#include "daemon/base/json_text.h"
#include "daemon/base/log.h"
#include "daemon/base/pause.h"
#include "daemon/executor/executor_round.h"
#include "store/jobs.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUND_PAUSE_MS 250 /* between rounds that changes of the store cause */
#define ERROR_PAUSE_MS 2000
#define ADDRESS_SIZE 512

struct executor {
    struct store *store;
    struct hub *hub;
    struct executor_round round;
    int64_t poll_ms;
    const char *asked_address;
    char address[ADDRESS_SIZE]; /* "" before the start */
    char program[ADDRESS_SIZE];
    atomic_bool is_stopping;
    struct pause *pause;
    pthread_t thread;
    int is_started;
    pthread_mutex_t lock;
    char error[ERR_MESSAGE_BYTES]; /* copies of the round's, for other threads */
    int64_t failures_total;
};

/* -- The thread ------------------------------------------------------------------------------------------ */

static void publish(struct executor *executor)
{
    (void)pthread_mutex_lock(&executor->lock);
    (void)snprintf(executor->error, sizeof executor->error, "%s", executor->round.error);
    executor->failures_total = executor->round.failures_total;
    (void)pthread_mutex_unlock(&executor->lock);
}

static void *watch_queue(void *context)
{
    struct executor *executor = context;
    int64_t watched_ms = clock_monotonic_ms() - executor->poll_ms;
    while (!atomic_load(&executor->is_stopping)) {
        struct err err = ERR_INIT;
        uint64_t version = store_version(executor->store);
        int watches = clock_monotonic_ms() - watched_ms >= executor->poll_ms;
        if (watches)
            watched_ms = clock_monotonic_ms();
        executor->round.is_hub_down = executor->hub && hub_is_down(executor->hub);
        int code = executor_round_run(&executor->round, watches, &err);
        publish(executor);
        if (atomic_load(&executor->is_stopping))
            break;
        if (code) {
            log_error("slurm executor", log_text("reason", err.message), log_end);
            (void)pause_wait(executor->pause, ERROR_PAUSE_MS);
            continue;
        }
        int64_t left_ms = watched_ms + executor->poll_ms - clock_monotonic_ms();
        if (left_ms > 0)
            (void)store_wait_change(executor->store, version, left_ms, &executor->is_stopping);
        (void)pause_wait(executor->pause, ROUND_PAUSE_MS);
    }
    return NULL;
}

/* -- Options --------------------------------------------------------------------------------------------- */

/* The address that nodes use: as asked, or where the daemon listens, with this host's name for "any". */
static int choose_address(struct executor *executor, const char *url, struct err *err)
{
    const char *asked = executor->asked_address;
    static const char *const any[] = {"://0.0.0.0:", "://[::]:"};
    char host[256] = "localhost";
    const char *port = NULL;
    int scheme = (int)strcspn(url, ":"); /* https with a certificate */
    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++) {
        if (strncmp(url + scheme, any[i], strlen(any[i])) == 0)
            port = url + scheme + strlen(any[i]);
    }
    (void)gethostname(host, sizeof host - 1);
    (void)pthread_mutex_lock(&executor->lock);
    int length = asked[0] ? snprintf(executor->address, ADDRESS_SIZE, "%s", asked)
                 : port   ? snprintf(executor->address, ADDRESS_SIZE, "%.*s://%s:%s", scheme, url, host, port)
                          : snprintf(executor->address, ADDRESS_SIZE, "%s", url);
    (void)pthread_mutex_unlock(&executor->lock);
    if (length < 0 || length >= ADDRESS_SIZE)
        return err_set(err, ERR_LIMIT, "slurm-connect: longer than %d bytes", ADDRESS_SIZE - 1);
    if (slurm_check_connect(executor->address, err))
        return err->code;
    if (!asked[0] && !port)
        log_warning(
            "slurm: only workers on this machine reach the daemon; for others set listen to an address "
            "of the network, with token-file, or slurm-connect",
            log_text("address", executor->address), log_end);
    return 0;
}

static int choose_program(struct executor *executor, const char *asked, struct err *err)
{
    ssize_t length = asked[0] ? snprintf(executor->program, ADDRESS_SIZE, "%s", asked)
                              : readlink("/proc/self/exe", executor->program, ADDRESS_SIZE - 1);
    if (length <= 0 || length >= ADDRESS_SIZE)
        return err_set(err, ERR_INVALID, "slurm-program: name the program that workers run");
    executor->program[length] = '\0';
    return 0;
}

static void take_options(struct executor *executor, const struct options *options)
{
    executor->poll_ms = options->slurm_poll_s * 1000;
    executor->round = (struct executor_round){
        .store = executor->store,
        .backoff_ms = options->retry_delay_s * 1000,
        .has_local_workers = options->fetchers > 0,
        .slurm = {.folder = options->slurm_folder,
                  .partition = options->slurm_partition,
                  .account = options->slurm_account,
                  .gres = options->slurm_gres,
                  .time = options->slurm_time,
                  .arguments = options->slurm_arguments,
                  .output = options->slurm_output,
                  .program = executor->program,
                  .connect = executor->address,
                  .token_file =
                      options->slurm_token_file[0] ? options->slurm_token_file : options->token_file,
                  .ca_file = options->slurm_ca_file,
                  .workers_max = options->slurm_workers_max,
                  .idle_s = options->slurm_idle_s,
                  .cancel = &executor->is_stopping},
    };
}

/* -- Life cycle ------------------------------------------------------------------------------------------ */

int executor_new(const struct options *options, struct store *store, struct hub *hub,
                 struct executor **ret_executor, struct err *err)
{
    *ret_executor = NULL;
    if (options->slurm_workers_max == 0)
        return 0;
    struct executor *executor = calloc(1, sizeof *executor);
    if (!executor)
        return err_set(err, ERR_NO_MEMORY, "executor: out of memory");
    executor->store = store;
    executor->hub = hub;
    executor->asked_address = options->slurm_connect;
    (void)pthread_mutex_init(&executor->lock, NULL);
    take_options(executor, options);
    int code = pause_new(&executor->pause, err);
    if (!code)
        code = choose_program(executor, options->slurm_program, err);
    if (code)
        executor_free(executor);
    else
        *ret_executor = executor;
    return code;
}

int executor_start(struct executor *executor, const char *url, struct err *err)
{
    if (!executor)
        return 0;
    int code = choose_address(executor, url, err);
    if (code)
        return code;
    log_info("slurm executor", log_int("workers_max", executor->round.slurm.workers_max),
             log_text("connect", executor->address), log_text("program", executor->program), log_end);
    code = pthread_create(&executor->thread, NULL, watch_queue, executor);
    executor->is_started = code == 0;
    return code ? err_set_errno(err, code, "executor: cannot start a thread") : 0;
}

void executor_stop(struct executor *executor)
{
    if (!executor)
        return;
    atomic_store(&executor->is_stopping, true);
    if (executor->pause)
        pause_end(executor->pause);
    store_wake(executor->store);
    if (executor->is_started)
        (void)pthread_join(executor->thread, NULL);
    executor->is_started = 0;
}

void executor_free(struct executor *executor)
{
    if (!executor)
        return;
    executor_stop(executor);
    pause_free(executor->pause);
    (void)pthread_mutex_destroy(&executor->lock);
    free(executor);
}

/* -- What it tells --------------------------------------------------------------------------------------- */

static int64_t read_published(struct executor *executor, char *error, char *address)
{
    (void)pthread_mutex_lock(&executor->lock);
    (void)snprintf(address, ADDRESS_SIZE, "%s", executor->address);
    (void)snprintf(error, ERR_MESSAGE_BYTES, "%s", executor->error);
    int64_t failures = executor->failures_total;
    (void)pthread_mutex_unlock(&executor->lock);
    return failures;
}

int executor_append_status(struct executor *executor, struct buf *json, struct err *err)
{
    struct jobs_counts counts;
    char error[ERR_MESSAGE_BYTES], address[ADDRESS_SIZE];
    if (!executor)
        return buf_append_text(json, "null") ? buf_check(json, "slurm", err) : 0;
    (void)read_published(executor, error, address);
    int code = jobs_count(executor->store, &counts, err);
    if (code)
        return code;
    json_t *object = json_pack(
        "{sI sI sI sI ss so}", "workers_max", (json_int_t)executor->round.slurm.workers_max, "jobs_submitted",
        (json_int_t)counts.submitted, "workers_pending", (json_int_t)counts.pending, "workers_running",
        (json_int_t)counts.running, "connect", address, "error", error[0] ? json_string(error) : json_null());
    char *text = object ? json_text_dump(object, JSON_COMPACT) : NULL;
    (void)buf_append_text(json, text ? text : "null");
    if (!text) /* null would say that there is no Slurm */
        code = err_set(err, ERR_NO_MEMORY, "slurm: out of memory");
    free(text);
    json_decref(object);
    return code ? code : buf_check(json, "slurm", err);
}

int executor_append_metrics(struct executor *executor, struct buf *text, struct err *err)
{
    struct jobs_counts counts;
    char error[ERR_MESSAGE_BYTES], address[ADDRESS_SIZE];
    if (!executor)
        return 0;
    int64_t failures = read_published(executor, error, address);
    int code = jobs_count(executor->store, &counts, err);
    if (code)
        return code;
    api_metrics_append(text, "bifurcated_slurm_jobs_submitted_total", "counter", "Job arrays submitted.",
                       (double)counts.submitted);
    api_metrics_append(text, "bifurcated_slurm_workers_pending", "gauge", "Workers that wait for a node.",
                       (double)counts.pending);
    api_metrics_append(text, "bifurcated_slurm_workers_running", "gauge", "Workers that run as jobs.",
                       (double)counts.running);
    api_metrics_append(text, "bifurcated_slurm_failures_total", "counter",
                       "Calls of Slurm's programs that failed, and arrays that were of no use.",
                       (double)failures);
    return buf_check(text, "metrics", err);
}
