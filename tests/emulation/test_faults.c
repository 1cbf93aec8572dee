/*
 * The CUDA module when calls go wrong, on the emulated runtime: each call of CUDA refused once, the device
 * lost at each, numbers that are not finite.
 */
#include "gpu/cuda/score_gemm.h"
#include "tests/emulation/faulty.h"
#include "tests/emulation/test_products.h"

#include <stdatomic.h>
#include <stdbool.h>

#define ERROR_OF_TOMORROW 9999 /* a code that no table has */

/* -- Refused and lost ------------------------------------------------------------------------------ */

static const char *const calls[] = {"work", /* is lost, not refused */
                                    "launch",
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
    for (size_t i = 1; i < sizeof calls / sizeof calls[0]; i++)
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

/* Without cuBLASLt's epilogues, or all of its products, whether its search for an algorithm says so or the
 * product: the same numbers but for a rounding or two more of each product with a bias, and it is told. Each
 * kind of product: test_products.c. */
static void what_cublaslt_does_not_do_is_done(void)
{
    const enum score_activation before = config.activation;
    const unsigned all[] = {0, EMULATION_LACKS_EPILOGUES, EMULATION_LACKS_EPILOGUES | EMULATION_LACKS_LATE,
                            EMULATION_LACKS_PRODUCTS, EMULATION_LACKS_PRODUCTS | EMULATION_LACKS_LATE};
    struct emulation_device device = plain;
    struct answer want, got;
    config.activation = SCORE_ACTIVATION_GELU_TANH; /* an epilogue */
    const struct score_model_source source = source_of(SCORE_PRECISION_HALF);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct err err = ERR_INIT;
        void *opened = NULL;
        device.lacks = all[i];
        CHECK(open_new(&device, &opened, &err) == 0);
        CHECK(load_and_score(opened, &source, i ? &got : &want, &err) == 0);
        CHECK(i ? answer_is_within(&want, &got, 2e-2) : want.slow[0] == '\0');
        CHECK(i == 0 || strstr(got.slow, i < 3 ? "16 inputs, 24 outputs: bias and activation]"
                                               : "16 inputs, 53 outputs: all of it]"));
        close_whole(opened);
    }
    config.activation = before;
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
    source.watch.cancel = &cancel;
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

/* What keeps a context from being made is over when its cause is: the device is not lost. */
static void a_device_that_cannot_be_had_is_not_lost(void)
{
    void *device = NULL;
    struct err err = ERR_INIT;
    emulation_reset(&plain);
    emulation_occupy(plain.memory_bytes);
    CHECK(backend->device_open(0, NULL, &device, &err) == ERR_NO_MEMORY);
    CHECK(strstr(err.message, "is out of memory") && strstr(err.message, "nvidia-smi shows who"));
    emulation_reset(&plain);
    emulation_inject("cudaSetDevice", 1, cudaErrorMpsServerNotReady, 1);
    err = (struct err)ERR_INIT;
    CHECK(backend->device_open(0, NULL, &device, &err) == ERR_DEVICE);
    emulation_reset(&plain);
    err = (struct err)ERR_INIT;
    CHECK(backend->device_open(0, NULL, &device, &err) == 0);
    close_whole(device);
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
    if (faulty_begin())
        return 1;
    a_refusal_is_over_with_its_call(0);
    a_refusal_is_over_with_its_call(500ULL << 20);
    rows_are_rounded_up_a_little();
    a_refused_plan_is_asked_for_again();
    an_algorithm_for_other_rows_is_replaced();
    what_cublaslt_does_not_do_is_done();
    failures += products_fail();
    loading_is_cancelled(0);
    loading_is_cancelled(500ULL << 20);
    a_loss_stays(cudaErrorIllegalAddress, ERR_DEVICE_LOST);
    a_loss_stays(ERROR_OF_TOMORROW, ERR_DEVICE_LOST);
    an_opening_fails_whole();
    a_device_that_cannot_be_had_is_not_lost();
    what_is_not_finite_shows();
    if (faulty_change())
        return 1;
    a_refusal_is_over_with_its_call(0);
    a_refusal_is_over_with_its_call(500ULL << 20);
    a_refused_plan_is_asked_for_again();
    a_loss_stays(cudaErrorIllegalAddress, ERR_DEVICE_LOST);
    return faulty_end("refused calls are over with the call, and losses stay");
}
