/*
 * One GPU and several who use it at once: in each process one thread measures tensors in one context while
 * another loads models, scores them and frees them in a second one; and several such processes. Every result
 * must be what the same call gave when nothing else ran, bit by bit. Where there are several GPUs like the
 * first, the second context is on the next one, and each process begins with another.
 *
 *     gpu_together MODULE [processes=3] [rounds=40] [size=70m]
 *
 * Exit status 1 if a result differs or a call fails, 77 where there is no GPU.
 */
#include "gpu/cpu/backend.h"
#include "gpu/registry.h"
#include "tests/tools/random_model.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS ((uint64_t)20000)
#define COLUMNS ((uint64_t)512)
#define PROCESSES_MAX 16
#define STATUS_SKIPPED 77

/* What one process works on; the first results are what all later ones are compared with. */
struct work {
    struct device *contexts[2];
    uint16_t *tensor;
    struct random_model model;
    struct random_documents documents;
    struct statistics_result statistics;
    struct score_result scores;
    int rounds;
};

/* A thread's share: rounds that were made, and what went wrong in the first bad one. */
struct share {
    struct work *work;
    int made;
    struct err err;
};

static int measure(const struct work *work, struct statistics_result *result, struct err *err)
{
    const struct statistics_request request = {.dtype = TENSOR_DTYPE_F16,
                                               .rows = ROWS,
                                               .columns = COLUMNS,
                                               .token_rows = ROWS - 7,
                                               .data = work->tensor,
                                               .reference_count = 1,
                                               .references = {work->tensor + 1}};
    return device_statistics(work->contexts[0], &request, result, err);
}

/* Loads, scores, frees. */
static int score(const struct work *work, struct score_result *result, struct err *err)
{
    const struct backend_table *backend = device_backend(work->contexts[1]);
    const struct score_model_source source = {.config = work->model.config,
                                              .tensors = work->model.tensors,
                                              .tensor_count = work->model.tensor_count};
    void *model = NULL;
    int code = backend->model_load(device_context(work->contexts[1]), &source, &model, err);
    if (!code)
        code = backend->model_score(model, &work->documents.request, result, err);
    backend->model_free(model);
    return code;
}

static bool is_same_rows(const struct statistics_rows *a, const struct statistics_rows *b)
{
    return memcmp(a->counts, b->counts, STATISTICS_CODES * sizeof(*a->counts)) == 0 &&
           memcmp(a->centred_counts, b->centred_counts, STATISTICS_CODES * sizeof(*a->counts)) == 0 &&
           memcmp(a->columns, b->columns, COLUMNS * sizeof(*a->columns)) == 0;
}

static void *run_statistics(void *context)
{
    struct share *share = context;
    const struct statistics_result *wanted = &share->work->statistics;
    struct statistics_result result;
    memset(&result, 0, sizeof(result));
    int code = statistics_result_init(&result, COLUMNS, &share->err);
    for (; !code && share->made < share->work->rounds; share->made++) {
        code = measure(share->work, &result, &share->err);
        if (!code &&
            !(is_same_rows(&result.rows[0], &wanted->rows[0]) &&
              is_same_rows(&result.rows[1], &wanted->rows[1]) &&
              memcmp(result.displacements, wanted->displacements, sizeof(result.displacements)) == 0))
            code = err_set(&share->err, ERR_MISMATCH, "round %d of statistics differs", share->made);
    }
    statistics_result_free(&result);
    return NULL;
}

static void *run_scores(void *context)
{
    struct share *share = context;
    const struct score_result *wanted = &share->work->scores;
    struct score_result result = {.logprobs = NULL};
    int code = score_result_init(&result, wanted->target_total, &share->err);
    for (; !code && share->made < share->work->rounds; share->made++) {
        code = score(share->work, &result, &share->err);
        if (!code &&
            memcmp(result.logprobs, wanted->logprobs, wanted->target_total * sizeof(*wanted->logprobs)) != 0)
            code = err_set(&share->err, ERR_MISMATCH, "round %d of scores differs", share->made);
    }
    score_result_free(&result);
    return NULL;
}

static int prepare(struct work *work, const char *size, struct err *err)
{
    struct score_config config;
    size_t total = 0;
    work->tensor = malloc((ROWS * COLUMNS + 1) * sizeof(*work->tensor));
    if (!work->tensor || random_model_config(size, &config) || random_model_init(&work->model, &config) ||
        random_documents_init(&work->documents, 32, 0, 50277))
        return err_set(err, ERR_NO_MEMORY, "no memory for a model of size %s", size);
    for (uint64_t i = 0; i <= ROWS * COLUMNS; i++)
        work->tensor[i] = random_half(11, i, 0.0F, 0.05F);
    int code = score_request_check(&config, &work->documents.request, &total, err);
    if (code || (code = score_result_init(&work->scores, total, err)) ||
        (code = statistics_result_init(&work->statistics, COLUMNS, err)) ||
        (code = measure(work, &work->statistics, err)))
        return code;
    return score(work, &work->scores, err);
}

/* FNV-1a of what a process found when nothing else ran in it: processes compare theirs. */
static uint64_t digest(const struct work *work)
{
    const unsigned char *parts[] = {(const unsigned char *)work->statistics.rows[1].centred_counts,
                                    (const unsigned char *)work->statistics.displacements,
                                    (const unsigned char *)work->scores.logprobs};
    const size_t sizes[] = {STATISTICS_CODES * sizeof(uint64_t), sizeof(work->statistics.displacements),
                            work->scores.target_total * sizeof(double)};
    uint64_t hash = 0xcbf29ce484222325U;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t j = 0; j < sizes[i]; j++)
            hash = (hash ^ parts[i][j]) * 0x100000001b3U;
    return hash;
}

/* Opens the two contexts of process `number`. */
static int open_contexts(const struct registry *registry, size_t number, struct work *work, struct err *err)
{
    const struct registry_device *alike[REGISTRY_DEVICES_MAX];
    size_t count = 0;
    int code = 0;
    for (size_t i = 0; i < registry_device_count(registry); i++) {
        const struct registry_device *one = registry_device_at(registry, i);
        if (strcmp(one->backend, "cuda") == 0 &&
            (!count || strcmp(one->description.name, alike[0]->description.name) == 0))
            alike[count++] = one;
    }
    for (size_t i = 0; i < 2 && !code; i++)
        code = device_open(registry, count ? alike[(number + i) % count]->id : "cuda:0", NULL,
                           &work->contexts[i], err);
    if (!code)
        printf("  process %zu: %s and %s\n", number, device_info(work->contexts[0])->id,
               device_info(work->contexts[1])->id);
    return code;
}

/* One process. It writes its digest to `to` once it has it, so that all are compared. */
static int run_one(const char *module, const char *size, int rounds, int to, size_t number)
{
    struct work work = {.rounds = rounds};
    struct registry *registry = NULL;
    struct err err = ERR_INIT;
    struct share shares[2] = {{.work = &work, .err = ERR_INIT}, {.work = &work, .err = ERR_INIT}};
    pthread_t thread;
    if (registry_new(cpu_backend(), module, &registry, &err) ||
        open_contexts(registry, number, &work, &err) || prepare(&work, size, &err)) {
        printf("  process %d: %s\n", (int)getpid(), err.message);
        return err.code == ERR_NOT_FOUND ? STATUS_SKIPPED : 1;
    }
    const uint64_t hash = digest(&work);
    if (write(to, &hash, sizeof(hash)) != (ssize_t)sizeof(hash) ||
        pthread_create(&thread, NULL, run_statistics, &shares[0]))
        return 1;
    (void)run_scores(&shares[1]);
    (void)pthread_join(thread, NULL);
    printf("  process %d: %d passes of statistics%s%s, %d scorings%s%s\n", (int)getpid(), shares[0].made,
           shares[0].err.code ? ", then: " : "", shares[0].err.message, shares[1].made,
           shares[1].err.code ? ", then: " : "", shares[1].err.message);
    device_close(work.contexts[1]);
    device_close(work.contexts[0]);
    registry_free(registry);
    statistics_result_free(&work.statistics);
    score_result_free(&work.scores);
    random_model_free(&work.model);
    random_documents_free(&work.documents);
    free(work.tensor);
    return shares[0].err.code || shares[1].err.code;
}

static pid_t start(const char *module, const char *size, const char *rounds, int pipe_end, long number)
{
    char end[16], which[24];
    (void)snprintf(end, sizeof(end), "%d", pipe_end);
    (void)snprintf(which, sizeof(which), "%ld", number);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "gpu_together", module, "one", size, rounds, end, which, (char *)NULL);
        _exit(1);
    }
    return child;
}

int main(int count, char **words)
{
    const char *rounds = "40", *size = "70m";
    long processes = 3;
    int ends[2], bad = 0, skipped = 0, different = 0, written = 0;
    uint64_t first = 0, hash = 0;
    if (count == 7 && strcmp(words[2], "one") == 0)
        return run_one(words[1], words[3], (int)strtol(words[4], NULL, 10), (int)strtol(words[5], NULL, 10),
                       strtoul(words[6], NULL, 10));
    for (int i = 2; i < count; i++) {
        if (strncmp(words[i], "processes=", 10) == 0)
            processes = strtol(words[i] + 10, NULL, 10);
        if (strncmp(words[i], "rounds=", 7) == 0)
            rounds = words[i] + 7;
        if (strncmp(words[i], "size=", 5) == 0)
            size = words[i] + 5;
    }
    if (count < 2 || processes < 1 || processes > PROCESSES_MAX || pipe(ends)) {
        (void)fprintf(stderr, "usage: gpu_together MODULE [processes=3] [rounds=40] [size=70m]\n");
        return 2;
    }
    for (long i = 0; i < processes; i++)
        bad += start(words[1], size, rounds, ends[1], i) < 0;
    (void)close(ends[1]);
    for (; read(ends[0], &hash, sizeof(hash)) == (ssize_t)sizeof(hash); written++) {
        first = written ? first : hash;
        different += hash != first;
    }
    for (long i = 0; i < processes; i++) {
        int status = 0;
        (void)wait(&status);
        skipped += WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIPPED;
        bad += !WIFEXITED(status) || (WEXITSTATUS(status) && WEXITSTATUS(status) != STATUS_SKIPPED);
    }
    if (skipped == processes) /* a GPU that only some find is no reason to skip */
        return STATUS_SKIPPED;
    bad += different || written != processes;
    printf("%s %ld processes at once, two contexts each: %d failed, %d with other numbers than the first\n",
           bad ? "FAILED" : "passed", processes, bad, different);
    return bad ? 1 : 0;
}
