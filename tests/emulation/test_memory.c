/*
 * The CUDA module where memory is short, on the emulated runtime: less than it seemed, a limit, models beside
 * each other. And the pinned memory that everything passes through.
 */
#include "gpu/cuda/device.h"
#include "gpu/cuda/staging.h"
#include "gpu/statistics.h"
#include "tests/emulation/faulty.h"

#include <pthread.h>

#define DEVICE_WORKSPACE ((uint64_t)64 << 20)

static int score(void *loaded, struct answer *answer, struct err *err)
{
    return answer_score(backend, &config, loaded, &documents.request, answer, err);
}

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

/* Room for what a product needs, and none for its kernel, which cuBLASLt calls a failed execution: the memory
 * is what was refused. Where there is room, the device is what refuses. */
static void a_kernel_finds_no_room(void)
{
    void *device = NULL, *loaded = NULL;
    struct err err = ERR_INIT;
    struct answer want, got;
    const struct score_model_source source = source_of(SCORE_PRECISION_HALF);
    CHECK(open_new(&plain, &device, &err) == 0);
    CHECK(backend->model_load(device, &source, &loaded, &err) == 0 && score(loaded, &want, &err) == 0);
    for (int is_full = 1; is_full >= 0; is_full--) {
        emulation_occupy(is_full ? plain.memory_bytes - emulation_reserved_max_bytes() - (8 << 20) : 0);
        emulation_inject("cublasLtMatmul", 3, cudaErrorInvalidValue, 0);
        CHECK(score(loaded, &got, &err) == (is_full ? ERR_NO_MEMORY : ERR_DEVICE));
        CHECK(emulation_forget() == 0 && !strstr(err.message, "nvidia-smi") == !is_full);
        err = (struct err)ERR_INIT;
    }
    CHECK(score(loaded, &got, &err) == 0 && answer_is_same(&want, &got));
    backend->model_free(loaded);
    close_whole(device);
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

/* -- What travels in pieces ---------------------------------------------------------------------------- */

enum { ROWS = 1500, ROW_BYTES = 1026, PITCH_BYTES = 1280, LONG_BYTES = (5 << 19) + 7, NUMBERS = 300007 };

/* Rows with gaps, a row of more than two pieces, and float64 that becomes float32, in one list, which several
 * threads share. */
static void pieces_come_to_their_places(unsigned haste)
{
    static unsigned char rows[ROWS * ROW_BYTES], one[LONG_BYTES], got[ROWS * PITCH_BYTES + LONG_BYTES];
    static double numbers[NUMBERS];
    static float narrow[NUMBERS];
    void *opened = NULL, *to = NULL, *other = NULL;
    struct err err = ERR_INIT;
    struct emulation_device hasty = plain;
    hasty.haste = haste;
    for (size_t i = 0; i < sizeof rows; i++)
        rows[i] = (unsigned char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof one; i++)
        one[i] = (unsigned char)(i * 11 + i / 241);
    for (size_t i = 0; i < NUMBERS; i++)
        numbers[i] = (double)i / 3;
    CHECK(open_new(&hasty, &opened, &err) == 0);
    struct cuda_device *device = opened;
    CHECK(device_take(device, sizeof got, &to, &err) == 0);
    CHECK(device_take(device, sizeof narrow, &other, &err) == 0);
    CHECK(cudaMemsetAsync(to, 0x55, sizeof got, device->stream) == cudaSuccess);
    const struct staging_rows all[] = {
        {to, PITCH_BYTES, rows, ROW_BYTES, ROWS, 0},
        staging_whole((unsigned char *)to + ROWS * PITCH_BYTES, one, sizeof one),
        {other, sizeof narrow, numbers, sizeof narrow, 1, 1}};
    CHECK(staging_copy_all(device, device->stream, all, 3, NULL, &err) == 0);
    CHECK(cudaMemcpyAsync(got, to, sizeof got, cudaMemcpyDeviceToHost, device->stream) == cudaSuccess);
    CHECK(cudaMemcpyAsync(narrow, other, sizeof narrow, cudaMemcpyDeviceToHost, device->stream) ==
          cudaSuccess);
    CHECK(device_wait(device, &err) == 0);
    size_t wrong = 0;
    for (size_t i = 0; i < ROWS; i++) {
        const unsigned char *row = got + i * PITCH_BYTES;
        wrong += memcmp(row, rows + i * ROW_BYTES, ROW_BYTES) != 0;
        for (size_t j = ROW_BYTES; j < PITCH_BYTES; j++)
            wrong += row[j] != 0x55;
    }
    for (size_t i = 0; i < NUMBERS; i++)
        wrong += narrow[i] != (float)numbers[i];
    CHECK(wrong == 0 && memcmp(got + ROWS * PITCH_BYTES, one, sizeof one) == 0);
    device_drop(device, to, sizeof got);
    device_drop(device, other, sizeof narrow);
    close_whole(opened);
}

int main(void)
{
    if (faulty_begin())
        return 1;
    refused_memory_is_asked_for_again();
    a_refusal_says_what_to_do();
    a_small_device_is_enough();
    a_limit_is_a_small_device();
    a_limit_that_is_too_low_says_so();
    for (int is_settled = 0; is_settled < 2; is_settled++)
        a_limit_holds_for_all_contexts(is_settled);
    a_kernel_finds_no_room();
    for (unsigned seed = 1; seed <= 4; seed++)
        a_model_loads_beside_another(seed, seed % 2 * 40);
    for (unsigned haste = 0; haste <= 50; haste += 50)
        pieces_come_to_their_places(haste);
    if (faulty_change())
        return 1;
    refused_memory_is_asked_for_again();
    a_small_device_is_enough();
    a_model_loads_beside_another(5, 40);
    return faulty_end("refused memory is asked for again, a limit holds, and models load beside each other");
}
