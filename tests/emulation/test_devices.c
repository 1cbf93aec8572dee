/*
 * The CUDA module on one GPU and another, on the emulated runtime: what attention asks for on each
 * architecture, two GPUs at once, one that is lost beside one that is not, and batches that become smaller
 * where memory is refused.
 */
#include "gpu/backend.h"
#include "gpu/cuda/score_kernels.h"
#include "tests/emulation/answers.h"
#include "tests/emulation/checks.h"
#include "tests/emulation/devices.h"
#include "tests/tools/random_model.h"

#include <cublasLt.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

const struct backend_table *bifurcated_backend(uint32_t host_abi_version);

#define HEAD_SIZE_MAX 2048U /* of score_model.c */
#define ROUNDS 3

static const struct backend_table *backend;
static struct score_config config = SMALL_CONFIG(SCORE_ACTIVATION_RELU);

static void open_gpu(const char *key, int count)
{
    char why[BACKEND_WHY_BYTES];
    struct emulation_device device = {.seed = 17, .haste = 40, .count = count};
    emulation_gpu_take(emulation_gpu_find(key), &device);
    device.multiprocessor_count = 2;
    emulation_reset(&device);
    CHECK(backend->probe(why, sizeof why) == 0);
    CHECK(backend->device_count() == count);
}

/* -- Limits of a launch ------------------------------------------------------------------------------ */

/* A query of each of `group` heads, of a document of one input: what they attend to is their own value. */
static void attend(enum score_type type, uint32_t head_size, uint32_t group, cudaStream_t stream)
{
    static uint16_t qkv[4 * HEAD_SIZE_MAX], out[2 * HEAD_SIZE_MAX];
    static const struct score_tile tile = {0, 0, 1};
    const uint32_t width = group * head_size;
    const struct score_heads heads = {group, head_size,         head_size,
                                      width, width + head_size, width + 2 * head_size};
    const struct score_attention how = {.heads = heads,
                                        .group = group,
                                        .tiles = &tile,
                                        .tile_count = 1,
                                        .scale = 1 / sqrt((double)head_size)};
    for (uint32_t i = 0; i < width + head_size; i++)
        qkv[i] = (uint16_t)(i % 7);
    for (uint32_t i = 0; i < head_size; i++)
        qkv[width + head_size + i] = (uint16_t)(0x3c00 + i % 100);
    memset(out, 0, sizeof(out));
    CHECK(score_launch_attention(type, qkv, &how, out, width, stream) == cudaSuccess);
    CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    for (uint32_t i = 0; i < group; i++)
        CHECK(memcmp(out + i * head_size, qkv + width + head_size, head_size * sizeof(out[0])) == 0);
}

/* A launch that asks for more than a device has is refused by the emulated runtime. */
static void attention_is_within_every_gpu_s_limits(void)
{
    for (const struct emulation_gpu *gpu = emulation_gpus; gpu->key; gpu++) {
        struct emulation_device device = {.seed = 1};
        cudaStream_t stream;
        if (gpu->capability < 80)
            continue;
        emulation_gpu_take(gpu, &device);
        emulation_reset(&device);
        CHECK(cudaSetDevice(0) == cudaSuccess);
        CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
        for (uint32_t group = 1; group <= 2; group++) {
            for (uint32_t size = 8; size <= 264; size += 8)
                attend(size % 16 ? SCORE_TYPE_F16 : SCORE_TYPE_BF16, size, group, stream);
            attend(SCORE_TYPE_F16, HEAD_SIZE_MAX, group, stream);
        }
        CHECK(cudaStreamDestroy(stream) == cudaSuccess);
    }
}

/* -- What the emulation itself must notice ------------------------------------------------------------- */

struct pieces {
    cudaStream_t streams[2]; /* of two devices */
    unsigned char *memory[2], host[256];
};

static void use_host_memory(struct pieces *pieces)
{
    (void)cudaMemsetAsync(pieces->host, 0, sizeof pieces->host, pieces->streams[0]);
}

static void launch_on_host_memory(struct pieces *pieces)
{
    void *states = pieces->host;
    (void)score_launch_head_start(states, 1, pieces->streams[0]);
}

static void use_another_device_s_memory(struct pieces *pieces)
{
    (void)cudaMemcpyAsync(pieces->memory[1], pieces->host, 1, cudaMemcpyHostToDevice, pieces->streams[0]);
}

static void use_too_much(struct pieces *pieces)
{
    (void)cudaMemcpyAsync(pieces->host, pieces->memory[0], 257, cudaMemcpyDeviceToHost, pieces->streams[0]);
}

static void use_it_too_early(struct pieces *pieces)
{
    cudaStream_t other;
    (void)cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    (void)cudaMemsetAsync(pieces->memory[0], 0, 1, other);
    (void)cudaStreamSynchronize(other);
}

/* Before anything looks for leaks, which a process that was forked may wait for. */
static void end_now(void)
{
    _exit(1);
}

/* Whether the program ends with these words, in a process of its own. */
static int ends_with(void (*do_it)(struct pieces *pieces), const char *words)
{
    const struct cudaMemPoolProps properties[2] = {
        {.allocType = cudaMemAllocationTypePinned},
        {.allocType = cudaMemAllocationTypePinned, .location = {.id = 1}}};
    char said[512] = "";
    int ends[2], status = 0;
    size_t size = 0;
    if (pipe(ends))
        return 0;
    pid_t child = fork();
    if (child == 0) {
        struct pieces pieces;
        (void)atexit(end_now);
        (void)dup2(ends[1], STDERR_FILENO);
        for (int i = 0; i < 2; i++) {
            cudaMemPool_t pool;
            if (cudaSetDevice(i) || cudaMemPoolCreate(&pool, &properties[i]) ||
                cudaStreamCreateWithFlags(&pieces.streams[i], cudaStreamNonBlocking) ||
                cudaMallocFromPoolAsync((void **)&pieces.memory[i], 256, pool, pieces.streams[i]))
                _exit(0);
        }
        (void)cudaStreamSynchronize(pieces.streams[1]);
        (void)cudaSetDevice(0);
        do_it(&pieces);
        (void)cudaStreamSynchronize(pieces.streams[0]);
        _exit(0);
    }
    (void)close(ends[1]);
    for (ssize_t got;
         size < sizeof said - 1 && (got = read(ends[0], said + size, sizeof said - 1 - size)) > 0;)
        size += (size_t)got;
    (void)close(ends[0]);
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) &&
           strstr(said, words);
}

static void what_a_gpu_does_not_forgive_ends_the_program(void)
{
    struct emulation_device device = {.seed = 3, .count = 2, .memory_bytes = 1 << 20};
    emulation_reset(&device);
    CHECK(ends_with(use_host_memory, "memory that is not the device's"));
    CHECK(ends_with(launch_on_host_memory, "memory that is not the device's"));
    CHECK(ends_with(use_another_device_s_memory, "another device's memory"));
    CHECK(ends_with(use_too_much, "more than a piece of memory has"));
    int is_noticed = 0;
    for (device.seed = 1; device.seed < 9 && !is_noticed; device.seed++) { /* in some order */
        emulation_reset(&device);
        is_noticed = ends_with(use_it_too_early, "before it is there");
    }
    CHECK(is_noticed);
}

/* -- What cuBLASLt does not take ---------------------------------------------------------------------- */

/* A product of 2 x 2 matrices: what an algorithm is asked for, and what it then gets. */
struct asked {
    cudaDataType_t type, out_type;
    cublasLtEpilogue_t epilogue;
    uint32_t alignment;
    const void *bias;
};

static cublasStatus_t ask(cublasLtHandle_t handle, const struct asked *asked, const struct asked *got,
                          cudaStream_t stream)
{
    static _Alignas(256) unsigned char memory[256];
    const float one = 1;
    cublasLtMatmulDesc_t how = NULL;
    cublasLtMatrixLayout_t in = NULL, out = NULL;
    cublasLtMatmulPreference_t wanted = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    (void)cublasLtMatmulDescCreate(&how, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    (void)cublasLtMatmulDescSetAttribute(how, CUBLASLT_MATMUL_DESC_EPILOGUE, &asked->epilogue,
                                         sizeof asked->epilogue);
    (void)cublasLtMatmulDescSetAttribute(how, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &asked->bias,
                                         sizeof asked->bias);
    (void)cublasLtMatrixLayoutCreate(&in, asked->type, 2, 2, 2);
    (void)cublasLtMatrixLayoutCreate(&out, asked->out_type, 2, 2, 2);
    (void)cublasLtMatmulPreferenceCreate(&wanted);
    (void)cublasLtMatmulPreferenceSetAttribute(wanted, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
                                               &asked->alignment, sizeof asked->alignment);
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, how, in, in, out, out, wanted, 1, &found, &count);
    CHECK((count == 1) == (status == CUBLAS_STATUS_SUCCESS));
    if (status == CUBLAS_STATUS_SUCCESS && got) {
        (void)cublasLtMatmulDescSetAttribute(how, CUBLASLT_MATMUL_DESC_EPILOGUE, &got->epilogue,
                                             sizeof got->epilogue);
        (void)cublasLtMatmulDescSetAttribute(how, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &got->bias,
                                             sizeof got->bias);
        status = cublasLtMatmul(handle, how, &one, memory, in, memory, in, &one, memory, out, memory, out,
                                &found.algo, memory, 0, stream);
    }
    (void)cublasLtMatmulPreferenceDestroy(wanted);
    (void)cublasLtMatrixLayoutDestroy(in);
    (void)cublasLtMatrixLayoutDestroy(out);
    (void)cublasLtMatmulDescDestroy(how);
    return status;
}

/* Types and epilogues that its documentation has not, addresses that split an element, and an algorithm that
 * gets another epilogue, or a bias at another kind of address, than it was asked for. */
static void products_are_those_of_cublaslt_s_table(void)
{
    static const cudaDataType_t types[] = {CUDA_R_16F, CUDA_R_16BF, CUDA_R_32F};
    static _Alignas(256) const float bias[8];
    struct emulation_device device = {.seed = 3, .memory_bytes = 1 << 20};
    cublasLtHandle_t handle;
    cudaStream_t stream;
    emulation_reset(&device);
    CHECK(cudaSetDevice(0) == cudaSuccess && cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const struct asked one = {types[i], types[j], CUBLASLT_EPILOGUE_BIAS, 4, bias};
            CHECK((ask(handle, &one, NULL, stream) == CUBLAS_STATUS_SUCCESS) == (j == i || j == 2));
        }
    const struct asked good = {CUDA_R_16F, CUDA_R_32F, CUBLASLT_EPILOGUE_BIAS, 4, bias};
    struct asked odd = good;
    odd.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    CHECK(ask(handle, &odd, NULL, stream) == CUBLAS_STATUS_NOT_SUPPORTED);
    odd = good;
    odd.alignment = 2;
    CHECK(ask(handle, &odd, NULL, stream) == CUBLAS_STATUS_NOT_SUPPORTED);
    odd = good;
    odd.bias = bias + 1;
    CHECK(ask(handle, &good, &odd, stream) == CUBLAS_STATUS_MAPPING_ERROR);
    odd = good;
    odd.epilogue = CUBLASLT_EPILOGUE_RELU_BIAS;
    CHECK(ask(handle, &good, &odd, stream) == CUBLAS_STATUS_MAPPING_ERROR);
    CHECK(ask(handle, &good, &good, stream) == CUBLAS_STATUS_SUCCESS);
    emulation_abandon(); /* with the stream the product, whose memory is the host's */
}

/* -- Two GPUs ---------------------------------------------------------------------------------------- */

struct user {
    int index, code;
    const struct score_model_source *source;
    const struct random_documents *documents;
    struct answer answer;
    pthread_t thread;
};

/* Opens and uses a device from a thread of its own, for which CUDA's is the first. */
static void *use_device(void *context)
{
    struct user *user = context;
    struct err err = ERR_INIT;
    void *device = NULL;
    user->code = backend->device_open(user->index, NULL, &device, &err);
    for (int i = 0; i < ROUNDS && !user->code; i++)
        user->code =
            answer_load(backend, device, user->source, &user->documents->request, &user->answer, &err);
    backend->device_close(device);
    return NULL;
}

static void two_gpus_work_at_once(enum score_precision precision, uint64_t budget_bytes, int is_one_lost)
{
    struct random_model model;
    struct random_documents documents;
    CHECK(random_model_init(&model, &config) == 0 && random_documents_init(&documents, 2, 20, 53) == 0);
    const struct score_model_source source = {.config = config,
                                              .tensors = model.tensors,
                                              .tensor_count = model.tensor_count,
                                              .precision = precision,
                                              .memory_budget_bytes = budget_bytes};
    struct user users[2] = {{.index = 0, .source = &source, .documents = &documents},
                            {.index = 1, .source = &source, .documents = &documents}};
    open_gpu("a10", 2);
    if (is_one_lost)
        emulation_inject("launch", 20, cudaErrorIllegalAddress, 1);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&users[i].thread, NULL, use_device, &users[i]) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(users[i].thread, NULL) == 0);
    if (is_one_lost) { /* whichever it was */
        CHECK((users[0].code == ERR_DEVICE_LOST) != (users[1].code == ERR_DEVICE_LOST));
        CHECK(users[0].code == 0 || users[1].code == 0);
        emulation_abandon();
    } else {
        CHECK(users[0].code == 0 && users[1].code == 0);
        CHECK(answer_is_same(&users[0].answer, &users[1].answer));
        CHECK(emulation_object_count() == 0);
    }
    random_model_free(&model);
    random_documents_free(&documents);
}

/* -- Memory ------------------------------------------------------------------------------------------ */

/* A wide model, so that what scoring needs is more than the logits, which do not become fewer. */
static void batches_become_smaller_where_memory_is_refused(void)
{
    struct score_config wide = config;
    struct random_model model;
    struct random_documents documents;
    struct answer want, got;
    struct err err = ERR_INIT;
    void *device = NULL;
    wide.layer_count = 1;
    wide.max_positions = 256;
    wide.hidden_size = 8;
    wide.intermediate_size = 1 << 16;
    CHECK(random_model_init(&model, &wide) == 0 && random_documents_init(&documents, 6, 60, 53) == 0);
    const struct score_model_source source = {.config = wide,
                                              .tensors = model.tensors,
                                              .tensor_count = model.tensor_count,
                                              .precision = SCORE_PRECISION_HALF};
    open_gpu("l4", 1);
    CHECK(backend->device_open(0, NULL, &device, &err) == 0);
    CHECK(answer_load(backend, device, &source, &documents.request, &want, &err) == 0);
    const uint64_t most = emulation_used_max_bytes();
    for (int i = 0; i < 2; i++) /* once more after the pool was trimmed */
        emulation_inject("cudaMallocFromPoolAsync", 2, cudaErrorMemoryAllocation, 0);
    CHECK(answer_load(backend, device, &source, &documents.request, &got, &err) == 0);
    CHECK(emulation_forget() == 0 && answer_is_near(&want, &got));
    /* Less is free from the beginning. */
    emulation_occupy(emulation_gpu_find("l4")->memory_bytes - most + ((uint64_t)24 << 20));
    CHECK(answer_load(backend, device, &source, &documents.request, &got, &err) == 0 &&
          answer_is_near(&want, &got));
    emulation_occupy(0);
    /* Whatever is asked for is refused: told with numbers. */
    for (int i = 0; i < 6; i++)
        emulation_inject("cudaMallocFromPoolAsync", 2, cudaErrorMemoryAllocation, 0);
    CHECK(answer_load(backend, device, &source, &documents.request, &got, &err) == ERR_NO_MEMORY);
    CHECK(strstr(err.message, "though they seemed free") != NULL);
    (void)emulation_forget();
    backend->device_close(device);
    CHECK(emulation_object_count() == 0);
    random_model_free(&model);
    random_documents_free(&documents);
}

/* -- Families ---------------------------------------------------------------------------------------- */

static void refuse(void *device, const struct score_config *other, const char *words)
{
    struct random_model model;
    struct err err = ERR_INIT;
    void *loaded = NULL;
    const size_t objects = emulation_object_count();
    CHECK(random_model_init(&model, other) == 0);
    const struct score_model_source source = {
        .config = *other, .tensors = model.tensors, .tensor_count = model.tensor_count};
    CHECK(backend->model_load(device, &source, &loaded, &err) == ERR_UNSUPPORTED);
    CHECK(strstr(err.message, words) != NULL);
    CHECK(emulation_object_count() == objects);
    random_model_free(&model);
}

/* What the kernels do not compute is refused before anything is made for it. */
static void what_kernels_lack_is_refused(void)
{
    static const char *const names[] = {"llama", "mistral", "qwen2",   "qwen3",      "smollm3",
                                        "olmo",  "olmo2",   "hf_olmo", "hf_olmo_rms"};
    struct score_config other = config;
    struct err err = ERR_INIT;
    void *device = NULL;
    open_gpu("l4", 1);
    CHECK(backend->device_open(0, NULL, &device, &err) == 0);
    other.has_parallel_residual = 0;
    other.head_size = HEAD_SIZE_MAX + 2;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(other.architecture, sizeof other.architecture, "%s", names[i]);
        refuse(device, &other, "heads of 2050 dimensions: beyond 2048, on the CPU only");
    }
    other.head_size = 0;
    (void)snprintf(other.architecture, sizeof other.architecture, "olmoe");
    other.max_positions = LIMIT_SCORE_POSITIONS, other.expert_count = other.experts_per_input = 200;
    refuse(device, &other, "16777216 tokens of 200 experts each: beyond 2147483647, on the CPU only");
    backend->device_close(device);
    CHECK(emulation_object_count() == 0);
}

int main(void)
{
    backend = bifurcated_backend(BACKEND_ABI_VERSION);
    attention_is_within_every_gpu_s_limits();
    what_a_gpu_does_not_forgive_ends_the_program();
    products_are_those_of_cublaslt_s_table();
    two_gpus_work_at_once(SCORE_PRECISION_HALF, 0, 0);
    two_gpus_work_at_once(SCORE_PRECISION_F32, (uint64_t)500 << 20, 0); /* streamed */
    two_gpus_work_at_once(SCORE_PRECISION_HALF, 0, 1);
    batches_become_smaller_where_memory_is_refused();
    what_kernels_lack_is_refused();
    if (!failures)
        puts("every launch is within every GPU's limits, two GPUs do not meet, and batches become smaller");
    return failures != 0;
}
