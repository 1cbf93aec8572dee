#include "gpu/cpu/statistics_count.h"

#include <string.h>

static void count_row_16(const unsigned char *row, uint32_t columns, uint32_t *even, uint32_t *odd)
{
    uint32_t c = 0;
    for (; c + 4 <= columns; c += 4) {
        uint64_t four;
        memcpy(&four, row + 2 * (size_t)c, sizeof(four));
        even[four & 0xffff]++;
        odd[four >> 16 & 0xffff]++;
        even[four >> 32 & 0xffff]++;
        odd[four >> 48]++;
    }
    for (; c < columns; c++) {
        uint16_t bits;
        memcpy(&bits, row + 2 * (size_t)c, sizeof(bits));
        even[bits]++;
    }
}

static void count_row_32(const unsigned char *row, uint32_t columns, uint32_t *even, uint32_t *odd,
                         struct statistics_extremes *extremes)
{
    struct statistics_extremes seen = *extremes;
    for (uint32_t c = 0; c < columns; c++) {
        uint32_t bits;
        memcpy(&bits, row + 4 * (size_t)c, sizeof(bits));
        uint32_t magnitude = bits & 0x7fffffffU;
        uint32_t code = bits >> 16;
        if (magnitude >= 0x7f800000U) {
            if (magnitude > 0x7f800000U)
                code = (code & 0x8000U) | 0x7fc0U;
        } else {
            seen.zero_count += magnitude == 0;
            uint32_t order = statistics_order32_of_bits(magnitude == 0 ? 0 : bits);
            seen.lowest = order < seen.lowest ? order : seen.lowest;
            seen.highest = order > seen.highest ? order : seen.highest;
        }
        (c & 1 ? odd : even)[code]++;
    }
    *extremes = seen;
}

void statistics_count_block(enum tensor_dtype dtype, const struct statistics_block *block,
                            struct statistics_counter *counter, struct statistics_extremes *extremes)
{
    for (uint32_t r = 0; r < block->rows; r++) {
        const unsigned char *row = block->data + r * block->row_bytes;
        if (dtype == TENSOR_DTYPE_F32)
            count_row_32(row, block->columns, counter->tables[0], counter->tables[1], extremes);
        else
            count_row_16(row, block->columns, counter->tables[0], counter->tables[1]);
    }
    counter->pending += (uint64_t)block->rows * block->columns;
}

void statistics_count_codes(const uint16_t *codes, uint32_t count, int has_nan, uint32_t *table)
{
    if (!has_nan) {
        count_row_16((const unsigned char *)codes, count, table, table);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = codes[i];
        table[(bits & 0x7fffU) > 0x7c00U ? 0x7e00U : bits]++;
    }
}

void statistics_count_flush(uint32_t *table, uint64_t *totals)
{
    for (uint32_t bits = 0; bits < STATISTICS_CODES; bits++)
        totals[statistics_order_code(bits)] += table[bits];
    memset(table, 0, STATISTICS_CODES * sizeof(*table));
}
