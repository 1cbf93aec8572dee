/*
 * Statistics of the CUDA module when the device has less memory than the tensors take, and when its calls are
 * refused or it is lost, on the emulated runtime.
 */
#include "gpu/backend.h"
#include "gpu/half.h"
#include "gpu/statistics.h"
#include "tests/emulation/answers.h"
#include "tests/emulation/checks.h"
#include "tests/emulation/devices.h"
#include "tests/emulation/runtime.h"
#include "tests/tools/random_model.h"

#include <driver_types.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const struct backend_table *bifurcated_backend(uint32_t host_abi_version);

static const struct backend_table *backend;

/* Parts with tokens alone, with both, with padding alone; rows that are padded; several tiles of columns,
 * more than blocks; elements of every kind. */
static const struct shape {
    enum tensor_dtype dtype;
    uint64_t rows, columns, token_rows;
    int references;
} shapes[] = {{TENSOR_DTYPE_F16, 300, 13, 250, 2},   {TENSOR_DTYPE_F16, 400, 64, 200, 2},
              {TENSOR_DTYPE_F16, 250, 1300, 140, 2}, {TENSOR_DTYPE_BF16, 200, 64, 200, 1},
              {TENSOR_DTYPE_BF16, 301, 40, 300, 0},  {TENSOR_DTYPE_F32, 300, 260, 150, 2},
              {TENSOR_DTYPE_F32, 300, 12, 1, 1},     {TENSOR_DTYPE_F64, 200, 33, 180, 2}};

#define SHAPES (sizeof shapes / sizeof shapes[0])

struct tensors {
    unsigned char *data[1 + STATISTICS_REFERENCES_MAX];
    struct statistics_request request;
};

static void put(enum tensor_dtype dtype, unsigned char *data, uint64_t place, float value)
{
    const uint16_t half =
        dtype == TENSOR_DTYPE_F16 ? half_to_f16(value) : (uint16_t)(half_bits_of_float(value) >> 16);
    const double wide = (double)value;
    if (dtype == TENSOR_DTYPE_F32)
        memcpy(data + 4 * place, &value, 4);
    else if (dtype == TENSOR_DTYPE_F64)
        memcpy(data + 8 * place, &wide, 8);
    else
        memcpy(data + 2 * place, &half, 2);
}

/* With gaps: one element of 50 is not finite. */
static void tensors_init(struct tensors *tensors, const struct shape *shape, int has_gaps)
{
    const uint64_t elements = shape->rows * shape->columns;
    *tensors = (struct tensors){.request = {.dtype = shape->dtype,
                                            .rows = shape->rows,
                                            .columns = shape->columns,
                                            .token_rows = shape->token_rows,
                                            .reference_count = shape->references}};
    for (int i = 0; i <= shape->references; i++) {
        tensors->data[i] = malloc(elements * tensor_dtype_bits(shape->dtype) / 8);
        for (uint64_t place = 0; tensors->data[i] && place < elements; place++) {
            const uint64_t bits = random_at((uint64_t)i + 3, place);
            const float value = (float)(bits % 65536) / 65536.0F - 0.4F;
            put(shape->dtype, tensors->data[i], place,
                has_gaps && bits >> 32 < (1ULL << 32) / 50 ? NAN : value);
        }
        if (i)
            tensors->request.references[i - 1] = tensors->data[i];
        else
            tensors->request.data = tensors->data[i];
    }
}

static void tensors_free(struct tensors *tensors)
{
    for (int i = 0; i <= STATISTICS_REFERENCES_MAX; i++)
        free(tensors->data[i]);
}

static int is_near(double a, double b)
{
    return fabs(a - b) <= 1e-13 * fabs(a);
}

/* All but the sums of displacements bit by bit; these to their last digits, or bit by bit as well. */
static int is_same(const struct statistics_result *a, const struct statistics_result *b, int is_exact)
{
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
        const struct statistics_rows *x = &a->rows[set], *y = &b->rows[set];
        if (memcmp(x->counts, y->counts, STATISTICS_CODES * sizeof *x->counts) ||
            memcmp(x->centred_counts, y->centred_counts, STATISTICS_CODES * sizeof *x->counts) ||
            memcmp(x->columns, y->columns, a->columns * sizeof *x->columns) ||
            memcmp(x, y, offsetof(struct statistics_rows, counts)))
            return 0;
    }
    if (is_exact)
        return memcmp(a->displacements, b->displacements, sizeof a->displacements) == 0;
    for (int i = 0; i < STATISTICS_REFERENCES_MAX; i++)
        for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++) {
            const struct statistics_displacement *x = &a->displacements[i][set],
                                                 *y = &b->displacements[i][set];
            if (x->elements != y->elements || !is_near(x->squared, y->squared) ||
                !is_near(x->norm_squared, y->norm_squared) ||
                !is_near(x->reference_norm_squared, y->reference_norm_squared) ||
                !is_near(x->norm_squared + x->dot, y->norm_squared + y->dot))
                return 0;
        }
    return 1;
}

static void *open_new(const struct emulation_device *as)
{
    char why[BACKEND_WHY_BYTES];
    struct err err = ERR_INIT;
    void *device = NULL;
    emulation_reset(as);
    CHECK(backend->probe(why, sizeof why) == 0 && backend->device_open(0, NULL, &device, &err) == 0);
    return device;
}

static void close_whole(void *device)
{
    backend->device_close(device);
    CHECK(emulation_object_count() == 0);
}

/* Opens the device when others have all of it but `left_bytes` beyond what an open device takes. */
static void *open_full(const struct emulation_device *as, uint64_t left_bytes)
{
    void *device = open_new(as);
    emulation_occupy(as->memory_bytes - emulation_used_bytes() - left_bytes);
    return device;
}

/* -- Memory ---------------------------------------------------------------------------------------- */

/* As soon as whole tensors do not fit, and down to one unit, the result is the same; with less, it is refused
 * and says what it needs. */
static void less_memory_is_enough(const struct emulation_device *as, const struct shape *shape, int has_gaps)
{
    struct tensors tensors;
    struct statistics_result want, got;
    struct err err = ERR_INIT;
    unsigned done = 0, refused = 0;
    tensors_init(&tensors, shape, has_gaps);
    CHECK(statistics_result_init(&want, shape->columns, &err) == 0);
    CHECK(statistics_result_init(&got, shape->columns, &err) == 0);
    void *device = open_new(as);
    const uint64_t open_bytes = emulation_used_bytes();
    CHECK(backend->statistics(device, &tensors.request, &want, &err) == 0);
    const uint64_t whole_bytes = emulation_used_max_bytes() - open_bytes;
    close_whole(device);
    device = open_full(as, whole_bytes);
    CHECK(backend->statistics(device, &tensors.request, &got, &err) == 0 && is_same(&want, &got, 1));
    close_whole(device);
    for (uint64_t less = 256; !refused && less < whole_bytes; less *= 8) {
        device = open_full(as, whole_bytes - less);
        int code = backend->statistics(device, &tensors.request, &got, &err);
        CHECK(code == 0 || code == ERR_NO_MEMORY);
        CHECK(code || is_same(&want, &got, 0));
        done += code == 0;
        if (code) {
            refused++;
            CHECK(strstr(err.message, "are needed at least") && strstr(err.message, "nvidia-smi"));
        }
        close_whole(device);
    }
    CHECK(done >= 2 && refused == 1);
    statistics_result_free(&want);
    statistics_result_free(&got);
    tensors_free(&tensors);
}

/* A piece of memory is refused, whichever it is: sums end the pass, tensors make it smaller. */
static void each_piece_of_memory_is_refused(const struct emulation_device *as)
{
    struct tensors tensors;
    struct statistics_result want, got;
    struct err err = ERR_INIT;
    unsigned ended = 0, smaller = 0;
    tensors_init(&tensors, &shapes[0], 0);
    CHECK(statistics_result_init(&want, shapes[0].columns, &err) == 0);
    CHECK(statistics_result_init(&got, shapes[0].columns, &err) == 0);
    void *device = open_new(as);
    CHECK(backend->statistics(device, &tensors.request, &want, &err) == 0);
    for (unsigned piece = 1;; piece++) {
        for (int i = 0; i < 2; i++) /* it is asked for once more */
            emulation_inject("cudaMallocFromPoolAsync", piece, cudaErrorMemoryAllocation, 0);
        int code = backend->statistics(device, &tensors.request, &got, &err);
        if (emulation_forget())
            break;
        CHECK(code == 0 || code == ERR_NO_MEMORY);
        CHECK(code || is_same(&want, &got, 0));
        CHECK(code == 0 || !smaller); /* sums are taken first */
        ended += code != 0;
        smaller += code == 0;
        CHECK(backend->statistics(device, &tensors.request, &got, &err) == 0 && is_same(&want, &got, 1));
    }
    CHECK(ended >= 10 && smaller == 3);
    close_whole(device);
    statistics_result_free(&want);
    statistics_result_free(&got);
    tensors_free(&tensors);
}

/* -- Refused and lost ------------------------------------------------------------------------------- */

static const char *const calls[] = {"work", /* is lost, not refused */
                                    "launch",
                                    "cudaEventRecord",
                                    "cudaEventSynchronize",
                                    "cudaFuncSetAttribute",
                                    "cudaMallocFromPoolAsync",
                                    "cudaMemcpy2DAsync",
                                    "cudaMemcpyAsync",
                                    "cudaMemsetAsync",
                                    "cudaSetDevice",
                                    "cudaStreamSynchronize"};

/* Every call, early and late ones, with whole tensors (less_bytes 0) and unit by unit: a refusal ends the
 * pass and is over with it, a loss stays. */
static void calls_fail(const struct emulation_device *as, uint64_t less_bytes)
{
    const struct shape *shape = &shapes[0];
    struct tensors tensors;
    struct statistics_result want, got;
    struct err err = ERR_INIT;
    unsigned refused = 0;
    tensors_init(&tensors, shape, 1); /* all three passes */
    CHECK(statistics_result_init(&want, shape->columns, &err) == 0);
    CHECK(statistics_result_init(&got, shape->columns, &err) == 0);
    void *device = open_new(as);
    const uint64_t open_bytes = emulation_used_bytes();
    CHECK(backend->statistics(device, &tensors.request, &want, &err) == 0);
    const uint64_t left_bytes = emulation_used_max_bytes() - open_bytes - less_bytes;
    close_whole(device);
    device = open_full(as, left_bytes);
    CHECK(backend->statistics(device, &tensors.request, &want, &err) == 0);
    for (size_t i = 1; i < sizeof calls / sizeof calls[0]; i++)
        for (unsigned after = 1; after < 200; after += 2 + 3 * after) {
            emulation_inject(calls[i], after, cudaErrorInvalidValue, 0);
            int code = backend->statistics(device, &tensors.request, &got, &err);
            const int was_injected = !emulation_forget();
            refused += code != 0;
            CHECK(code == ERR_DEVICE || (code == 0 && (!was_injected || less_bytes))); /* 0: while trimming */
            if (!was_injected)
                break;
            CHECK(backend->statistics(device, &tensors.request, &got, &err) == 0 && is_same(&want, &got, 1));
        }
    CHECK(refused > 12);
    close_whole(device);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        for (unsigned after = 1; after <= 8; after += 7) {
            device = open_full(as, left_bytes);
            emulation_inject(calls[i], after, cudaErrorIllegalAddress, 1);
            int code = backend->statistics(device, &tensors.request, &got, &err);
            if (!emulation_forget()) {
                CHECK(code == ERR_DEVICE_LOST);
                CHECK(backend->statistics(device, &tensors.request, &got, &err) == ERR_DEVICE_LOST);
            }
            backend->device_close(device);
            emulation_abandon();
        }
    statistics_result_free(&want);
    statistics_result_free(&got);
    tensors_free(&tensors);
}

/* More elements for a block than its counters can count, in one part: said before anything is read, whether
 * they are tokens or padding. */
static void a_tensor_is_too_large(const struct emulation_device *as)
{
    const uint16_t none = 0;
    for (int is_padding = 0; is_padding < 2; is_padding++) {
        struct statistics_request request = {
            .data = &none, .dtype = TENSOR_DTYPE_F16, .rows = (1 << 19) + 2, .columns = 1 << 13};
        struct statistics_result result;
        struct err err = ERR_INIT;
        void *device = open_new(as);
        request.token_rows = is_padding ? 1 : request.rows;
        CHECK(statistics_result_init(&result, request.columns, &err) == 0);
        CHECK(backend->statistics(device, &request, &result, &err) == ERR_LIMIT);
        CHECK(strstr(err.message, "too large for statistics on this GPU; measure it with device = cpu"));
        statistics_result_free(&result);
        close_whole(device);
    }
}

/* -- Beside a model ---------------------------------------------------------------------------------- */

#define ROUNDS 8

static const struct score_config config = SMALL_CONFIG(SCORE_ACTIVATION_GELU);

struct scorer {
    void *device;
    struct random_model model;
    struct random_documents documents;
    struct answer want;
    int done, bad; /* rounds */
};

static int score(struct scorer *scorer, struct answer *answer, struct err *err)
{
    const struct score_model_source source = {.config = config,
                                              .tensors = scorer->model.tensors,
                                              .tensor_count = scorer->model.tensor_count,
                                              .precision = SCORE_PRECISION_F32};
    return answer_load(backend, scorer->device, &source, &scorer->documents.request, answer, err);
}

static void *run_scorer(void *context)
{
    struct scorer *scorer = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct answer got;
        struct err err = ERR_INIT;
        int code = score(scorer, &got, &err);
        scorer->done += code == 0;
        scorer->bad += code ? code != ERR_NO_MEMORY : !answer_is_near(&scorer->want, &got);
    }
    return NULL;
}

/* Two contexts, of one GPU or of two; on one they share a limit that is too low for both at once. Whatever
 * meets, results are the same or memory is refused, and the limit holds. */
static void statistics_meet_a_model(const struct emulation_device *as, int is_one_gpu)
{
    struct emulation_device two = *as;
    struct backend_options within = {.memory_bytes_max = 0};
    struct tensors tensors;
    struct statistics_result want, got;
    struct scorer scorer = {.device = NULL};
    struct err err = ERR_INIT;
    pthread_t thread;
    void *device = NULL;
    int done = 0;
    two.count = 2;
    tensors_init(&tensors, &shapes[1], 0);
    CHECK(random_model_init(&scorer.model, &config) == 0);
    CHECK(random_documents_init(&scorer.documents, 2, 20, SMALL_VOCABULARY) == 0);
    CHECK(statistics_result_init(&want, shapes[1].columns, &err) == 0);
    CHECK(statistics_result_init(&got, shapes[1].columns, &err) == 0);
    scorer.device = device = open_new(&two);
    const uint64_t open_bytes = emulation_used_bytes();
    CHECK(backend->statistics(device, &tensors.request, &want, &err) == 0);
    const uint64_t pass_bytes = emulation_used_max_bytes() - open_bytes;
    CHECK(score(&scorer, &scorer.want, &err) == 0);
    if (is_one_gpu) /* a model is placed in all but a thirty-second of what is left */
        within.memory_bytes_max = (emulation_used_max_bytes() + open_bytes) / 32 * 33 + pass_bytes / 2;
    close_whole(device);
    emulation_reset(&two);
    CHECK(backend->device_open(0, &within, &device, &err) == 0);
    CHECK(backend->device_open(!is_one_gpu, &within, &scorer.device, &err) == 0);
    CHECK(pthread_create(&thread, NULL, run_scorer, &scorer) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        int code = backend->statistics(device, &tensors.request, &got, &err);
        CHECK(code == 0 || (code == ERR_NO_MEMORY && is_one_gpu));
        CHECK(code || is_same(&want, &got, !is_one_gpu));
        done += code == 0;
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(done > 0 && scorer.done > 0 && scorer.bad == 0);
    CHECK(is_one_gpu || (done == ROUNDS && scorer.done == ROUNDS));
    CHECK(!is_one_gpu || emulation_reserved_max_bytes() <= within.memory_bytes_max);
    backend->device_close(scorer.device);
    close_whole(device);
    statistics_result_free(&want);
    statistics_result_free(&got);
    tensors_free(&tensors);
    random_model_free(&scorer.model);
    random_documents_free(&scorer.documents);
}

int main(void)
{
    struct emulation_device large = {.seed = 7}, small = {.seed = 8, .haste = 60};
    backend = bifurcated_backend(BACKEND_ABI_VERSION);
    emulation_gpu_take(emulation_gpu_find("h100"), &large);
    emulation_gpu_take(emulation_gpu_find("l4"), &small);
    large.multiprocessor_count = 4;
    small.multiprocessor_count = 8;
    for (size_t i = 0; i < SHAPES; i++)
        less_memory_is_enough(i % 3 == 2 ? &small : &large, &shapes[i], i / 2 % 2);
    large.multiprocessor_count = 2;
    a_tensor_is_too_large(&large);
    each_piece_of_memory_is_refused(&large);
    calls_fail(&large, 0);
    calls_fail(&large, 256);
    statistics_meet_a_model(&large, 0);
    for (large.seed = 1; large.seed <= 3; large.seed++)
        statistics_meet_a_model(&large, 1);
    if (!failures)
        puts("less memory gives the same statistics, refused calls are over with the call, and losses stay");
    return failures != 0;
}
