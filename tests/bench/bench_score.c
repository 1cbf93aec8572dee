/*
 * bench_score SIZE COUNT THREADS [CONTEXT]: scores COUNT documents with a random model of shape SIZE
 * (random_model.h) each time a line comes in, and prints the seconds; driven by tests/bench/score.py beside
 * its peers. With CONTEXT, documents of so many tokens, of which the second half is scored. "blas" prints the
 * GFLOP/s of OpenBLAS's sgemm with the same number of threads instead, "info" what a run consists of.
 */
#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "gpu/cpu/gemm.h"
#include "gpu/cpu/score.h"
#include "tests/tools/random_model.h"

#include <cblas.h>
#include <inttypes.h>
#include <time.h>

#define BLAS_SIZE 1536

static void multiply(void *context, int index)
{
    float *memory = (float *)context + (size_t)index * 3 * BLAS_SIZE * BLAS_SIZE;
    const float *a = memory, *b = memory + BLAS_SIZE * BLAS_SIZE;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, BLAS_SIZE, BLAS_SIZE, BLAS_SIZE, 1, a, BLAS_SIZE, b,
                BLAS_SIZE, 0, memory + 2 * (size_t)BLAS_SIZE * BLAS_SIZE, BLAS_SIZE);
}

/* The best of a few products, one per thread at the same time, in GFLOP/s of all. */
static double blas_peak(struct cpu_threads *threads)
{
    size_t count = (size_t)cpu_threads_count(threads);
    float *memory = malloc(count * 3 * BLAS_SIZE * BLAS_SIZE * sizeof(float));
    double best = 0;
    for (size_t i = 0; memory && i < count * 3 * BLAS_SIZE * BLAS_SIZE; i++)
        memory[i] = (float)(random_at(1, i) >> 40) / 16777216.0F - 0.5F;
    for (int i = 0; memory && i < 5; i++) {
        double begin = clock_monotonic_s();
        cpu_threads_run(threads, multiply, memory);
        double rate =
            (double)count * 2.0 * BLAS_SIZE * BLAS_SIZE * BLAS_SIZE / (clock_monotonic_s() - begin) / 1e9;
        best = rate > best ? rate : best;
    }
    free(memory);
    return best;
}

/* COUNT documents of `context` tokens; the second half of each is scored. */
static int chunks_init(struct random_documents *chunks, size_t count, uint32_t context, uint32_t vocabulary)
{
    if (random_documents_init(chunks, count, 0, vocabulary))
        return -1;
    uint32_t *tokens = realloc(chunks->tokens, count * context * sizeof *tokens);
    if (!tokens)
        return -1;
    chunks->tokens = tokens;
    chunks->request.tokens = tokens;
    chunks->request.token_count = count * context;
    for (size_t i = 0; i < count * context; i++)
        tokens[i] = (uint32_t)(random_at(random_seed("tokens"), i) % vocabulary);
    for (size_t i = 0; i < count; i++) {
        chunks->begin[i] = i * context;
        chunks->length[i] = context;
        chunks->target_first[i] = context / 2 + 1;
        chunks->target_count[i] = context - context / 2 - 1;
    }
    return 0;
}

static double perplexity_of(const struct score_result *result)
{
    double sum = 0;
    for (size_t i = 0; i < result->target_total; i++)
        sum -= result->logprobs[i];
    return exp(sum / (double)result->target_total);
}

/* Processor time of all threads. */
static double processor_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct score_config config;
    struct random_model random;
    struct random_documents documents;
    struct cpu_threads *threads = NULL;
    struct cpu_score_model *model = NULL;
    struct score_result result;
    char line[64];
    size_t total = 0;
    if (argc < 4 || random_model_config(argv[1], &config) || random_model_init(&random, &config))
        return 2;
    size_t count = (size_t)strtoull(argv[2], NULL, 10);
    const uint32_t vocabulary = random_model_tokens(&config);
    if (argc > 4 ? chunks_init(&documents, count, (uint32_t)strtoul(argv[4], NULL, 10), vocabulary)
                 : random_documents_init(&documents, count, 0, vocabulary))
        return 2;
    struct score_model_source source = {
        .config = config, .tensors = random.tensors, .tensor_count = random.tensor_count};
    double begin = clock_monotonic_s();
    if (cpu_threads_new((int)strtol(argv[3], NULL, 10), &threads, &err) ||
        cpu_score_load(threads, cpu_isa_best(), &source, &model, &err) ||
        score_request_check(&config, &documents.request, &total, &err) ||
        score_result_init(&result, total, &err)) {
        (void)fprintf(stderr, "bench_score: %s\n", err.message);
        return 1;
    }
    double load = clock_monotonic_s() - begin;
    while (fgets(line, sizeof line, stdin)) {
        double begin_processor_s = processor_s();
        begin = clock_monotonic_s();
        if (strncmp(line, "blas", 4) == 0) {
            (void)printf("%.1f\n", blas_peak(threads));
        } else if (strncmp(line, "info", 4) == 0) {
            (void)printf(
                "{\"gflop\": %.2f, \"inputs\": %" PRIu64
                ", \"memory_mib\": %.1f, \"load_s\": %.3f, \"engine\": \"%s\", \"perplexity\": %.6g}\n",
                score_flops(&config, &documents.request) / 1e9, result.input_count,
                (double)result.memory_bytes / (double)MIB, load, gemm_engine_name(gemm_start(cpu_isa_best())),
                perplexity_of(&result));
        } else if (cpu_score_run(model, &documents.request, &result, &err)) {
            (void)fprintf(stderr, "bench_score: %s\n", err.message);
            return 1;
        } else {
            (void)printf("%.6f %.6f\n", clock_monotonic_s() - begin, processor_s() - begin_processor_s);
        }
        (void)fflush(stdout);
    }
    cpu_score_free(model);
    cpu_threads_free(threads);
    score_result_free(&result);
    random_documents_free(&documents);
    random_model_free(&random);
    return 0;
}
