#include "daemon/measure/measure_shift.h"

#include "daemon/analysis/distribution.h"
#include "daemon/measure/measure_rows.h"
#include "store/distributions.h"

#include <stdlib.h>
#include <string.h>

struct room {
    uint64_t *stored;                            /* counts out of the store */
    uint64_t *counted[STATISTICS_ROW_SET_COUNT]; /* those that were made here, of both row sets */
    int is_counted;
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

static void count_rows(const struct measure_shift *shift, uint64_t first, uint64_t end, uint64_t *counts)
{
    size_t width = tensor_dtype_bits(shift->dtype) / 8;
    const unsigned char *place = (const unsigned char *)shift->reference + first * shift->columns * width;
    for (uint64_t left = (end - first) * shift->columns; left > 0; left--, place += width)
        counts[statistics_order_code(bits_at(shift->dtype, place))]++;
}

/* Both row sets at once: token rows are the first of all. */
static void count_reference(const struct measure_shift *shift, struct room *room)
{
    uint64_t *all = room->counted[STATISTICS_ROW_SET_ALL], *tokens = room->counted[STATISTICS_ROW_SET_TOKENS];
    count_rows(shift, 0, shift->token_rows, tokens);
    memcpy(all, tokens, DISTRIBUTION_CODES * sizeof *all);
    count_rows(shift, shift->token_rows, shift->rows, all);
    room->is_counted = 1;
}

/* The reference's counts: kept by its own task, or counted here if that has not ended yet. */
static int read_reference(const struct measure_shift *shift, int set, struct room *room,
                          const uint64_t **ret_counts, struct err *err)
{
    int is_tokens = set == STATISTICS_ROW_SET_TOKENS;
    struct distribution_row found;
    struct distribution_row key = {.row_set = is_tokens ? ROW_SET_TOKENS : ROW_SET_ALL,
                                   .token_rows = is_tokens ? (int64_t)shift->token_rows : 0,
                                   .definition = MEASURE_DEFINITION};
    int code = distributions_find(shift->store, shift->reference_id, &key, room->stored, &found, err);
    *ret_counts = room->stored;
    if (code != ERR_NOT_FOUND)
        return code;
    *err = (struct err)ERR_INIT;
    if (!room->is_counted)
        count_reference(shift, room);
    *ret_counts = room->counted[set];
    return 0;
}

int measure_shift(const struct measure_shift *shift, double ret_distances[STATISTICS_ROW_SET_COUNT],
                  struct err *err)
{
    enum distribution_format format = measure_rows_format(shift->dtype);
    double distances[STATISTICS_ROW_SET_COUNT] = {0};
    struct room room = {.stored = calloc(DISTRIBUTION_CODES, sizeof *room.stored),
                        .counted = {calloc(DISTRIBUTION_CODES, sizeof *room.stored),
                                    calloc(DISTRIBUTION_CODES, sizeof *room.stored)},
                        .here = calloc(DISTRIBUTION_CODES, sizeof *room.here),
                        .there = calloc(DISTRIBUTION_CODES, sizeof *room.there)};
    int code = 0;
    if (!room.stored || !room.counted[0] || !room.counted[1] || !room.here || !room.there)
        code = err_set(err, ERR_NO_MEMORY, "distance of two distributions: out of memory");
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT && !code; set++) {
        const uint64_t *counts = NULL;
        code = read_reference(shift, set, &room, &counts, err);
        if (code)
            break;
        struct distribution here = {.format = format, .counts = shift->result->rows[set].counts};
        struct distribution there = {.format = format, .counts = counts};
        size_t here_count = distribution_values(&here, room.here);
        size_t there_count = distribution_values(&there, room.there);
        distances[set] = distribution_wasserstein1(room.here, here_count, room.there, there_count);
    }
    free(room.stored);
    for (int set = 0; set < STATISTICS_ROW_SET_COUNT; set++)
        free(room.counted[set]);
    free(room.here);
    free(room.there);
    if (!code)
        memcpy(ret_distances, distances, sizeof distances);
    return code;
}
