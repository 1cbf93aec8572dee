#include "gpu/cuda/statistics.h"

#include "daemon/base/checked.h"
#include "gpu/cuda/share.h"
#include "gpu/cuda/staging.h"
#include "gpu/cuda/statistics_result.h"

#include <stdlib.h>
#include <string.h>

/* The first pass starts when the whole tensor has arrived, the second when its references have. Working on
 * the first rows while the last ones travel would hide little: the bus takes about fifty times as long as the
 * kernels. */

enum { BUFFERS_MAX = 20 };

/* Everything that a measurement holds. */
struct measurement {
    struct cuda_device *device;
    const struct statistics_request *request;
    struct statistics_grid grid;
    struct {
        void *memory;
        size_t size_bytes;
    } buffers[BUFFERS_MAX]; /* on the device */
    int buffer_count;
    struct statistics_first first;
    struct statistics_second second;
    struct statistics_pairs pairs;
    double *high, *low, *joined; /* on the device */
    unsigned long long *not_finite;
    struct statistics_returned returned; /* on the host */
    struct statistics_centring centring; /* on the host */
};

/* Zeroed memory on the device. */
static int take(struct measurement *m, size_t size_bytes, void *ret_memory, struct err *err)
{
    void *memory = NULL;
    int code = device_take(m->device, size_bytes, &memory, err);
    if (code)
        return code;
    m->buffers[m->buffer_count].memory = memory;
    m->buffers[m->buffer_count++].size_bytes = size_bytes;
    memcpy(ret_memory, &memory, sizeof(memory));
    return CUDA_CHECK(m->device, cudaMemsetAsync(memory, 0, size_bytes ? size_bytes : 1, m->device->stream),
                      err);
}

static int take_matrix(struct measurement *m, const void *data, const void **ret_memory, struct err *err)
{
    const struct statistics_grid *grid = &m->grid;
    size_t element_bytes = grid->kind == STATISTICS_KIND_F32 ? 4 : 2;
    struct staging_rows rows = {.pitch_bytes = (size_t)grid->pitch_bytes,
                                .from = data,
                                .row_bytes = (size_t)grid->columns * element_bytes,
                                .row_count = grid->rows,
                                .is_narrowing = m->request->dtype == TENSOR_DTYPE_F64};
    size_t size_bytes = 0;
    if (checked_mul_size((size_t)grid->pitch_bytes, (size_t)grid->rows, &size_bytes))
        return err_set(err, ERR_LIMIT, "a tensor of this size is too large for statistics");
    int code = device_take(m->device, size_bytes, &rows.to, err);
    if (code)
        return code;
    m->buffers[m->buffer_count].memory = rows.to;
    m->buffers[m->buffer_count++].size_bytes = size_bytes;
    *ret_memory = rows.to;
    if (rows.pitch_bytes != rows.row_bytes &&
        (code = CUDA_CHECK(m->device, cudaMemsetAsync(rows.to, 0, size_bytes, m->device->stream), err)))
        return code;
    return staging_copy_rows(m->device, m->device->stream, &rows, err);
}

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

static int take_sums(struct measurement *m, struct err *err)
{
    const struct statistics_grid *grid = &m->grid;
    const struct statistics_seen nothing[STATISTICS_SEGMENTS] = {{0, UINT32_MAX, 0}, {0, UINT32_MAX, 0}};
    size_t columns = (size_t)grid->columns, parts = (size_t)(grid->parts[0] + grid->parts[1]);
    size_t counts = STATISTICS_SEGMENTS * STATISTICS_CODES * sizeof(unsigned long long), sums = 0;
    if (checked_mul_size(3 * STATISTICS_TEAMS * parts * sizeof(double), columns, &sums))
        return err_set(err, ERR_LIMIT, "a tensor of this size is too large for statistics");
    int code;
    if ((code = take(m, sums, &m->first.sums, err)) ||
        (code = take(m, parts * columns * sizeof(uint32_t), &m->first.not_finite, err)) ||
        (code = take(m, counts, &m->first.counts, err)) || (code = take(m, counts, &m->second.counts, err)) ||
        (code = take(m, partial_count(m) * sizeof(struct statistics_sums), &m->second.partials, err)) ||
        (code = take(m, pair_count(m) * sizeof(struct statistics_pair_sums), &m->pairs.partials, err)) ||
        (code = take(m, sizeof(nothing), &m->first.seen, err)) ||
        (code = take(m, 2 * columns * sizeof(double), &m->high, err)) ||
        (code = take(m, 2 * columns * sizeof(double), &m->low, err)) ||
        (code = take(m, 2 * columns * sizeof(*m->not_finite), &m->not_finite, err)) ||
        (code = take(m, 6 * columns * sizeof(double), &m->joined, err)) ||
        (code = take(m, 2 * columns * sizeof(double), &m->second.means, err)) ||
        (code = take(m, 2 * columns * sizeof(float), &m->second.centres, err)))
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
    returned->high = calloc(2 * columns, sizeof(double));
    returned->low = calloc(2 * columns, sizeof(double));
    returned->not_finite = calloc(2 * columns, sizeof(*returned->not_finite));
    returned->central = calloc(6 * columns, sizeof(double));
    m->centring.means = calloc(2 * columns, sizeof(double));
    m->centring.centres = calloc(2 * columns, sizeof(float));
    if (!returned->counts || !returned->centred_counts || !returned->partials || !returned->pairs ||
        !returned->high || !returned->low || !returned->not_finite || !returned->central ||
        !m->centring.means || !m->centring.centres)
        return err_set(err, ERR_NO_MEMORY, "no memory for the sums of %zu columns", columns);
    return 0;
}

static void measurement_free(struct measurement *m)
{
    for (int i = 0; i < m->buffer_count; i++)
        device_drop(m->device, m->buffers[i].memory, m->buffers[i].size_bytes);
    free(m->returned.counts);
    free(m->returned.centred_counts);
    free(m->returned.partials);
    free(m->returned.pairs);
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

static int launch_first(struct measurement *m, struct err *err)
{
    struct cuda_device *device = m->device;
    int code = CUDA_CHECK(device, statistics_launch_first(&m->grid, &m->first, device->stream), err);
    if (code)
        return code;
    return CUDA_CHECK(device,
                      statistics_launch_join_first(&m->grid, m->first.sums, m->first.not_finite, m->high,
                                                   m->low, m->not_finite, device->stream),
                      err);
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

static int run_second(struct measurement *m, struct err *err)
{
    struct cuda_device *device = m->device;
    struct statistics_returned *returned = &m->returned;
    size_t columns = (size_t)m->grid.columns;
    size_t counts = STATISTICS_SEGMENTS * STATISTICS_CODES * sizeof(*returned->counts);
    void *means, *centres;
    memcpy(&means, &m->second.means, sizeof(means));
    memcpy(&centres, &m->second.centres, sizeof(centres));
    memcpy(m->second.scales, m->centring.scales, sizeof(m->second.scales));
    int code;
    if ((code = staging_copy(device, device->stream, means, m->centring.means, 2 * columns * sizeof(double),
                             err)) ||
        (code = staging_copy(device, device->stream, centres, m->centring.centres,
                             2 * columns * sizeof(float), err)) ||
        (code = CUDA_CHECK(device, statistics_launch_second(&m->grid, &m->second, device->stream), err)) ||
        (code = CUDA_CHECK(
             device, statistics_launch_join_second(&m->grid, &m->second, m->joined, device->stream), err)) ||
        (code = fetch(m, returned->centred_counts, m->second.counts, counts, err)) ||
        (code = fetch(m, returned->partials, m->second.partials,
                      partial_count(m) * sizeof(*returned->partials), err)) ||
        (code = fetch(m, returned->central, m->joined, 6 * columns * sizeof(double), err)))
        return code;
    return device_wait(device, err);
}

/* Sums the pairs that are finite, where some are not. */
static int run_pairs(struct measurement *m, int i, struct err *err)
{
    m->pairs.data = m->second.data;
    m->pairs.reference = m->second.references[i];
    int code = CUDA_CHECK(m->device, statistics_launch_pairs(&m->grid, &m->pairs, m->device->stream), err);
    if (code || (code = fetch(m, m->returned.pairs, m->pairs.partials,
                              pair_count(m) * sizeof(*m->returned.pairs), err)))
        return code;
    return device_wait(m->device, err);
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

/* Memory of the device that is refused: how much is needed in all, and what to do. */
static int explain_refusal(const struct measurement *m, struct err *err)
{
    const struct err reason = *err;
    const double matrix_mb = (double)m->grid.pitch_bytes * (double)m->grid.rows / 1e6;
    return err_set(
        err, ERR_NO_MEMORY,
        "%d tensors of %.1f MB, the one and its references, must be on the device at once: %.240s; %s",
        1 + m->request->reference_count, matrix_mb, reason.message, share_remedy(m->device));
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
    if (m.grid.pitch_bytes > STATISTICS_PITCH_BYTES_MAX || statistics_grid_share(&m.grid) > UINT32_MAX)
        return err_set(
            err, ERR_LIMIT,
            "a tensor of this size is too large for statistics on this GPU; measure it with device = cpu");
    m.second.reference_count = request->reference_count;
    if ((code = take_host(&m, err))) {
        measurement_free(&m);
        return code;
    }
    if ((code = take_sums(&m, err)) || (code = take_matrix(&m, request->data, &m.first.data, err)))
        goto out;
    m.second.data = m.first.data;
    if ((code = launch_first(&m, err)))
        goto out;
    for (int i = 0; i < request->reference_count; i++) /* they travel while the first pass runs */
        if ((code = take_matrix(&m, request->references[i], &m.second.references[i], err)))
            goto out;
    if ((code = fetch_first(&m, err)))
        goto out;
    statistics_result_first(&m.grid, &m.returned, result, &m.centring);
    if ((code = run_second(&m, err)))
        goto out;
    statistics_result_second(&m.grid, &m.returned, &m.centring, result);
    code = take_displacements(&m, result, err);
out:
    if (code) /* copies into host memory may still be under way */
        (void)device_wait(device, &ignored);
    if (code == ERR_NO_MEMORY)
        code = explain_refusal(&m, err);
    measurement_free(&m);
    return code;
}
