#include "gpu/cpu/statistics.h"

#include "gpu/cpu/statistics_plan.h"

#include <stdlib.h>
#include <string.h>

static int measure(struct cpu_threads *threads, enum cpu_isa isa, const struct statistics_request *request,
                   struct statistics_result *result, struct err *err)
{
    /* Tables of a thread that would hardly count anything cost more than they save. */
    uint64_t useful = 1 + request->rows * request->columns / STATISTICS_CODES;
    int count = cpu_threads_count(threads);
    int worker_count = useful < (uint64_t)count ? (int)useful : count;
    struct statistics_plan plan;
    int code =
        statistics_plan_init(&plan, request, statistics_kernels_of(isa, request->dtype), worker_count, err);
    if (code)
        goto out;
    cpu_threads_run(threads, statistics_pass_first, &plan);
    statistics_reduce_first(&plan, result);
    cpu_threads_run(threads, statistics_pass_second, &plan);
    statistics_reduce_second(&plan, result);
out:
    statistics_plan_free(&plan);
    return code;
}

/* A copy of a float64 matrix as float32, rounded to nearest even; NULL without memory. */
static float *narrow(const void *data, uint64_t elements)
{
    if (elements > SIZE_MAX / sizeof(float))
        return NULL;
    float *copy = malloc((size_t)elements * sizeof(float));
    for (uint64_t i = 0; copy && i < elements; i++) {
        double value;
        memcpy(&value, (const unsigned char *)data + 8 * i, sizeof(value));
        copy[i] = (float)value;
    }
    return copy;
}

static int measure_f64(struct cpu_threads *threads, enum cpu_isa isa,
                       const struct statistics_request *request, struct statistics_result *result,
                       struct err *err)
{
    uint64_t elements = request->rows * request->columns;
    struct statistics_request narrowed = *request;
    float *copies[1 + STATISTICS_REFERENCES_MAX] = {NULL};
    int code = 0;
    narrowed.dtype = TENSOR_DTYPE_F32;
    for (int i = 0; i <= request->reference_count && !code; i++) {
        copies[i] = narrow(i ? request->references[i - 1] : request->data, elements);
        if (!copies[i])
            code = err_set(err, ERR_NO_MEMORY, "no memory for a float32 copy of the tensor");
        else if (i)
            narrowed.references[i - 1] = copies[i];
        else
            narrowed.data = copies[i];
    }
    if (!code)
        code = measure(threads, isa, &narrowed, result, err);
    for (int i = 0; i <= STATISTICS_REFERENCES_MAX; i++)
        free(copies[i]);
    return code;
}

int cpu_statistics(struct cpu_threads *threads, enum cpu_isa isa, const struct statistics_request *request,
                   struct statistics_result *result, struct err *err)
{
    if (result->columns != request->columns)
        return err_set(err, ERR_INVALID, "the result has room for another number of columns");
    if (request->dtype == TENSOR_DTYPE_F64)
        return measure_f64(threads, isa, request, result, err);
    return measure(threads, isa, request, result, err);
}
