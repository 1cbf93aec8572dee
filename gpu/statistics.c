#include "gpu/statistics.h"

#include "daemon/base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int statistics_is_supported(enum tensor_dtype dtype)
{
    return dtype == TENSOR_DTYPE_F16 || dtype == TENSOR_DTYPE_BF16 || dtype == TENSOR_DTYPE_F32 ||
           dtype == TENSOR_DTYPE_F64;
}

int statistics_request_check(const struct statistics_request *request, struct err *err)
{
    uint64_t elements = 0;
    if (!statistics_is_supported(request->dtype))
        return err_set(err, ERR_UNSUPPORTED, "statistics of a tensor of dtype %s",
                       tensor_dtype_name(request->dtype));
    if (request->rows == 0 || request->columns == 0)
        return err_set(err, ERR_INVALID, "a tensor without elements has no statistics");
    if (checked_mul_u64(request->rows, request->columns, &elements) || elements > LIMIT_STATISTICS_ELEMENTS ||
        request->columns > LIMIT_STATISTICS_COLUMNS)
        return err_set(err, ERR_LIMIT, "a tensor of this size is too large for statistics");
    if (request->token_rows == 0 || request->token_rows > request->rows)
        return err_set(err, ERR_INVALID, "the number of token rows must be between 1 and the number of rows");
    if (!request->data)
        return err_set(err, ERR_INVALID, "the tensor has no data");
    if (request->reference_count < 0 || request->reference_count > STATISTICS_REFERENCES_MAX)
        return err_set(err, ERR_INVALID, "at most %d references can be measured at once",
                       STATISTICS_REFERENCES_MAX);
    for (int i = 0; i < request->reference_count; i++) {
        if (!request->references[i])
            return err_set(err, ERR_INVALID, "a reference has no data");
    }
    return 0;
}

int statistics_result_init(struct statistics_result *result, uint64_t columns, struct err *err)
{
    memset(result, 0, sizeof(*result));
    if (columns == 0 || columns > LIMIT_STATISTICS_COLUMNS)
        return err_set(err, ERR_LIMIT, "statistics over this number of columns");
    result->columns = columns;
    for (int i = 0; i < STATISTICS_ROW_SET_COUNT; i++) {
        struct statistics_rows *rows = &result->rows[i];
        rows->counts = calloc(STATISTICS_CODES, sizeof(*rows->counts));
        rows->centred_counts = calloc(STATISTICS_CODES, sizeof(*rows->centred_counts));
        rows->columns = calloc(columns, sizeof(*rows->columns));
        if (!rows->counts || !rows->centred_counts || !rows->columns) {
            statistics_result_free(result);
            return err_set(err, ERR_NO_MEMORY, "no memory for the statistics of %lu columns",
                           (unsigned long)columns);
        }
    }
    return 0;
}

void statistics_result_free(struct statistics_result *result)
{
    if (!result)
        return;
    for (int i = 0; i < STATISTICS_ROW_SET_COUNT; i++) {
        free(result->rows[i].counts);
        free(result->rows[i].centred_counts);
        free(result->rows[i].columns);
    }
    memset(result, 0, sizeof(*result));
}

int statistics_centred_exponent(double largest)
{
    if (!(largest > 0) || (largest >= 0x1p-8 && largest < 0x1p15))
        return 0;
    int exponent = ilogb(largest) - 14;
    /* 2^-exponent must be a normal float32. */
    return exponent < -120 ? -120 : exponent;
}
