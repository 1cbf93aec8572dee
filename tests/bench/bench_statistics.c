/*
 * Times the passes of tensor statistics over raw files beside a plain read of the same bytes:
 *
 *   bench_statistics DTYPE ROWS COLUMNS TOKEN_ROWS THREADS REPEATS FILE [REFERENCE [REFERENCE]]
 *
 * Prints one line of JSON: the best of the repeats in seconds, and what they are worth.
 * tests/bench/statistics.py runs it beside numpy.
 */
#include "gpu/cpu/statistics.h"
#include "tests/tools/measurement.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct reading {
    const char *files[1 + STATISTICS_REFERENCES_MAX];
    size_t size_bytes;
    int file_count, thread_count;
    uint64_t *sums; /* per thread, so that nothing is optimised away */
};

/* Each thread adds up its share of every file, 64 bits at a time. */
static void read_all(void *context, int index)
{
    struct reading *reading = context;
    uint64_t sums[8] = {0};
    for (int i = 0; i < reading->file_count; i++) {
        size_t words = reading->size_bytes / 64, each = words / (size_t)reading->thread_count;
        const char *at = reading->files[i] + 64 * each * (size_t)index;
        for (size_t k = 0; k < each; k++, at += 64) {
            uint64_t line[8];
            memcpy(line, at, sizeof(line));
            for (int word = 0; word < 8; word++)
                sums[word] += line[word];
        }
    }
    for (int word = 1; word < 8; word++)
        sums[0] += sums[word];
    reading->sums[index] = sums[0];
}

/* Maps a file of exactly that size; NULL with a message otherwise. */
static const char *map_file(const char *path, uint64_t size_bytes, struct err *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = file >= 0 ? lseek(file, 0, SEEK_END) : -1;
    void *data = MAP_FAILED;
    if (end >= 0 && (uint64_t)end == size_bytes)
        data = mmap(NULL, (size_t)size_bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (file >= 0)
        (void)close(file);
    if (data != MAP_FAILED)
        return data;
    (void)err_set(err, ERR_IO, "%s cannot be mapped, or has another size", path);
    return NULL;
}

/* Of this program alone: getrusage would tell that of the program which started it, if that was larger. */
static long peak_memory_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long peak = 0;
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = 1024 * strtol(line + 6, NULL, 10);
    }
    if (file)
        (void)fclose(file);
    return peak;
}

struct times {
    double pass_s, read_s, summary_s;
};

static int run(const struct statistics_request *request, struct reading *reading, struct cpu_threads *threads,
               int repeats, struct times *times, struct err *err)
{
    struct statistics_result result;
    struct measurement measurement;
    int code = statistics_result_init(&result, request->columns, err);
    *times = (struct times){1e30, 1e30, 1e30};
    for (int i = 0; i < repeats && !code; i++) {
        double start = now_s();
        cpu_threads_run(threads, read_all, reading);
        double read = now_s();
        code = cpu_statistics(threads, cpu_isa_best(), request, &result, err);
        double pass = now_s();
        if (!code)
            code = measurement_make(request, &result, &measurement, err);
        double summary = now_s();
        times->read_s = read - start < times->read_s ? read - start : times->read_s;
        times->pass_s = pass - read < times->pass_s ? pass - read : times->pass_s;
        times->summary_s = summary - pass < times->summary_s ? summary - pass : times->summary_s;
    }
    statistics_result_free(&result);
    return code;
}

static void print_times(const struct times *times, const struct statistics_request *request,
                        uint64_t size_bytes, int thread_count, long own_memory_bytes)
{
    double elements = (double)request->rows * (double)request->columns;
    double bytes = (double)size_bytes * (1 + request->reference_count);
    (void)printf(
        "{\"isa\": \"%s\", \"threads\": %d, \"pass_s\": %.6f, \"read_s\": %.6f, \"summary_s\": %.6f, "
        "\"ns_per_element\": %.3f, \"pass_gb_per_s\": %.3f, \"read_gb_per_s\": %.3f, "
        "\"share_of_read\": %.4f, \"own_memory_bytes\": %ld}\n",
        cpu_isa_name(cpu_isa_best()), thread_count, times->pass_s, times->read_s, times->summary_s,
        times->pass_s * 1e9 / elements, bytes / times->pass_s * 1e-9, bytes / times->read_s * 1e-9,
        times->read_s / times->pass_s, own_memory_bytes);
}

int main(int argc, char **argv)
{
    struct statistics_request request = {0};
    struct reading reading = {0};
    struct cpu_threads *threads = NULL;
    struct times times = {0};
    struct err err = ERR_INIT;
    uint64_t sums[CPU_THREADS_MAX] = {0}, size_bytes = 0;
    if (argc < 8 || argc > 8 + STATISTICS_REFERENCES_MAX) {
        (void)fprintf(stderr, "usage: bench_statistics DTYPE ROWS COLUMNS TOKEN_ROWS THREADS REPEATS FILE "
                              "[REFERENCE [REFERENCE]]\n");
        return 2;
    }
    request.rows = strtoull(argv[2], NULL, 10);
    request.columns = strtoull(argv[3], NULL, 10);
    request.token_rows = strtoull(argv[4], NULL, 10);
    request.reference_count = argc - 8;
    struct tensor_shape shape = {.ndim = 2, .dim = {request.rows, request.columns}};
    int code = tensor_dtype_parse(argv[1], &request.dtype, &err);
    if (!code)
        code = tensor_size_bytes(request.dtype, &shape, &size_bytes, &err);
    reading.file_count = 1 + request.reference_count;
    reading.size_bytes = (size_t)size_bytes;
    reading.sums = sums;
    for (int i = 0; i < reading.file_count && !code; i++) {
        reading.files[i] = map_file(argv[7 + i], size_bytes, &err);
        code = reading.files[i] ? 0 : err.code;
    }
    request.data = reading.files[0];
    for (int i = 0; i < request.reference_count; i++)
        request.references[i] = reading.files[i + 1];
    if (!code)
        code = statistics_request_check(&request, &err);
    if (!code)
        code = cpu_threads_new((int)strtol(argv[5], NULL, 10), &threads, &err);
    long before = peak_memory_bytes();
    if (!code) {
        reading.thread_count = cpu_threads_count(threads);
        code = run(&request, &reading, threads, (int)strtol(argv[6], NULL, 10), &times, &err);
    }
    if (code)
        (void)fprintf(stderr, "%s\n", err.message);
    else
        print_times(&times, &request, size_bytes, reading.thread_count, peak_memory_bytes() - before);
    cpu_threads_free(threads);
    return code ? 1 : 0;
}
