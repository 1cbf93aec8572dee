/* cuBLASLt's part that the module uses: products as plain loops with float32 sums, in the order of a stream.
 * What the library takes for granted (alignment, layouts, types) is checked. */
#include "tests/emulation/runtime.h"

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <map>
#include <vector>

namespace
{

struct operation {
    cublasOperation_t transposed_a;
    cublasLtEpilogue_t epilogue;
    const void *bias;
};

struct layout {
    cudaDataType type;
    uint64_t rows, columns;
    int64_t stride;
};

struct preference {
    uint32_t alignment[4];
    uint64_t workspace_bytes;
};

/* The product that an algorithm was asked for, and what it may take for granted. */
struct algorithm {
    uint16_t alignment[4], bias_alignment;
    uint16_t type, out_type;
    uint16_t transposed_a;
    uint32_t epilogue;
    uint64_t workspace_bytes, rows, inputs, outputs;
};

uint32_t bytes_of(cudaDataType type)
{
    return type == CUDA_R_32F ? 4 : 2;
}

float element(const void *from, cudaDataType type, uint64_t place)
{
    return type == CUDA_R_16F    ? __half2float(((const __half *)from)[place])
           : type == CUDA_R_16BF ? __bfloat162float(((const __nv_bfloat16 *)from)[place])
                                 : ((const float *)from)[place];
}

void store(void *to, cudaDataType type, uint64_t place, float value)
{
    if (type == CUDA_R_16F)
        ((__half *)to)[place] = __float2half_rn(value);
    else if (type == CUDA_R_16BF)
        ((__nv_bfloat16 *)to)[place] = __float2bfloat16_rn(value);
    else
        ((float *)to)[place] = value;
}

std::vector<float> row_of(const void *from, const layout &as, uint64_t row)
{
    std::vector<float> made(as.rows);
    for (uint64_t i = 0; i < as.rows; i++)
        made[i] = element(from, as.type, row * (uint64_t)as.stride + i);
    return made;
}

/* The weights of an output, which are one behind the other only if the matrix is to be transposed. */
std::vector<float> weights_of(const void *from, const layout &as, cublasOperation_t operation,
                              uint64_t output)
{
    if (operation == CUBLAS_OP_T)
        return row_of(from, as, output);
    std::vector<float> made(as.columns);
    for (uint64_t i = 0; i < as.columns; i++)
        made[i] = element(from, as.type, i * (uint64_t)as.stride + output);
    return made;
}

float activate(cublasLtEpilogue_t epilogue, float x)
{
    if (epilogue == CUBLASLT_EPILOGUE_RELU_BIAS)
        return x < 0 ? 0 : x;
    if (epilogue == CUBLASLT_EPILOGUE_GELU_BIAS)
        return 0.5F * x * (1 + std::tanh(0.79788456F * (x + 0.044715F * x * x * x)));
    return x;
}

struct product {
    operation how;
    layout weights, x, out;
    const void *a, *b, *c;
    void *d;
    float factor, add;
    void *workspace;
    size_t workspace_bytes;
};

/* Of a matrix, from its first element to its last. */
void check_matrix(const void *memory, const layout &as, int ordinal)
{
    const uint64_t elements = as.columns ? (as.columns - 1) * (uint64_t)as.stride + as.rows : 0;
    emulation::check_memory(memory, elements * (bytes_of(as.type)), ordinal);
}

/* An algorithm may write all of its workspace. */
void use_workspace(const product &p, int ordinal)
{
    emulation::check_memory(p.workspace, p.workspace_bytes, ordinal);
    std::memset(p.workspace, 0x7f, std::min(p.workspace_bytes, (size_t)1 << 16));
}

void multiply(const product &p, int ordinal)
{
    check_matrix(p.a, p.weights, ordinal);
    check_matrix(p.b, p.x, ordinal);
    check_matrix(p.d, p.out, ordinal);
    if (p.how.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
        check_matrix(p.how.bias, {p.out.type, p.out.rows, 1, (int64_t)p.out.rows}, ordinal);
    use_workspace(p, ordinal);
    const uint64_t inputs = p.x.rows, outputs = p.out.rows, rows = p.out.columns;
    std::vector<std::vector<float>> weights;
    for (uint64_t o = 0; o < outputs; o++)
        weights.push_back(weights_of(p.a, p.weights, p.how.transposed_a, o));
    for (uint64_t r = 0; r < rows; r++) {
        const std::vector<float> x = row_of(p.b, p.x, r);
        for (uint64_t o = 0; o < outputs; o++) {
            float sum = 0;
            for (uint64_t i = 0; i < inputs; i++)
                sum += weights[o][i] * x[i];
            sum *= p.factor;
            if (p.add != 0)
                sum += p.add * element(p.c, p.out.type, r * (uint64_t)p.out.stride + o);
            if (p.how.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
                sum += element(p.how.bias, p.out.type, o);
            store(p.d, p.out.type, r * (uint64_t)p.out.stride + o, activate(p.how.epilogue, sum));
        }
    }
}

char handles[EMULATION_DEVICES_MAX]; /* one is its device's, and holds nothing else */

bool is_own(cublasLtHandle_t handle)
{
    return handle == (cublasLtHandle_t)&handles[emulation::current_device()];
}

bool is_aligned(const void *memory, uint64_t alignment)
{
    return (uintptr_t)memory % alignment == 0;
}

/* The documentation's table for sums in float32, of real numbers that are no integers. */
bool is_supported(cudaDataType type, cudaDataType out_type)
{
    return type == CUDA_R_32F
               ? out_type == CUDA_R_32F
               : (type == CUDA_R_16F || type == CUDA_R_16BF) && (out_type == type || out_type == CUDA_R_32F);
}

bool is_supported(cublasLtEpilogue_t epilogue)
{
    return epilogue == CUBLASLT_EPILOGUE_DEFAULT || epilogue == CUBLASLT_EPILOGUE_BIAS ||
           epilogue == CUBLASLT_EPILOGUE_RELU_BIAS || epilogue == CUBLASLT_EPILOGUE_GELU_BIAS;
}

/* Whether the device is one whose library does not do such products, and says so now. What it tried may have
 * left an error behind, which is none of the next call's. */
bool is_lacking(const operation &how, bool is_late)
{
    const unsigned lacks = emulation::lacks();
    const bool is = (lacks & EMULATION_LACKS_LATE ? 1 : 0) == is_late &&
                    (lacks & EMULATION_LACKS_PRODUCTS ||
                     (lacks & EMULATION_LACKS_EPILOGUES && how.epilogue != CUBLASLT_EPILOGUE_DEFAULT));
    if (is)
        (void)emulation::note(cudaErrorInvalidValue);
    return is;
}

/* What divides an address, at most as much as the library makes use of. */
uint16_t alignment_of(const void *memory)
{
    uint16_t alignment = 256;
    while (!is_aligned(memory, alignment))
        alignment /= 2;
    return alignment;
}

algorithm algorithm_of(const operation &how, const layout &weights, const layout &x, const layout &out,
                       const preference &wanted)
{
    algorithm made = {};
    for (unsigned i = 0; i < 4; i++)
        made.alignment[i] = (uint16_t)wanted.alignment[i];
    made.bias_alignment = alignment_of(how.bias);
    made.type = (uint16_t)weights.type;
    made.out_type = (uint16_t)out.type;
    made.transposed_a = (uint16_t)how.transposed_a;
    made.epilogue = (uint32_t)how.epilogue;
    made.workspace_bytes = wanted.workspace_bytes;
    made.rows = x.columns;
    made.inputs = x.rows;
    made.outputs = out.rows;
    return made;
}

/* Whether an algorithm was asked for such a product, but for its rows. */
bool is_for(const algorithm &granted, const product &p)
{
    return granted.type == (uint16_t)p.weights.type && granted.out_type == (uint16_t)p.out.type &&
           granted.transposed_a == (uint16_t)p.how.transposed_a &&
           granted.epilogue == (uint32_t)p.how.epilogue && granted.inputs == p.x.rows &&
           granted.outputs == p.out.rows;
}

/* Whether all addresses are what it was told. */
bool is_aligned_for(const algorithm &granted, const product &p)
{
    return is_aligned(p.a, granted.alignment[0]) && is_aligned(p.b, granted.alignment[1]) &&
           is_aligned(p.c, granted.alignment[2]) && is_aligned(p.d, granted.alignment[3]) &&
           is_aligned(p.workspace, 256) &&
           (p.how.epilogue == CUBLASLT_EPILOGUE_DEFAULT ||
            (p.how.bias && is_aligned(p.how.bias, granted.bias_alignment)));
}

} // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = (cublasLtHandle_t)&handles[emulation::current_device()];
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *made, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *made = (cublasLtMatmulDesc_t) new operation{CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description)
{
    delete (operation *)description;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute, const void *value,
                                              size_t size)
{
    auto *how = (operation *)description;
    if (attribute == CUBLASLT_MATMUL_DESC_TRANSA && size == sizeof(how->transposed_a))
        std::memcpy(&how->transposed_a, value, size);
    else if (attribute == CUBLASLT_MATMUL_DESC_EPILOGUE && size == sizeof(how->epilogue))
        std::memcpy(&how->epilogue, value, size);
    else if (attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER && size == sizeof(how->bias))
        std::memcpy(&how->bias, value, size);
    else
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *made, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t stride)
{
    *made = (cublasLtMatrixLayout_t) new layout{type, rows, columns, stride};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t one,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void *value,
                                                size_t size)
{
    if (attribute != CUBLASLT_MATRIX_LAYOUT_COLS || size != sizeof(uint64_t))
        return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&((layout *)one)->columns, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t one)
{
    delete (layout *)one;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *made)
{
    *made = (cublasLtMatmulPreference_t) new preference{{256, 256, 256, 256}, 0};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t one)
{
    delete (preference *)one;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t one,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t size)
{
    auto *wanted = (preference *)one;
    const std::map<int, unsigned> places = {{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 0},
                                            {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 1},
                                            {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 2},
                                            {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 3}};
    const auto place = places.find((int)attribute);
    if (place != places.end() && size == sizeof(uint32_t))
        std::memcpy(&wanted->alignment[place->second], value, size);
    else if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && size == sizeof(uint64_t))
        std::memcpy(&wanted->workspace_bytes, value, size);
    else if (attribute != CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK || size != sizeof(uint32_t))
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

/* Says no to what the documentation has not, and to addresses that split an element. */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preferred, int,
                                              cublasLtMatmulHeuristicResult_t *found, int *count)
{
    const cudaError_t status = emulation::begin_call("cublasLtMatmulAlgoGetHeuristic");
    if (status != cudaSuccess)
        return status == cudaErrorMemoryAllocation ? CUBLAS_STATUS_ALLOC_FAILED
                                                   : CUBLAS_STATUS_INTERNAL_ERROR;
    const auto &how = *(const operation *)description;
    const layout *const all[] = {(const layout *)a, (const layout *)b, (const layout *)c, (const layout *)d};
    const auto &wanted = *(const preference *)preferred;
    if (!is_own(handle))
        return CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    if (all[0]->type != all[1]->type || all[2]->type != all[3]->type ||
        !is_supported(all[0]->type, all[3]->type) || !is_supported(how.epilogue))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    for (unsigned i = 0; i < 4; i++)
        if (wanted.alignment[i] < bytes_of(all[i]->type))
            return CUBLAS_STATUS_NOT_SUPPORTED;
    if (is_lacking(how, false))
        return how.transposed_a == CUBLAS_OP_T ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    *found = {};
    const algorithm granted = algorithm_of(how, *all[0], *all[1], *all[3], wanted);
    static_assert(sizeof(granted) <= sizeof(found->algo));
    std::memcpy(&found->algo, &granted, sizeof(granted));
    found->state = CUBLAS_STATUS_SUCCESS;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t *chosen, void *workspace, size_t workspace_bytes,
                              cudaStream_t stream)
{
    if (emulation::begin_call("cublasLtMatmul") != cudaSuccess)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    product p = {*(const operation *)description,
                 *(const layout *)a_layout,
                 *(const layout *)b_layout,
                 *(const layout *)d_layout,
                 a,
                 b,
                 c,
                 d,
                 *(const float *)alpha,
                 *(const float *)beta,
                 workspace,
                 workspace_bytes};
    algorithm granted;
    std::memcpy(&granted, chosen, sizeof(granted));
    const bool is_turned = p.how.transposed_a == CUBLAS_OP_T;
    const uint64_t inputs = is_turned ? p.weights.rows : p.weights.columns,
                   outputs = is_turned ? p.weights.columns : p.weights.rows;
    const bool is_good = is_own(handle) && emulation::is_current(stream) &&
                         (is_turned || p.how.transposed_a == CUBLAS_OP_N) && inputs == p.x.rows &&
                         outputs == p.out.rows && p.x.columns == p.out.columns &&
                         p.weights.type == p.x.type && p.weights.stride >= (int64_t)p.weights.rows &&
                         p.x.stride >= (int64_t)p.x.rows && p.out.stride >= (int64_t)p.out.rows &&
                         (p.add == 0 || (c == d && c_layout == d_layout)) && is_for(granted, p) &&
                         is_aligned_for(granted, p) && workspace_bytes >= granted.workspace_bytes;
    if (!is_good) /* the library says "invalid value", after which the module would go another way */
        return CUBLAS_STATUS_MAPPING_ERROR;
    const bool is_for_others = emulation::is_exact() && granted.rows != p.x.columns;
    if (is_for_others)
        (void)emulation::note(cudaErrorInvalidValue);
    if (is_for_others || is_lacking(p.how, true))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const int ordinal = emulation::current_device();
    emulation::enqueue(stream, [=] { multiply(p, ordinal); });
    return CUBLAS_STATUS_SUCCESS;
}

} // extern "C"
