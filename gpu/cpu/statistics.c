#include "gpu/cpu/statistics.h"

#include "gpu/cpu/statistics_plan.h"

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

int cpu_statistics(struct cpu_threads *threads, enum cpu_isa isa, const struct statistics_request *request,
                   struct statistics_result *result, struct err *err)
{
    if (result->columns != request->columns)
        return err_set(err, ERR_INVALID, "the result has room for another number of columns");
    return measure(threads, isa, request, result, err);
}
