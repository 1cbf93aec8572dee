#include "daemon/measure/measure_shift.h"

#include "daemon/analysis/distribution.h"
#include "daemon/measure/measure_rows.h"
#include "store/distributions.h"

#include <stdlib.h>
#include <string.h>

struct room {
    uint64_t *counts;
    struct distribution_value *here, *there;
};

/* The upper 16 bits of an element as float32, or its 16 bits. */
static uint32_t bits_at(enum tensor_dtype dtype, const unsigned char *place)
{
    uint16_t half;
    uint32_t single;
    double wide;
    float narrow;
    switch (dtype) {
    case TENSOR_DTYPE_F32:
        memcpy(&single, place, sizeof single);
        return single >> 16;
    case TENSOR_DTYPE_F64:
        memcpy(&wide, place, sizeof wide);
        narrow = (float)wide;
        memcpy(&single, &narrow, sizeof single);
        return single >> 16;
    default:
        memcpy(&half, place, sizeof half);
        return half;
    }
}

static void count_codes(const struct measure_shift *shift, uint64_t rows, uint64_t *counts)
{
    size_t width = tensor_dtype_bits(shift->dtype) / 8;
    const unsigned char *place = shift->reference;
    memset(counts, 0, DISTRIBUTION_CODES * sizeof *counts);
    for (uint64_t left = rows * shift->columns; left > 0; left--, place += width)
        counts[statistics_order_code(bits_at(shift->dtype, place))]++;
}

/* The reference's counts: kept by its own task, or counted here if that has not ended yet. */
static int read_reference(const struct measure_shift *shift, int set, uint64_t *counts, struct err *err)
{
    int is_tokens = set == STATISTICS_ROW_SET_TOKENS;
    struct distribution_row found;
    struct distribution_row key = {.row_set = is_tokens ? ROW_SET_TOKENS : ROW_SET_ALL,
                                   .token_rows = is_tokens ? (int64_t)shift->token_rows : 0,
                                   .definition = MEASURE_DEFINITION};
    int code = distributions_find(shift->store, shift->reference_id, &key, counts, &found, err);
    if (code != ERR_NOT_FOUND)
        return code;
    *err = (struct err)ERR_INIT;
    count_codes(shift, is_tokens ? shift->token_rows : shift->rows, counts);
    return 0;
}

int measure_shift(const struct measure_shift *shift, double ret_distances[STATISTICS_ROW_SET_COUNT],
                  struct err *err)
{
    enum distribution_format format = measure_rows_format(shift->dtype);
    double distances[STATISTICS_ROW_SET_COUNT] = {0};
    struct room room = {.counts = calloc(DISTRIBUTION_CODES, sizeof *room.counts),
                        .here = calloc(DISTRIBUTION_CODES, sizeof *room.here),
                        .there = calloc(DISTRIBUTION_CODES, sizeof *room.there)};
    int code = 0;
    if (!room.counts || !room.here || !room.there)
        code = err_set(err, ERR_NO_MEMORY, "distance of two distributions: out of memory");
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT && !code; set++) {
        struct distribution here = {.format = format, .counts = shift->result->rows[set].counts};
        struct distribution there = {.format = format, .counts = room.counts};
        code = read_reference(shift, set, room.counts, err);
        if (code)
            break;
        size_t here_count = distribution_values(&here, room.here);
        size_t there_count = distribution_values(&there, room.there);
        distances[set] = distribution_wasserstein1(room.here, here_count, room.there, there_count);
    }
    free(room.counts);
    free(room.here);
    free(room.there);
    if (!code)
        memcpy(ret_distances, distances, sizeof distances);
    return code;
}
