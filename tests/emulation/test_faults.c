/*
 * The CUDA module when things go wrong, on the emulated runtime: each call of CUDA refused once, the device
 * lost at each, memory that is less than it seemed, models beside each other, numbers that are not finite.
 */
#include "gpu/backend.h"
#include "gpu/cuda/device.h"
#include "gpu/cuda/score_gemm.h"
#include "gpu/statistics.h"
#include "tests/emulation/answers.h"
#include "tests/emulation/checks.h"
#include "tests/emulation/runtime.h"
#include "tests/tools/random_model.h"

#include <driver_types.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

const struct backend_table *bifurcated_backend(uint32_t host_abi_version);

#define DEVICE_WORKSPACE ((uint64_t)64 << 20)
#define ERROR_OF_TOMORROW 9999 /* a code that no table has */

static const struct emulation_device plain = {.seed = 11,
                                              .haste = 30,
                                              .multiprocessor_count = 2,
                                              .shared_bytes_max = 232448,
                                              .memory_bytes = 4ULL << 30};

static const struct score_config config = SMALL_CONFIG(SCORE_ACTIVATION_GELU);

static const struct backend_table *backend;
static struct random_model model;
static struct random_documents documents;
static struct score_model_source source_of(enum score_precision precision)
{
    return (struct score_model_source){.config = config,
                                       .tensors = model.tensors,
                                       .tensor_count = model.tensor_count,
                                       .precision = precision};
}

static int score(void *loaded, struct answer *answer, struct err *err)
{
    return answer_score(backend, &config, loaded, &documents.request, answer, err);
}

static int load_and_score(void *device, const struct score_model_source *source, struct answer *answer,
                          struct err *err)
{
    return answer_load(backend, device, source, &documents.request, answer, err);
}

static int open_new(const struct emulation_device *as, void **ret_device, struct err *err)
{
    char why[BACKEND_WHY_BYTES];
    emulation_reset(as);
    return backend->probe(why, sizeof why) || backend->device_open(0, NULL, ret_device, err);
}

static void close_whole(void *device)
{
    backend->device_close(device);
    CHECK(emulation_object_count() == 0);
}

/* -- Refused and lost ------------------------------------------------------------------------------ */

static const char *const calls[] = {"launch",
                                    "cublasLtMatmul",
                                    "cublasLtMatmulAlgoGetHeuristic",
                                    "cudaEventCreateWithFlags",
                                    "cudaEventRecord",
                                    "cudaEventSynchronize",
                                    "cudaFuncSetAttribute",
                                    "cudaMallocFromPoolAsync",
                                    "cudaMemGetInfo",
                                    "cudaMemcpy2DAsync",
                                    "cudaMemcpyAsync",
                                    "cudaMemsetAsync",
                                    "cudaSetDevice",
                                    "cudaStreamSynchronize",
                                    "cudaStreamWaitEvent"};

/* Every call, early and late ones: the scoring fails with a refusal, or does without, and the next one is as
 * if nothing had been. Streamed and resident. */
static void a_refusal_is_over_with_its_call(uint64_t budget_bytes)
{
    void *device = NULL;
    struct err err = ERR_INIT;
    struct answer want, got;
    struct score_model_source source = source_of(SCORE_PRECISION_HALF);
    unsigned refused = 0;
    source.memory_budget_bytes = budget_bytes;
    CHECK(open_new(&plain, &device, &err) == 0);
    CHECK(load_and_score(device, &source, &want, &err) == 0);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        for (unsigned after = 1; after < 200; after += 1 + 2 * after) {
            emulation_inject(calls[i], after, cudaErrorInvalidValue, 0);
            int code = load_and_score(device, &source, &got, &err);
            int was_injected = !emulation_forget();
            refused += code != 0;
            CHECK(code == 0 || code == ERR_DEVICE);
            CHECK(code == 0 || was_injected);
            CHECK(code || answer_is_same(&want, &got));
            err = (struct err)ERR_INIT;
            if (!was_injected)
                break;
            CHECK(load_and_score(device, &source, &got, &err) == 0 && answer_is_same(&want, &got));
        }
    CHECK(refused > 20);
    close_whole(device);
}

/* Algorithms are asked for once per device and shape: an answer that is refused is asked for again, and what
 * was scored before makes no difference. */
static void a_refused_plan_is_asked_for_again(void)
{
    void *device = NULL;
    struct err err = ERR_INIT;
    struct answer want, got;
    const struct score_model_source source = source_of(SCORE_PRECISION_HALF),
                                    other = source_of(SCORE_PRECISION_F32);
    unsigned asked = 0;
    CHECK(open_new(&plain, &device, &err) == 0);
    CHECK(load_and_score(device, &source, &want, &err) == 0);
    emulation_inject("cublasLtMatmulAlgoGetHeuristic", 1, cudaErrorInvalidValue, 0);
    CHECK(load_and_score(device, &source, &got, &err) == 0 && answer_is_same(&want, &got));
    CHECK(emulation_forget() == 1); /* nothing was asked again */
    close_whole(device);
    for (;; asked++) {
        CHECK(open_new(&plain, &device, &err) == 0);
        CHECK(load_and_score(device, &other, &got, &err) == 0);
        emulation_inject("cublasLtMatmulAlgoGetHeuristic", asked + 1, cudaErrorInvalidValue, 0);
        int code = load_and_score(device, &source, &got, &err);
        int was_injected = !emulation_forget();
        CHECK(code == (was_injected ? ERR_DEVICE : 0));
        err = (struct err)ERR_INIT;
        CHECK(load_and_score(device, &source, &got, &err) == 0 && answer_is_same(&want, &got));
        close_whole(device);
        if (!was_injected)
            break;
    }
    CHECK(asked >= 5); /* the products of a layer and of the head */
}

/* Few numbers of rows are asked for, none much larger than what there is. */
static void rows_are_rounded_up_a_little(void)
{
    unsigned different = 0;
    for (uint64_t rows = 1, last = 0; rows <= 65536; rows++) {
        const uint64_t asked = gemm_rows_asked(rows);
        CHECK(asked >= rows && asked <= rows + (rows / 8 > 7 ? rows / 8 : 7));
        CHECK(asked >= last && gemm_rows_asked(asked) == asked);
        different += asked != last;
        last = asked;
    }
    CHECK(different < 100);
}

/* Where the algorithm for rounded rows does not do for the rows that there are, these have their own. */
static void an_algorithm_for_other_rows_is_replaced(void)
{
    struct emulation_device exact = plain;
    void *device = NULL;
    struct err err = ERR_INIT;
    struct answer want, got;
    const struct score_model_source source = source_of(SCORE_PRECISION_HALF);
    CHECK(open_new(&plain, &device, &err) == 0 && load_and_score(device, &source, &want, &err) == 0);
    close_whole(device);
    exact.is_exact = 1;
    CHECK(open_new(&exact, &device, &err) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(load_and_score(device, &source, &got, &err) == 0 && answer_is_same(&want, &got));
    close_whole(device);
}

/* Resident and streamed. */
static void loading_is_cancelled(uint64_t budget_bytes)
{
    void *device = NULL, *loaded = NULL;
    struct err err = ERR_INIT;
    struct answer got;
    struct score_model_source source = source_of(SCORE_PRECISION_HALF);
    atomic_bool cancel = true;
    source.memory_budget_bytes = budget_bytes;
    source.cancel = &cancel;
    CHECK(open_new(&plain, &device, &err) == 0);
    CHECK(backend->model_load(device, &source, &loaded, &err) == ERR_CANCELLED && !loaded);
    err = (struct err)ERR_INIT;
    atomic_store(&cancel, false);
    CHECK(load_and_score(device, &source, &got, &err) == 0);
    close_whole(device);
}

/* The device is lost in the middle: said so, from then on at every call, and closing waits for nothing. */
static void a_loss_stays(int status, int code_wanted)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        for (unsigned after = 1; after <= 13; after += 6) {
            void *device = NULL;
            struct err err = ERR_INIT;
            struct answer got;
            const struct score_model_source source = source_of(SCORE_PRECISION_F32);
            CHECK(open_new(&plain, &device, &err) == 0);
            emulation_inject(calls[i], after, status, 1);
            int code = load_and_score(device, &source, &got, &err);
            if (!emulation_forget()) {
                CHECK(code == code_wanted || code == 0); /* 0: while the model was freed */
                CHECK(load_and_score(device, &source, &got, &err) == ERR_DEVICE_LOST);
            } else {
                CHECK(code == 0);
            }
            backend->device_close(device);
            emulation_abandon();
        }
}

/* A device that cannot be opened leaves nothing. */
static void an_opening_fails_whole(void)
{
    static const char *const made[] = {
        "cudaStreamCreateWithFlags", "cudaMemPoolCreate",     "cudaHostAlloc", "cudaEventCreateWithFlags",
        "cudaMallocFromPoolAsync",   "cudaStreamSynchronize", "launch"};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        void *device = NULL;
        struct err err = ERR_INIT;
        emulation_reset(&plain);
        emulation_inject(made[i], 1, cudaErrorInvalidValue, 0);
        CHECK(backend->device_open(0, NULL, &device, &err) == ERR_DEVICE);
        CHECK(emulation_object_count() == 0);
    }
}

/* -- Memory ---------------------------------------------------------------------------------------- */

/* Memory is refused although the device said that there is some: smaller batches, then a streamed model. */
static void refused_memory_is_asked_for_again(void)
{
    void *device = NULL;
    struct err err = ERR_INIT;
    struct answer want, got;
    const struct score_model_source source = source_of(SCORE_PRECISION_F32);
    CHECK(open_new(&plain, &device, &err) == 0);
    CHECK(load_and_score(device, &source, &want, &err) == 0);
    for (unsigned piece = 1; piece <= 2; piece++) { /* the model's, the scratch memory's */
        for (unsigned times = 1; times <= 2; times++) {
            for (unsigned i = 0; i < times; i++)
                emulation_inject("cudaMallocFromPoolAsync", piece, cudaErrorMemoryAllocation, 0);
            CHECK(load_and_score(device, &source, &got, &err) == 0);
            CHECK(emulation_forget() == 0);
            CHECK(answer_is_near(&want, &got));
        }
    }
    /* Nothing left at all: the task's failure, not the device's. */
    emulation_occupy(plain.memory_bytes - emulation_used_bytes() - 1000);
    CHECK(load_and_score(device, &source, &got, &err) == ERR_NO_MEMORY);
    emulation_occupy(0);
    err = (struct err)ERR_INIT;
    CHECK(load_and_score(device, &source, &got, &err) == 0 && answer_is_same(&want, &got));
    close_whole(device);
}

/* A device that others have filled cannot be opened, and a model that is refused though there seemed to be
 * room says the same: who has the memory. */
static void a_refusal_says_what_to_do(void)
{
    char why[BACKEND_WHY_BYTES];
    void *device = NULL, *loaded = NULL;
    struct err err = ERR_INIT;
    const struct score_model_source source = source_of(SCORE_PRECISION_F32);
    emulation_reset(&plain);
    CHECK(backend->probe(why, sizeof why) == 0);
    emulation_occupy(plain.memory_bytes - (DEVICE_WORKSPACE - 1));
    CHECK(backend->device_open(0, NULL, &device, &err) == ERR_NO_MEMORY);
    CHECK(strstr(err.message, "has no 64.0 MiB more") && strstr(err.message, "nvidia-smi"));
    emulation_occupy(0);
    err = (struct err)ERR_INIT;
    CHECK(backend->device_open(0, NULL, &device, &err) == 0);
    for (int i = 0; i < 4; i++) /* whole and two layers at a time, each tried twice */
        emulation_inject("cudaMallocFromPoolAsync", 1, cudaErrorMemoryAllocation, 0);
    CHECK(backend->model_load(device, &source, &loaded, &err) == ERR_NO_MEMORY && emulation_forget() == 0);
    CHECK(strstr(err.message, "nvidia-smi"));
    close_whole(device);
}

/* On a small device, requests go in small batches and the model is streamed. */
static void a_small_device_is_enough(void)
{
    void *device = NULL;
    struct err err = ERR_INIT;
    struct answer want, got;
    struct emulation_device small = plain;
    const struct score_model_source source = source_of(SCORE_PRECISION_F32);
    CHECK(open_new(&plain, &device, &err) == 0);
    CHECK(load_and_score(device, &source, &want, &err) == 0);
    close_whole(device);
    small.memory_bytes = 101ULL << 20; /* 64 MiB of workspace, 32 of logits */
    CHECK(open_new(&small, &device, &err) == 0);
    CHECK(load_and_score(device, &source, &got, &err) == 0);
    CHECK(answer_is_near(&want, &got));
    close_whole(device);
}

/* -- A limit ------------------------------------------------------------------------------------------ */

/* Where the GPU has more, the option lets scoring have as much as a small one: smaller batches, a streamed
 * model, and never more than that. */
static void a_limit_is_a_small_device(void)
{
    const struct backend_options within = {.memory_bytes_max = 101ULL << 20};
    void *device = NULL, *loaded = NULL;
    struct score_need need;
    struct err err = ERR_INIT;
    struct answer want, got;
    const struct score_model_source source = source_of(SCORE_PRECISION_F32);
    CHECK(open_new(&plain, &device, &err) == 0);
    CHECK(load_and_score(device, &source, &want, &err) == 0);
    CHECK(backend->model_load(device, &source, &loaded, &err) == 0);
    backend->model_need(loaded, &need);
    CHECK(need.scratch_bytes != UINT64_MAX); /* whole */
    backend->model_free(loaded);
    close_whole(device);
    emulation_reset(&plain);
    CHECK(backend->device_open(0, &within, &device, &err) == 0);
    CHECK(load_and_score(device, &source, &got, &err) == 0 && answer_is_near(&want, &got));
    CHECK(backend->model_load(device, &source, &loaded, &err) == 0);
    backend->model_need(loaded, &need);
    CHECK(need.scratch_bytes == UINT64_MAX); /* two layers at a time */
    backend->model_free(loaded);
    CHECK(emulation_reserved_max_bytes() <= within.memory_bytes_max);
    close_whole(device);
}

/* Too little to work at all: an opening, and a pass of statistics, end with what to change. */
static void a_limit_that_is_too_low_says_so(void)
{
    struct backend_options within = {.memory_bytes_max = DEVICE_WORKSPACE - 1};
    const uint16_t data[6] = {0x3c00, 0x3c01, 0x3c02, 0x3c03, 0x3c04, 0x3c05};
    const struct statistics_request request = {.data = data,
                                               .dtype = TENSOR_DTYPE_F16,
                                               .rows = 3,
                                               .columns = 2,
                                               .token_rows = 3,
                                               .references = {data},
                                               .reference_count = 1};
    struct statistics_result result;
    void *device = NULL;
    struct err err = ERR_INIT;
    emulation_reset(&plain);
    CHECK(backend->device_open(0, &within, &device, &err) == ERR_NO_MEMORY);
    CHECK(strstr(err.message, "device-memory-mb = 67") && emulation_object_count() == 0);
    within.memory_bytes_max = DEVICE_WORKSPACE + 4096;
    err = (struct err)ERR_INIT;
    CHECK(backend->device_open(0, &within, &device, &err) == 0);
    CHECK(statistics_result_init(&result, request.columns, &err) == 0);
    CHECK(backend->statistics(device, &request, &result, &err) == ERR_NO_MEMORY);
    CHECK(strstr(err.message, "are needed at least") && strstr(err.message, "raise device-memory-mb"));
    statistics_result_free(&result);
    close_whole(device);
}

/* Two contexts share it, and the memory that the pool of one keeps is no obstacle for the other, nor is what
 * it has freed in its stream, which has not come there yet. */
static void a_limit_holds_for_all_contexts(int is_settled)
{
    const uint64_t most = 512ULL << 20, rest = most - 2 * DEVICE_WORKSPACE;
    struct cuda_device *devices[2] = {NULL};
    void *kept = NULL, *memory = NULL, *more = NULL;
    uint64_t room = 0;
    struct err err = ERR_INIT;
    struct emulation_device late = plain;
    late.haste = 0;
    emulation_reset(&late);
    for (int i = 0; i < 2; i++)
        CHECK(device_new(0, most, &devices[i], &err) == 0);
    CHECK(device_take(devices[0], (size_t)40 << 20, &kept, &err) == 0);
    device_drop(devices[0], kept, (size_t)40 << 20);
    CHECK(!is_settled || device_wait(devices[0], &err) == 0);
    CHECK(device_room(devices[1], &room, &err) == 0 && room <= rest && room > rest / 10 * 9);
    CHECK(device_take(devices[1], rest, &memory, &err) == 0);
    CHECK(emulation_reserved_max_bytes() == most);
    CHECK(device_room(devices[0], &room, &err) == 0 && room == 0);
    CHECK(device_take(devices[0], 1, &more, &err) == ERR_NO_MEMORY);
    CHECK(strstr(err.message, "0.0 MB more would exceed device-memory-mb = 537"));
    device_drop(devices[1], memory, rest);
    CHECK(device_take(devices[0], 1, &more, &err) == 0);
    device_drop(devices[0], more, 1);
    for (int i = 0; i < 2; i++)
        device_free(devices[i]);
    CHECK(emulation_object_count() == 0);
}

/* -- The next model beside the one that is scored ---------------------------------------------------- */

struct scorer {
    void *loaded;
    struct answer answer;
    int code;
};

static void *run_scorer(void *context)
{
    struct scorer *scorer = context;
    struct err err = ERR_INIT;
    scorer->code = score(scorer->loaded, &scorer->answer, &err);
    return NULL;
}

/* Loads into each context in turn while the other one's model is scored: equal bits, in any order. */
static void a_model_loads_beside_another(unsigned seed, unsigned haste)
{
    void *devices[2] = {NULL}, *loaded = NULL, *next = NULL;
    struct err err = ERR_INIT;
    struct answer want;
    struct score_model_source source = source_of(SCORE_PRECISION_HALF);
    struct emulation_device device = plain;
    struct score_need need;
    device.seed = seed;
    device.haste = haste;
    CHECK(open_new(&device, &devices[0], &err) == 0);
    CHECK(backend->device_open(0, NULL, &devices[1], &err) == 0);
    CHECK(load_and_score(devices[0], &source, &want, &err) == 0);
    CHECK(backend->model_load(devices[0], &source, &loaded, &err) == 0);
    for (int i = 1; i <= 4; i++) {
        struct scorer scorer = {.loaded = loaded};
        pthread_t thread;
        backend->model_need(loaded, &need);
        source.beside = &need;
        CHECK(pthread_create(&thread, NULL, run_scorer, &scorer) == 0);
        CHECK(backend->model_load(devices[i % 2], &source, &next, &err) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(scorer.code == 0 && answer_is_same(&want, &scorer.answer));
        backend->model_free(loaded);
        loaded = next;
    }
    backend->model_need(loaded, &need);
    CHECK(need.memory_bytes > DEVICE_WORKSPACE && need.scratch_bytes > DEVICE_WORKSPACE / 2);
    /* No room for both: refused, though it would fit alone. */
    source.memory_budget_bytes = need.memory_bytes + need.scratch_bytes + 1000;
    CHECK(backend->model_load(devices[1], &source, &next, &err) == ERR_NO_MEMORY);
    source.memory_budget_bytes = 0;
    emulation_occupy(device.memory_bytes - emulation_used_bytes() - need.scratch_bytes);
    CHECK(backend->model_load(devices[1], &source, &next, &err) == ERR_NO_MEMORY);
    emulation_occupy(0);
    err = (struct err)ERR_INIT;
    backend->model_free(loaded);
    backend->device_close(devices[1]);
    close_whole(devices[0]);
}

/* -- Numbers ----------------------------------------------------------------------------------------- */

/* An infinite embedding spoils its own document alone; a weight that is NaN, everything. */
static void what_is_not_finite_shows(void)
{
    void *device = NULL;
    struct err err = ERR_INIT;
    struct answer want, got;
    const struct score_model_source source = source_of(SCORE_PRECISION_HALF);
    const uint32_t spoilt = documents.tokens[documents.request.begin[1]];
    CHECK(documents.tokens[0] != spoilt && documents.tokens[1] != spoilt);
    CHECK(open_new(&plain, &device, &err) == 0);
    CHECK(load_and_score(device, &source, &want, &err) == 0);
    for (size_t i = 0; i < model.tensor_count; i++) {
        struct score_tensor *tensor = &model.tensors[i];
        uint16_t *data = (uint16_t *)(uintptr_t)tensor->view.data;
        if (strcmp(tensor->name, "gpt_neox.embed_in.weight") == 0) {
            const uint16_t before = data[spoilt * config.hidden_size];
            data[spoilt * config.hidden_size] = 0x7c00;
            CHECK(load_and_score(device, &source, &got, &err) == 0);
            CHECK(got.logprobs[0] == want.logprobs[0]); /* the first document has one target */
            for (size_t j = 1; j < got.count; j++)
                CHECK(isnan(got.logprobs[j]));
            data[spoilt * config.hidden_size] = before;
        }
        if (strcmp(tensor->name, "gpt_neox.layers.1.attention.query_key_value.weight") == 0) {
            const uint16_t before = data[5];
            data[5] = 0x7e00;
            CHECK(load_and_score(device, &source, &got, &err) == 0);
            for (size_t j = 0; j < got.count; j++)
                CHECK(isnan(got.logprobs[j]));
            data[5] = before;
        }
    }
    close_whole(device);
}

int main(void)
{
    backend = bifurcated_backend(BACKEND_ABI_VERSION);
    if (random_model_init(&model, &config) ||
        random_documents_init(&documents, 2, 20, (uint32_t)config.vocabulary_rows))
        return 1;
    a_refusal_is_over_with_its_call(0);
    a_refusal_is_over_with_its_call(500ULL << 20);
    rows_are_rounded_up_a_little();
    a_refused_plan_is_asked_for_again();
    an_algorithm_for_other_rows_is_replaced();
    loading_is_cancelled(0);
    loading_is_cancelled(500ULL << 20);
    a_loss_stays(cudaErrorIllegalAddress, ERR_DEVICE_LOST);
    a_loss_stays(ERROR_OF_TOMORROW, ERR_DEVICE_LOST);
    an_opening_fails_whole();
    refused_memory_is_asked_for_again();
    a_refusal_says_what_to_do();
    a_small_device_is_enough();
    a_limit_is_a_small_device();
    a_limit_that_is_too_low_says_so();
    for (int is_settled = 0; is_settled < 2; is_settled++)
        a_limit_holds_for_all_contexts(is_settled);
    for (unsigned seed = 1; seed <= 4; seed++)
        a_model_loads_beside_another(seed, seed % 2 * 40);
    what_is_not_finite_shows();
    random_model_free(&model);
    random_documents_free(&documents);
    if (!failures)
        puts("refused calls are over with the call, losses stay, and models load beside each other");
    return failures != 0;
}
