#include "gpu/cuda/statistics.h"

#include "daemon/base/checked.h"
#include "gpu/cuda/staging.h"
#include "gpu/cuda/statistics_result.h"
#include "gpu/cuda/statistics_tensors.h"

#include <stdlib.h>
#include <string.h>

/* The first pass starts when the whole tensor has arrived, the second when its references have. Working on
 * the first rows while the last ones travel would hide little: the bus takes about fifty times as long as the
 * kernels. Where they do not fit, each pass goes over the units of the tensor (statistics_tensors.h), which
 * travel once for each pass. */

enum { SUMS_MAX = 16 };

/* Everything that a measurement holds. */
struct measurement {
    struct cuda_device *device;
    const struct statistics_request *request;
    struct statistics_grid grid;
    struct statistics_tensors tensors;
    struct {
        void *memory;
        size_t size_bytes;
    } sums[SUMS_MAX]; /* on the device */
    int sums_count;
    size_t sums_bytes; /* of all, whether they were had or not */
    struct statistics_first first;
    struct statistics_second second;
    struct statistics_pairs pairs;
    double *high, *low, *joined; /* on the device */
    unsigned long long *not_finite;
    /* On the host: */
    struct statistics_returned returned;
    struct statistics_sums *unit_partials;   /* as returned.partials, of one unit */
    struct statistics_pair_sums *unit_pairs; /* as returned.pairs */
    struct statistics_centring centring;
};

static void lay_grid(struct measurement *m)
{
    const struct statistics_request *request = m->request;
    size_t element_bytes = request->dtype == TENSOR_DTYPE_F16 || request->dtype == TENSOR_DTYPE_BF16 ? 2 : 4;
    m->grid = (struct statistics_grid){.kind = request->dtype == TENSOR_DTYPE_F16    ? STATISTICS_KIND_F16
                                               : request->dtype == TENSOR_DTYPE_BF16 ? STATISTICS_KIND_BF16
                                                                                     : STATISTICS_KIND_F32,
                                       .rows = request->rows,
                                       .columns = request->columns,
                                       .token_rows = request->token_rows,
                                       .pitch_bytes = (request->columns * element_bytes + 15) / 16 * 16};
    statistics_grid_cut(&m->grid, m->device->multiprocessor_count, m->device->shared_bytes_max);
}

static size_t partial_count(const struct measurement *m)
{
    return (size_t)m->grid.block_count * STATISTICS_SEGMENTS * 2;
}

static size_t pair_count(const struct measurement *m)
{
    return (size_t)m->grid.block_count * STATISTICS_SEGMENTS;
}

/* Memory of the device for a kind of sums; ret_memory is a pointer to the pointer. */
struct wanted {
    size_t size_bytes;
    void *ret_memory;
};

/* Zeroed. */
static int take_all(struct measurement *m, const struct wanted *wanted, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        m->sums_bytes += device_rounded(wanted[i].size_bytes);
    for (size_t i = 0; i < count; i++) {
        const size_t size_bytes = wanted[i].size_bytes;
        void *memory = NULL;
        int code = device_take(m->device, size_bytes, &memory, err);
        if (code)
            return code;
        m->sums[m->sums_count].memory = memory;
        m->sums[m->sums_count++].size_bytes = size_bytes;
        memcpy(wanted[i].ret_memory, &memory, sizeof(memory));
        if ((code = CUDA_CHECK(m->device, cudaMemsetAsync(memory, 0, size_bytes, m->device->stream), err)))
            return code;
    }
    return 0;
}

static int take_sums(struct measurement *m, struct err *err)
{
    const struct statistics_grid *grid = &m->grid;
    const struct statistics_seen nothing[STATISTICS_SEGMENTS] = {{0, UINT32_MAX, 0}, {0, UINT32_MAX, 0}};
    size_t columns = (size_t)grid->columns, parts = (size_t)(grid->parts[0] + grid->parts[1]);
    size_t counts = STATISTICS_SEGMENTS * STATISTICS_CODES * sizeof(unsigned long long), sums = 0;
    if (checked_mul_size(3 * STATISTICS_TEAMS * parts * sizeof(double), columns, &sums))
        return err_set(err, ERR_LIMIT, "a tensor of this size is too large for statistics");
    const struct wanted wanted[] = {
        {sums, &m->first.sums},
        {parts * columns * sizeof(uint32_t), &m->first.not_finite},
        {counts, &m->first.counts},
        {counts, &m->second.counts},
        {partial_count(m) * sizeof(struct statistics_sums), &m->second.partials},
        {pair_count(m) * sizeof(struct statistics_pair_sums), &m->pairs.partials},
        {sizeof(nothing), &m->first.seen},
        {2 * columns * sizeof(double), &m->high},
        {2 * columns * sizeof(double), &m->low},
        {2 * columns * sizeof(*m->not_finite), &m->not_finite},
        {6 * columns * sizeof(double), &m->joined},
        {2 * columns * sizeof(double), &m->second.means},
        {2 * columns * sizeof(float), &m->second.centres},
    };
    _Static_assert(sizeof(wanted) / sizeof(wanted[0]) <= SUMS_MAX, "room for every kind of sums");
    int code = take_all(m, wanted, sizeof(wanted) / sizeof(wanted[0]), err);
    if (code)
        return code;
    m->second.sums = m->first.sums; /* the first pass is done with them */
    return staging_copy(m->device, m->device->stream, m->first.seen, nothing, sizeof(nothing), err);
}

static int take_host(struct measurement *m, struct err *err)
{
    size_t columns = (size_t)m->grid.columns;
    struct statistics_returned *returned = &m->returned;
    returned->counts = calloc(STATISTICS_SEGMENTS * STATISTICS_CODES, sizeof(*returned->counts));
    returned->centred_counts = calloc(STATISTICS_SEGMENTS * STATISTICS_CODES, sizeof(*returned->counts));
    returned->partials = calloc(partial_count(m), sizeof(*returned->partials));
    returned->pairs = calloc(pair_count(m), sizeof(*returned->pairs));
    m->unit_partials = calloc(partial_count(m), sizeof(*m->unit_partials));
    m->unit_pairs = calloc(pair_count(m), sizeof(*m->unit_pairs));
    returned->high = calloc(2 * columns, sizeof(double));
    returned->low = calloc(2 * columns, sizeof(double));
    returned->not_finite = calloc(2 * columns, sizeof(*returned->not_finite));
    returned->central = calloc(6 * columns, sizeof(double));
    m->centring.means = calloc(2 * columns, sizeof(double));
    m->centring.centres = calloc(2 * columns, sizeof(float));
    if (!returned->counts || !returned->centred_counts || !returned->partials || !returned->pairs ||
        !m->unit_partials || !m->unit_pairs || !returned->high || !returned->low || !returned->not_finite ||
        !returned->central || !m->centring.means || !m->centring.centres)
        return err_set(err, ERR_NO_MEMORY, "no memory for the sums of %zu columns", columns);
    return 0;
}

static void measurement_free(struct measurement *m)
{
    statistics_tensors_drop(&m->tensors);
    for (int i = 0; i < m->sums_count; i++)
        device_drop(m->device, m->sums[i].memory, m->sums[i].size_bytes);
    free(m->returned.counts);
    free(m->returned.centred_counts);
    free(m->returned.partials);
    free(m->returned.pairs);
    free(m->unit_partials);
    free(m->unit_pairs);
    free(m->returned.high);
    free(m->returned.low);
    free(m->returned.not_finite);
    free(m->returned.central);
    free(m->centring.means);
    free(m->centring.centres);
}

/* Copies results back; the copy is complete after device_wait. */
static int fetch(struct measurement *m, void *to, const void *from, size_t size_bytes, struct err *err)
{
    return CUDA_CHECK(m->device,
                      cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDeviceToHost, m->device->stream), err);
}

static int run_first(struct measurement *m, struct err *err)
{
    struct cuda_device *device = m->device;
    struct statistics_first pass = m->first;
    struct statistics_unit unit;
    int code;
    pass.data = m->tensors.each[0];
    for (uint64_t i = 0; i < m->tensors.unit_count; i++) {
        statistics_tensors_lay_unit(&m->tensors, i, &unit);
        pass.sums = m->first.sums + unit.part * m->grid.columns;
        pass.not_finite = m->first.not_finite + unit.part * m->grid.columns;
        if ((code = statistics_tensors_send(&m->tensors, 0, &unit, err)) ||
            (code = CUDA_CHECK(device, statistics_launch_first(&unit.grid, &pass, device->stream), err)))
            return code;
    }
    return CUDA_CHECK(device,
                      statistics_launch_join_first(&m->grid, m->first.sums, m->first.not_finite, m->high,
                                                   m->low, m->not_finite, device->stream),
                      err);
}

static int send_references(struct measurement *m, const struct statistics_unit *unit, struct err *err)
{
    int code = 0;
    for (int i = 0; i < m->request->reference_count && !code; i++)
        code = statistics_tensors_send(&m->tensors, 1 + i, unit, err);
    return code;
}

static int fetch_first(struct measurement *m, struct err *err)
{
    struct statistics_returned *returned = &m->returned;
    size_t columns = (size_t)m->grid.columns;
    size_t counts = STATISTICS_SEGMENTS * STATISTICS_CODES * sizeof(*returned->counts);
    int code;
    if ((code = fetch(m, returned->counts, m->first.counts, counts, err)) ||
        (code = fetch(m, returned->seen, m->first.seen, sizeof(returned->seen), err)) ||
        (code = fetch(m, returned->high, m->high, 2 * columns * sizeof(double), err)) ||
        (code = fetch(m, returned->low, m->low, 2 * columns * sizeof(double), err)) ||
        (code = fetch(m, returned->not_finite, m->not_finite, 2 * columns * sizeof(*m->not_finite), err)))
        return code;
    return device_wait(m->device, err);
}

/* Adds what the blocks have of a unit to what they have of others, and clears it for the next. */
static int add_partials(struct measurement *m, struct err *err)
{
    const size_t size_bytes = partial_count(m) * sizeof(*m->unit_partials);
    int code;
    if ((code = fetch(m, m->unit_partials, m->second.partials, size_bytes, err)) ||
        (code = CUDA_CHECK(m->device, cudaMemsetAsync(m->second.partials, 0, size_bytes, m->device->stream),
                           err)) ||
        (code = device_wait(m->device, err)))
        return code;
    for (size_t i = 0; i < partial_count(m); i++) {
        m->returned.partials[i].squared += m->unit_partials[i].squared;
        m->returned.partials[i].norm += m->unit_partials[i].norm;
        m->returned.partials[i].reference_norm += m->unit_partials[i].reference_norm;
    }
    return 0;
}

static int run_second(struct measurement *m, struct err *err)
{
    struct cuda_device *device = m->device;
    struct statistics_second pass = m->second;
    struct statistics_unit unit;
    const int is_whole = m->tensors.is_whole;
    int code;
    pass.data = m->tensors.each[0];
    for (int i = 0; i < pass.reference_count; i++)
        pass.references[i] = m->tensors.each[1 + i];
    memcpy(pass.scales, m->centring.scales, sizeof(pass.scales));
    for (uint64_t i = 0; i < m->tensors.unit_count; i++) {
        statistics_tensors_lay_unit(&m->tensors, i, &unit);
        pass.sums = m->second.sums + unit.part * STATISTICS_TEAMS * 3 * m->grid.columns;
        if (!is_whole && ((code = statistics_tensors_send(&m->tensors, 0, &unit, err)) ||
                          (code = send_references(m, &unit, err))))
            return code;
        if ((code = CUDA_CHECK(device, statistics_launch_second(&unit.grid, &pass, device->stream), err)) ||
            (!is_whole && (code = add_partials(m, err))))
            return code;
    }
    return CUDA_CHECK(device, statistics_launch_join_second(&m->grid, &m->second, m->joined, device->stream),
                      err);
}

static int send_centring(struct measurement *m, struct err *err)
{
    const size_t columns = (size_t)m->grid.columns;
    void *means, *centres;
    memcpy(&means, &m->second.means, sizeof(means));
    memcpy(&centres, &m->second.centres, sizeof(centres));
    int code = staging_copy(m->device, m->device->stream, means, m->centring.means,
                            2 * columns * sizeof(double), err);
    return code ? code
                : staging_copy(m->device, m->device->stream, centres, m->centring.centres,
                               2 * columns * sizeof(float), err);
}

static int fetch_second(struct measurement *m, struct err *err)
{
    struct statistics_returned *returned = &m->returned;
    const size_t counts = STATISTICS_SEGMENTS * STATISTICS_CODES * sizeof(*returned->counts);
    int code;
    if ((code = fetch(m, returned->centred_counts, m->second.counts, counts, err)) ||
        (m->tensors.is_whole && (code = fetch(m, returned->partials, m->second.partials,
                                              partial_count(m) * sizeof(*returned->partials), err))) ||
        (code = fetch(m, returned->central, m->joined, 6 * (size_t)m->grid.columns * sizeof(double), err)))
        return code;
    return device_wait(m->device, err);
}

/* Sums the pairs that are finite, where some are not. */
static int run_pairs(struct measurement *m, int i, struct err *err)
{
    struct statistics_unit unit;
    m->pairs.data = m->tensors.each[0];
    m->pairs.reference = m->tensors.each[1 + i];
    memset(m->returned.pairs, 0, pair_count(m) * sizeof(*m->returned.pairs));
    for (uint64_t number = 0; number < m->tensors.unit_count; number++) {
        int code = 0;
        statistics_tensors_lay_unit(&m->tensors, number, &unit);
        if (!m->tensors.is_whole && ((code = statistics_tensors_send(&m->tensors, 0, &unit, err)) ||
                                     (code = statistics_tensors_send(&m->tensors, 1 + i, &unit, err))))
            return code;
        if ((code = CUDA_CHECK(m->device, statistics_launch_pairs(&unit.grid, &m->pairs, m->device->stream),
                               err)) ||
            (code =
                 fetch(m, m->unit_pairs, m->pairs.partials, pair_count(m) * sizeof(*m->unit_pairs), err)) ||
            (code = device_wait(m->device, err)))
            return code;
        for (size_t at = 0; at < pair_count(m); at++) {
            struct statistics_pair_sums *to = &m->returned.pairs[at];
            to->sums.squared += m->unit_pairs[at].sums.squared;
            to->sums.norm += m->unit_pairs[at].sums.norm;
            to->sums.reference_norm += m->unit_pairs[at].sums.reference_norm;
            to->pairs += m->unit_pairs[at].pairs;
        }
    }
    return 0;
}

static int take_displacements(struct measurement *m, struct statistics_result *result, struct err *err)
{
    memset(result->displacements, 0, sizeof(result->displacements));
    for (int i = 0; i < m->request->reference_count; i++) {
        if (statistics_result_displacement(&m->grid, &m->returned, i, result))
            continue;
        int code = run_pairs(m, i, err);
        if (code)
            return code;
        statistics_result_pairs(&m->grid, &m->returned, i, result);
    }
    return 0;
}

/* Memory of the device that is refused: how much is needed; what to do says the reason. */
static int explain_refusal(const struct measurement *m, struct err *err)
{
    const struct err reason = *err;
    const double sums_mb = (double)m->sums_bytes / 1e6,
                 rows_mb = (double)statistics_tensors_least_bytes(&m->tensors) / 1e6;
    return err_set(err, ERR_NO_MEMORY,
                   "%.1f MB of the device are needed at least, %.1f for sums and %.1f for some rows at a "
                   "time: %.360s",
                   sums_mb + rows_mb, sums_mb, rows_mb, reason.message);
}

/* On the device; the host's memory was taken. */
static int measure(struct measurement *m, struct statistics_result *result, struct err *err)
{
    struct statistics_unit unit;
    int code;
    if ((code = take_sums(m, err)) || (code = statistics_tensors_take(&m->tensors, err)) ||
        (code = run_first(m, err)))
        return code;
    statistics_tensors_lay_unit(&m->tensors, 0, &unit);
    if ((m->tensors.is_whole && (code = send_references(m, &unit, err))) || /* they travel while it runs */
        (code = fetch_first(m, err)))
        return code;
    statistics_result_first(&m->grid, &m->returned, result, &m->centring);
    if ((code = send_centring(m, err)) || (code = run_second(m, err)) || (code = fetch_second(m, err)))
        return code;
    statistics_result_second(&m->grid, &m->returned, &m->centring, result);
    return take_displacements(m, result, err);
}

int cuda_statistics(struct cuda_device *device, const struct statistics_request *request,
                    struct statistics_result *result, struct err *err)
{
    struct measurement m = {.device = device, .request = request};
    struct err ignored = ERR_INIT;
    int code = device_enter(device, err);
    if (code)
        return code;
    if (result->columns != request->columns)
        return err_set(err, ERR_INVALID, "the result has room for another number of columns");
    lay_grid(&m);
    m.tensors = (struct statistics_tensors){.device = device, .request = request, .grid = &m.grid};
    m.second.reference_count = request->reference_count;
    if (!(code = take_host(&m, err))) {
        code = measure(&m, result, err);
        if (code) /* copies into host memory may still be under way */
            (void)device_wait(device, &ignored);
        if (code == ERR_NO_MEMORY)
            code = explain_refusal(&m, err);
    }
    measurement_free(&m);
    return code;
}
