/* Stored counts, columns and samples as anybody could have written them. The first byte chooses the reader.
 */
#include "daemon/analysis/encoding.h"

#include "daemon/analysis/sample.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t counts[DISTRIBUTION_CODES], again[DISTRIBUTION_CODES];

/* What is read can be written and read again, and is the same. */
static void read_counts(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct distribution distribution = {.counts = counts};
    enum distribution_format format = DISTRIBUTION_FORMAT_F16;
    int exponent = 0;
    struct buf buf;
    if (encoding_counts_read(data, size, &distribution.format, &distribution.exponent, counts, &err))
        return;
    buf_init(&buf, ENCODING_COUNTS_BYTES_MAX);
    if (encoding_counts_write(&distribution, &buf, &err) ||
        encoding_counts_read(buf.data, buf.size, &format, &exponent, again, &err) ||
        format != distribution.format || exponent != distribution.exponent ||
        memcmp(counts, again, sizeof(counts)) != 0)
        abort();
    buf_free(&buf);
}

static void read_columns(const uint8_t *data, size_t size)
{
    float means[64], deviations[64], bimodalities[64];
    struct err err = ERR_INIT;
    size_t count = 0;
    (void)encoding_columns_read(data, size, 64, means, deviations, bimodalities, &count, &err);
}

static void read_sample(const uint8_t *data, size_t size)
{
    static float values[SAMPLE_COUNT];
    struct encoding_sample sample;
    struct err err = ERR_INIT;
    (void)encoding_sample_read(data, size, &sample, values, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        read_counts(data + 1, size - 1);
        break;
    case 1:
        read_columns(data + 1, size - 1);
        break;
    default:
        read_sample(data + 1, size - 1);
    }
    return 0;
}
