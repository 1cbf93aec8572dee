#include "gpu/cuda/score_gemm_blas.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT_MAX 256U /* bytes; what the heuristic assumes unless it is told less */
#define PLANS_MAX                                                                                            \
    512 /* 64 experts have some 50 numbers of rows, each with two shapes, and in the last layer others */
#define ROWS_PARTS 8 /* of the next lower power of two; rows are rounded up to one of them */

struct gemm_key {
    uint64_t outputs, inputs, rows; /* as asked */
    uint64_t kind;                  /* type, is_transposed, epilogue, is_wide, is_sum */
    uint64_t alignment;             /* of the pointers, in bytes */
    uint64_t weights_stride, x_stride, out_stride;
};

/* A shape with its chosen algorithm, if cuBLASLt has one. */
struct gemm_plan {
    struct gemm_key key;
    int has_algorithm;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t weights, x, out;
    uint64_t rows; /* that the layouts of x and out have now */
    cublasLtMatmulAlgo_t algorithm;
};

struct gemm_plans {
    size_t count, oldest;
    struct gemm_plan plans[PLANS_MAX];
};

static cudaDataType_t data_type(enum score_type type)
{
    return type == SCORE_TYPE_F16 ? CUDA_R_16F : type == SCORE_TYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static void plan_done(struct gemm_plan *plan)
{
    if (plan->operation)
        (void)cublasLtMatmulDescDestroy(plan->operation);
    if (plan->weights)
        (void)cublasLtMatrixLayoutDestroy(plan->weights);
    if (plan->x)
        (void)cublasLtMatrixLayoutDestroy(plan->x);
    if (plan->out)
        (void)cublasLtMatrixLayoutDestroy(plan->out);
    *plan = (struct gemm_plan){.operation = NULL};
}

struct gemm_plans *gemm_plans_new(void)
{
    return calloc(1, sizeof(struct gemm_plans));
}

void gemm_plans_free(void *kept)
{
    struct gemm_plans *plans = kept;
    for (size_t i = 0; i < plans->count; i++)
        plan_done(&plans->plans[i]);
    free(plans);
}

uint64_t gemm_rows_asked(uint64_t rows)
{
    uint64_t part = 1;
    while (part * ROWS_PARTS * 2 <= rows)
        part *= 2;
    part = part < ROWS_PARTS ? ROWS_PARTS : part;
    return (rows + part - 1) / part * part;
}

static cublasLtEpilogue_t epilogue_of(enum gemm_epilogue epilogue)
{
    switch (epilogue) {
    case GEMM_EPILOGUE_BIAS:
        return CUBLASLT_EPILOGUE_BIAS;
    case GEMM_EPILOGUE_BIAS_RELU:
        return CUBLASLT_EPILOGUE_RELU_BIAS;
    case GEMM_EPILOGUE_BIAS_GELU_TANH:
        return CUBLASLT_EPILOGUE_GELU_BIAS;
    case GEMM_EPILOGUE_NONE:
        break;
    }
    return CUBLASLT_EPILOGUE_DEFAULT;
}

/* cuBLASLt counts columns first: a row-major [rows, inputs] is its inputs x rows, so what it computes is
 * out (outputs x rows) = weights^T (inputs x outputs, transposed) x (inputs x rows), and weights with a row
 * for each input are outputs x inputs as they are. */
static int describe(struct gemm *gemm, struct gemm_plan *plan, const struct gemm_product *product,
                    struct err *err)
{
    const cublasOperation_t operation = product->is_transposed ? CUBLAS_OP_N : CUBLAS_OP_T;
    const uint64_t weights_width = product->is_transposed ? product->outputs : product->inputs,
                   weights_rows = product->is_transposed ? product->inputs : product->outputs;
    const cublasLtEpilogue_t epilogue = epilogue_of(product->epilogue);
    const cudaDataType_t type = data_type(gemm->type), out_type = data_type(gemm_out_type(gemm, product));
    struct cuda_device *device = gemm->device;
    int code;
    if ((code = BLAS_CHECK(device, cublasLtMatmulDescCreate(&plan->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                           err)) ||
        (code = BLAS_CHECK(device,
                           cublasLtMatmulDescSetAttribute(plan->operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                                          &operation, sizeof(operation)),
                           err)) ||
        (code = BLAS_CHECK(device,
                           cublasLtMatmulDescSetAttribute(plan->operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                          &epilogue, sizeof(epilogue)),
                           err)) ||
        (code = BLAS_CHECK(device,
                           cublasLtMatrixLayoutCreate(&plan->weights, type, weights_width, weights_rows,
                                                      (int64_t)plan->key.weights_stride),
                           err)) ||
        (code = BLAS_CHECK(device,
                           cublasLtMatrixLayoutCreate(&plan->x, type, product->inputs, plan->rows,
                                                      (int64_t)plan->key.x_stride),
                           err)) ||
        (code = BLAS_CHECK(device,
                           cublasLtMatrixLayoutCreate(&plan->out, out_type, product->outputs, plan->rows,
                                                      (int64_t)plan->key.out_stride),
                           err)))
        return code;
    return 0;
}

static int set_bias(struct gemm *gemm, const struct gemm_plan *plan, const struct gemm_product *product,
                    struct err *err)
{
    if (product->epilogue == GEMM_EPILOGUE_NONE)
        return 0;
    return BLAS_CHECK(gemm->device,
                      cublasLtMatmulDescSetAttribute(plan->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                     &product->bias, sizeof(product->bias)),
                      err);
}

/* The power of two that divides all addresses of a product, at most what cuBLASLt takes for granted. */
static uint32_t alignment_of(const struct gemm_product *product)
{
    uintptr_t all = (uintptr_t)product->weights | (uintptr_t)product->x | (uintptr_t)product->out;
    uint32_t alignment = ALIGNMENT_MAX;
    while (all % alignment)
        alignment /= 2;
    return alignment;
}

/* Rows of a wave begin where the batch before ends: an algorithm must not expect more than their alignment.
 * Weights of 16 bits may begin at any of them, float32 beside them does not. */
static int set_alignment(struct gemm *gemm, cublasLtMatmulPreference_t preference,
                         const struct gemm_product *product, uint32_t alignment, struct err *err)
{
    const uint32_t out_bytes = (uint32_t)score_type_bytes(gemm_out_type(gemm, product)),
                   out_alignment = alignment < out_bytes ? out_bytes : alignment;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        uint32_t alignment;
    } all[] = {{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, out_alignment},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out_alignment}};
    int code = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && !code; i++)
        code = BLAS_CHECK(gemm->device,
                          cublasLtMatmulPreferenceSetAttribute(preference, all[i].attribute,
                                                               &all[i].alignment, sizeof(all[i].alignment)),
                          err);
    return code;
}

/* Whether cuBLASLt says that it does not do a product, and not that something is wrong. Algorithms that lack
 * room in the workspace for the rows that there are call that invalid. */
static int is_refusal(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
           status == CUBLAS_STATUS_ARCH_MISMATCH;
}

/* Asks for the best algorithm; sums of split products only in float32. */
static int choose(struct gemm *gemm, struct gemm_plan *plan, const struct gemm_product *product,
                  struct err *err)
{
    const size_t workspace = DEVICE_WORKSPACE_BYTES;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    struct cuda_device *device = gemm->device;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    cublasStatus_t status;
    int count = 0, code = BLAS_CHECK(device, cublasLtMatmulPreferenceCreate(&preference), err);
    if (code)
        return code;
    if ((code = BLAS_CHECK(device,
                           cublasLtMatmulPreferenceSetAttribute(preference,
                                                                CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                                &workspace, sizeof(workspace)),
                           err)) ||
        (code = BLAS_CHECK(device,
                           cublasLtMatmulPreferenceSetAttribute(preference,
                                                                CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                                &schemes, sizeof(schemes)),
                           err)) ||
        (code = set_alignment(gemm, preference, product, (uint32_t)plan->key.alignment, err)))
        goto out;
    status = cublasLtMatmulAlgoGetHeuristic(device->blas, plan->operation, plan->weights, plan->x, plan->out,
                                            plan->out, preference, 1, &found, &count);
    if (!is_refusal(status) &&
        (code = device_check_blas(device, status, "cublasLtMatmulAlgoGetHeuristic", err)))
        goto out;
    plan->has_algorithm =
        status == CUBLAS_STATUS_SUCCESS && count > 0 && found.state == CUBLAS_STATUS_SUCCESS;
    if (plan->has_algorithm)
        plan->algorithm = found.algo;
out:
    (void)cublasLtMatmulPreferenceDestroy(preference);
    return code;
}

static int make_plan(struct gemm *gemm, const struct gemm_product *product, const struct gemm_key *key,
                     struct gemm_plan **ret_plan, struct err *err)
{
    struct gemm_plan made = {.key = *key, .rows = key->rows};
    struct gemm_plans *plans = gemm->plans;
    if (describe(gemm, &made, product, err) || set_bias(gemm, &made, product, err) ||
        choose(gemm, &made, product, err)) {
        plan_done(&made);
        return err_wrap(err, "product of [%llu, %llu] with [%llu, %llu]", (unsigned long long)product->rows,
                        (unsigned long long)product->inputs, (unsigned long long)product->outputs,
                        (unsigned long long)product->inputs);
    }
    size_t place = plans->count;
    if (place < PLANS_MAX) {
        plans->count++;
    } else {
        place = plans->oldest++ % PLANS_MAX;
        plan_done(&plans->plans[place]);
    }
    plans->plans[place] = made;
    *ret_plan = &plans->plans[place];
    return 0;
}

/* The layouts get the rows of this product. */
static int set_rows(struct gemm *gemm, struct gemm_plan *plan, uint64_t rows, struct err *err)
{
    int code = 0;
    if (plan->rows == rows)
        return 0;
    plan->rows = 0; /* of one of them, if the other is refused */
    if ((code = BLAS_CHECK(
             gemm->device,
             cublasLtMatrixLayoutSetAttribute(plan->x, CUBLASLT_MATRIX_LAYOUT_COLS, &rows, sizeof(rows)),
             err)) ||
        (code = BLAS_CHECK(
             gemm->device,
             cublasLtMatrixLayoutSetAttribute(plan->out, CUBLASLT_MATRIX_LAYOUT_COLS, &rows, sizeof(rows)),
             err)))
        return code;
    plan->rows = rows;
    return 0;
}

static struct gemm_plan *find_plan(struct gemm_plans *plans, const struct gemm_key *key)
{
    for (size_t i = 0; i < plans->count; i++)
        if (memcmp(&plans->plans[i].key, key, sizeof(*key)) == 0)
            return &plans->plans[i];
    return NULL;
}

/* By the plan of a key, which is made if there is none; *ret_status is what cuBLASLt says. */
static int multiply(struct gemm *gemm, const struct gemm_product *product, const struct gemm_key *key,
                    cublasStatus_t *ret_status, struct err *err)
{
    const float factor = score_factor((double)product->factor), add = product->is_sum ? 1.0F : 0.0F;
    struct cuda_device *device = gemm->device;
    struct gemm_plan *plan = find_plan(gemm->plans, key);
    int code;
    if (!plan && (code = make_plan(gemm, product, key, &plan, err)))
        return code;
    *ret_status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (plan->has_algorithm) {
        if ((code = set_rows(gemm, plan, product->rows, err)) || (code = set_bias(gemm, plan, product, err)))
            return code;
        *ret_status =
            cublasLtMatmul(device->blas, plan->operation, &factor, product->weights, plan->weights,
                           product->x, plan->x, &add, product->out, plan->out, product->out, plan->out,
                           &plan->algorithm, device->workspace, DEVICE_WORKSPACE_BYTES, device->stream);
    }
    /* What the library may have left is no error of the kernel that comes next. */
    if (is_refusal(*ret_status))
        (void)cudaGetLastError();
    return 0;
}

int gemm_blas_run(struct gemm *gemm, const struct gemm_product *product, int *ret_is_refused, struct err *err)
{
    struct gemm_key key = {.outputs = product->outputs,
                           .inputs = product->inputs,
                           .rows = gemm_rows_asked(product->rows),
                           .kind = (uint64_t)gemm->type << 8 | (product->is_transposed ? 16U : 0U) |
                                   (uint64_t)product->epilogue << 2 | (product->is_wide ? 2U : 0U) |
                                   (product->is_sum ? 1U : 0U),
                           .alignment = alignment_of(product),
                           .weights_stride = product->weights_stride,
                           .x_stride = product->x_stride,
                           .out_stride = product->out_stride};
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    int code = multiply(gemm, product, &key, &status, err);
    /* An algorithm may not do for fewer rows than it was chosen for: then these rows have their own plan. */
    if (!code && is_refusal(status) && key.rows != product->rows) {
        key.rows = product->rows;
        code = multiply(gemm, product, &key, &status, err);
    }
    *ret_is_refused = !code && is_refusal(status);
    return code || *ret_is_refused ? code : device_check_blas(gemm->device, status, "cublasLtMatmul", err);
}
