/*
 * A device that is really lost: a kernel of this program breaks the context that it shares with the module,
 * and the module's next calls must say so, without a crash, without standing still, and close.
 *
 *     gpu_lost MODULE [way=trap|address|misaligned|none] [first=TEXT]
 *
 * Each case is a process of its own, with what comes first after the fault; after them a fresh process must
 * measure as if nothing had been. `none` breaks nothing, so that its cases fail: that tests this program.
 * With the emulated module they pass where BIFURCATED_EMULATION loses the device.
 */
#include "gpu/cpu/backend.h"
#include "gpu/registry.h"
#include "tests/gpu/faults.h"
#include "tests/tools/random_model.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CASE_LIMIT_MS 40000 /* after this a case counts as standing still */
#define ROWS ((uint64_t)2048)
#define COLUMNS ((uint64_t)512)
#define STATUS_SKIPPED 77

static const struct {
    const char *way, *first;
} table[] = {{"trap", "statistics"},   {"trap", "score"},         {"trap", "load"},
             {"trap", "open"},         {"trap", "close"},         {"trap", "during-statistics"},
             {"trap", "during-score"}, {"address", "statistics"}, {"address", "during-score"},
             {"misaligned", "score"}};

/* What one process has: two contexts, as the daemon has them, a tensor, and a model in the first context. */
struct whole {
    struct registry *registry;
    struct device *cpu, *contexts[2];
    uint16_t *tensor;
    struct random_model model;
    struct random_documents documents;
    struct score_model_source source;
    struct score_result result;
    void *loaded;
};

static int statistics(const struct whole *whole, struct device *device, struct statistics_result *result,
                      struct err *err)
{
    const struct statistics_request request = {.dtype = TENSOR_DTYPE_F16,
                                               .rows = ROWS,
                                               .columns = COLUMNS,
                                               .token_rows = ROWS - 1,
                                               .data = whole->tensor,
                                               .reference_count = 1,
                                               .references = {whole->tensor}};
    return device_statistics(device, &request, result, err);
}

static int score(struct whole *whole, struct err *err)
{
    return device_backend(whole->contexts[0])
        ->model_score(whole->loaded, &whole->documents.request, &whole->result, err);
}

static int load(struct whole *whole, void **ret_model, struct err *err)
{
    return device_backend(whole->contexts[0])
        ->model_load(device_context(whole->contexts[0]), &whole->source, ret_model, err);
}

static int prepare(struct whole *whole, const char *module, struct err *err)
{
    const struct score_config config = {.architecture = "gpt_neox",
                                        .vocabulary_rows = 512,
                                        .hidden_size = 64,
                                        .layer_count = 3,
                                        .head_count = 4,
                                        .intermediate_size = 256,
                                        .max_positions = 256,
                                        .rotary_dimensions = 8,
                                        .rotary_base = 10000,
                                        .norm_epsilon = 1e-5,
                                        .activation = SCORE_ACTIVATION_GELU,
                                        .has_parallel_residual = 1,
                                        .has_attention_bias = 1};
    size_t total = 0;
    whole->tensor = malloc(ROWS * COLUMNS * sizeof(*whole->tensor));
    if (!whole->tensor || random_model_init(&whole->model, &config) ||
        random_documents_init(&whole->documents, 8, 0, 512))
        return err_set(err, ERR_NO_MEMORY, "no memory for a model");
    for (uint64_t i = 0; i < ROWS * COLUMNS; i++)
        whole->tensor[i] = random_half(7, i, 0.0F, 0.05F);
    whole->source = (struct score_model_source){
        .config = config, .tensors = whole->model.tensors, .tensor_count = whole->model.tensor_count};
    int code = registry_new(cpu_backend(), module, &whole->registry, err);
    if (code || (code = device_open(whole->registry, "cpu", NULL, &whole->cpu, err)))
        return code;
    for (int i = 0; i < 2 && !code; i++)
        code = device_open(whole->registry, "cuda:0", NULL, &whole->contexts[i], err);
    if (code || (code = score_request_check(&config, &whole->documents.request, &total, err)) ||
        (code = score_result_init(&whole->result, total, err)))
        return code;
    return load(whole, &whole->loaded, err);
}

static void finish(struct whole *whole)
{
    if (whole->loaded)
        device_backend(whole->contexts[0])->model_free(whole->loaded);
    device_close(whole->contexts[1]);
    device_close(whole->contexts[0]);
    device_close(whole->cpu);
    registry_free(whole->registry);
    score_result_free(&whole->result);
    random_model_free(&whole->model);
    random_documents_free(&whole->documents);
    free(whole->tensor);
}

/* Both contexts count as the processor does, and texts have a finite score. */
static bool works(struct whole *whole, struct err *err)
{
    struct statistics_result results[2];
    bool is_good = true;
    memset(results, 0, sizeof(results));
    for (int i = 0; i < 2; i++)
        is_good = is_good && !statistics_result_init(&results[i], COLUMNS, err);
    is_good = is_good && !statistics(whole, whole->cpu, &results[0], err);
    for (int i = 0; i < 2 && is_good; i++)
        is_good = !statistics(whole, whole->contexts[i], &results[1], err) &&
                  memcmp(results[0].rows[1].counts, results[1].rows[1].counts,
                         STATISTICS_CODES * sizeof(uint64_t)) == 0;
    is_good = is_good && !score(whole, err);
    for (size_t i = 0; is_good && i < whole->result.target_total; i++)
        is_good = isfinite(whole->result.logprobs[i]) && whole->result.logprobs[i] < 0;
    statistics_result_free(&results[0]);
    statistics_result_free(&results[1]);
    if (!is_good && !err->code)
        (void)err_set(err, ERR_INTERNAL, "other counts than the processor's, or a score that is not one");
    return is_good;
}

/* -- After the fault -------------------------------------------------------------------------------- */

static int failed;

/* A call that must say that the device is lost, each time. */
static void expect_lost(const char *what, int code, struct err *err)
{
    if (code == ERR_DEVICE_LOST && err->code == code && err->message[0])
        return;
    printf("  %s: %s (%s)\n", what, code ? err_name((enum err_code)code) : "it went well", err->message);
    failed++;
}

static void expect_all_lost(struct whole *whole)
{
    for (int round = 0; round < 2; round++) {
        struct statistics_result result;
        struct err err = ERR_INIT;
        void *model = NULL;
        struct device *other = NULL;
        memset(&result, 0, sizeof(result));
        (void)statistics_result_init(&result, COLUMNS, &err);
        for (int i = 0; i < 2; i++) {
            err = (struct err)ERR_INIT;
            expect_lost("statistics", statistics(whole, whole->contexts[i], &result, &err), &err);
        }
        err = (struct err)ERR_INIT;
        expect_lost("score", score(whole, &err), &err);
        err = (struct err)ERR_INIT;
        expect_lost("load", load(whole, &model, &err), &err);
        err = (struct err)ERR_INIT;
        expect_lost("open", device_open(whole->registry, "cuda:0", NULL, &other, &err), &err);
        statistics_result_free(&result);
    }
}

/* A thread that computes until it cannot any more. */
struct busy {
    struct whole *whole;
    bool is_scoring;
    int code;
    struct err err;
};

static void *run_busy(void *context)
{
    struct busy *busy = context;
    struct statistics_result result;
    memset(&result, 0, sizeof(result));
    busy->code = statistics_result_init(&result, COLUMNS, &busy->err);
    while (!busy->code)
        busy->code = busy->is_scoring
                         ? score(busy->whole, &busy->err)
                         : statistics(busy->whole, busy->whole->contexts[0], &result, &busy->err);
    statistics_result_free(&result);
    return NULL;
}

static const char *break_it(const char *way)
{
    return strcmp(way, "none") == 0 ? "nothing" : faults_break(way);
}

static const char *break_during(struct whole *whole, const char *way, bool is_scoring)
{
    struct busy busy = {.whole = whole, .is_scoring = is_scoring};
    const struct timespec moment = {.tv_nsec = 50000000};
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_busy, &busy))
        return NULL;
    (void)nanosleep(&moment, NULL);
    const char *what = break_it(way);
    if (what)
        (void)pthread_join(thread, NULL);
    expect_lost("what was under way", busy.code, &busy.err);
    return what;
}

/* The first call of the module after the fault. */
static void call_first(struct whole *whole, const char *first)
{
    struct err err = ERR_INIT;
    void *model = NULL;
    struct device *other = NULL;
    if (strcmp(first, "score") == 0)
        expect_lost("the first call, score", score(whole, &err), &err);
    if (strcmp(first, "load") == 0)
        expect_lost("the first call, load", load(whole, &model, &err), &err);
    if (strcmp(first, "open") == 0)
        expect_lost("the first call, open", device_open(whole->registry, "cuda:0", NULL, &other, &err), &err);
}

/* The process of one case. */
static int run_one(const char *module, const char *way, const char *first)
{
    struct whole whole = {.registry = NULL};
    struct err err = ERR_INIT;
    if (prepare(&whole, module, &err)) {
        printf("%s\n", err.message);
        return err.code == ERR_NOT_FOUND ? STATUS_SKIPPED : 1;
    }
    if (strcmp(way, "fresh") == 0) {
        bool is_good = works(&whole, &err);
        printf("  it measures and scores: %s\n", is_good ? "yes" : err.message);
        finish(&whole);
        return !is_good;
    }
    if (!works(&whole, &err) && !(strcmp(way, "none") == 0 && err.code == ERR_DEVICE_LOST)) {
        printf("  before the fault: %s\n", err.message);
        return 1;
    }
    const char *what = strncmp(first, "during-", 7) == 0
                           ? break_during(&whole, way, strcmp(first, "during-score") == 0)
                           : break_it(way);
    if (!what) {
        printf("  the fault did not break anything\n");
        return 1;
    }
    if (strcmp(first, "close") != 0) {
        call_first(&whole, first);
        expect_all_lost(&whole);
    }
    finish(&whole);
    printf("  %s; %d calls did not say that the device is lost; closed\n", what, failed);
    return failed != 0;
}

/* -- All cases ---------------------------------------------------------------------------------------- */

/* The status of `gpu_lost MODULE one WAY FIRST`; -1 if it did not end or was ended by a signal. */
static int run_process(const char *module, const char *way, const char *first)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    int status = 0;
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "gpu_lost", module, "one", way, first, (char *)NULL);
        _exit(1);
    }
    for (int waited_ms = 0; child > 0; waited_ms += 10) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            break;
        if (ended < 0 || waited_ms > CASE_LIMIT_MS) {
            printf("  it stands still: ended after %d s\n", waited_ms / 1000);
            (void)kill(child, SIGKILL);
            (void)waitpid(child, &status, 0);
            return -1;
        }
        (void)nanosleep(&moment, NULL);
    }
    if (child > 0 && WIFSIGNALED(status))
        printf("  ended by signal %d\n", WTERMSIG(status));
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int count, char **words)
{
    const char *way = NULL, *only = NULL;
    int passed = 0, bad = 0;
    if (count == 5 && strcmp(words[2], "one") == 0)
        return run_one(words[1], words[3], words[4]);
    if (count < 2) {
        (void)fprintf(stderr, "usage: gpu_lost MODULE [way=trap|address|misaligned|none] [first=TEXT]\n");
        return 2;
    }
    for (int i = 2; i < count; i++) {
        if (strncmp(words[i], "way=", 4) == 0)
            way = words[i] + 4;
        if (strncmp(words[i], "first=", 6) == 0)
            only = words[i] + 6;
    }
    const bool is_none = way && strcmp(way, "none") == 0;
    for (size_t i = 0; i <= sizeof(table) / sizeof(table[0]); i++) {
        const bool is_last = i == sizeof(table) / sizeof(table[0]);
        const char *how = is_last ? "fresh" : is_none ? "none" : table[i].way;
        const char *first = is_last ? "process" : table[i].first;
        if (!is_last && ((way && !is_none && strcmp(way, how) != 0) ||
                         (is_none && strcmp(table[i].way, "trap") != 0) || (only && !strstr(first, only))))
            continue;
        int status = run_process(words[1], how, first);
        if (status == STATUS_SKIPPED && !passed && !bad) /* later on, the GPU is gone after a fault */
            return STATUS_SKIPPED;
        printf("%s %s, %s\n", status ? "FAILED" : "passed", how, first);
        *(status ? &bad : &passed) += 1;
    }
    printf("%d passed, %d failed\n", passed, bad);
    return bad ? 1 : 0;
}
