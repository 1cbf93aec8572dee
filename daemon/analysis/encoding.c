#include "daemon/analysis/encoding.h"

#include "daemon/analysis/sample.h"
#include "daemon/base/limits.h"

#include <math.h>
#include <string.h>

static void put_number(struct buf *buf, uint64_t value)
{
    while (value >= 0x80) {
        buf_append_char(buf, (char)(unsigned char)(value | 0x80));
        value >>= 7;
    }
    buf_append_char(buf, (char)(unsigned char)value);
}

static void put_signed(struct buf *buf, int64_t value)
{
    uint64_t bits = (uint64_t)value;
    put_number(buf, value < 0 ? ~(bits << 1) : bits << 1);
}

static void put_float(struct buf *buf, double value)
{
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof(bits));
    const unsigned char bytes[4] = {(unsigned char)bits, (unsigned char)(bits >> 8),
                                    (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
    buf_append(buf, bytes, sizeof(bytes));
}

struct reader {
    const unsigned char *data;
    size_t size, at;
    int failed;
};

static uint64_t get_number(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reader->at >= reader->size)
            break;
        unsigned char byte = reader->data[reader->at++];
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7fU) << shift;
        if (!(byte & 0x80U))
            return value;
    }
    reader->failed = 1;
    return 0;
}

static int64_t get_signed(struct reader *reader)
{
    uint64_t bits = get_number(reader);
    return bits & 1 ? (int64_t) ~(bits >> 1) : (int64_t)(bits >> 1);
}

static float get_float(struct reader *reader)
{
    if (reader->size - reader->at < 4) {
        reader->failed = 1;
        return 0;
    }
    const unsigned char *at = reader->data + reader->at;
    uint32_t bits = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof(value));
    reader->at += 4;
    return value;
}

static int reader_open(struct reader *reader, const void *data, size_t size, const char *what,
                       struct err *err)
{
    *reader = (struct reader){.data = data, .size = size};
    if (size == 0)
        return err_set(err, ERR_FORMAT, "stored %s: no bytes", what);
    unsigned version = reader->data[reader->at++];
    if (version != ENCODING_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "stored %s: version %u is not known to this program", what,
                       version);
    return 0;
}

int encoding_counts_write(const struct distribution *distribution, struct buf *buf, struct err *err)
{
    const uint64_t *counts = distribution->counts;
    buf_append_char(buf, ENCODING_VERSION);
    buf_append_char(buf, (char)distribution->format);
    put_signed(buf, distribution->exponent);
    uint32_t code = 0;
    while (code < DISTRIBUTION_CODES) {
        uint32_t begin = code, end;
        while (begin < DISTRIBUTION_CODES && counts[begin] == 0)
            begin++;
        if (begin == DISTRIBUTION_CODES)
            break;
        for (end = begin; end < DISTRIBUTION_CODES && counts[end] != 0; end++)
            ;
        put_number(buf, begin - code);
        put_number(buf, end - begin);
        uint64_t before = 0;
        for (uint32_t i = begin; i < end; i++) {
            put_signed(buf, (int64_t)(counts[i] - before));
            before = counts[i];
        }
        code = end;
    }
    return buf_check(buf, "the counts of a distribution", err);
}

int encoding_counts_read(const void *data, size_t size, enum distribution_format *ret_format,
                         int *ret_exponent, uint64_t *counts, struct err *err)
{
    struct reader reader;
    int code = reader_open(&reader, data, size, "distribution", err);
    if (code)
        return code;
    unsigned format = reader.at < size ? reader.data[reader.at++] : 0;
    int64_t exponent = get_signed(&reader);
    if (reader.failed || format < DISTRIBUTION_FORMAT_F16 || format > DISTRIBUTION_FORMAT_F16_SCALED ||
        exponent < -200 || exponent > 200)
        return err_set(err, ERR_FORMAT, "stored distribution: its head is damaged");
    memset(counts, 0, DISTRIBUTION_CODES * sizeof(*counts));
    uint64_t next = 0;
    while (reader.at < size && !reader.failed) {
        uint64_t zeros = get_number(&reader), run = get_number(&reader), count = 0;
        if (reader.failed || zeros > DISTRIBUTION_CODES - next || run > DISTRIBUTION_CODES - next - zeros ||
            run == 0)
            return err_set(err, ERR_FORMAT, "stored distribution: a run leaves the codes");
        next += zeros;
        for (uint64_t i = 0; i < run && !reader.failed; i++) {
            count += (uint64_t)get_signed(&reader);
            counts[next++] = count;
        }
    }
    if (reader.failed)
        return err_set(err, ERR_FORMAT, "stored distribution: cut off");
    *ret_format = (enum distribution_format)format;
    *ret_exponent = (int)exponent;
    return 0;
}

int encoding_columns_write(const struct moments_sums *columns, size_t column_count, struct buf *buf,
                           struct err *err)
{
    buf_append_char(buf, ENCODING_VERSION);
    put_number(buf, column_count);
    for (size_t i = 0; i < column_count; i++)
        put_float(buf, moments_of(&columns[i]).mean);
    for (size_t i = 0; i < column_count; i++)
        put_float(buf, sqrt(moments_of(&columns[i]).variance));
    for (size_t i = 0; i < column_count; i++)
        put_float(buf, moments_of(&columns[i]).bimodality);
    return buf_check(buf, "the statistics of columns", err);
}

int encoding_columns_read(const void *data, size_t size, size_t room, float *means, float *deviations,
                          float *bimodalities, size_t *ret_count, struct err *err)
{
    struct reader reader;
    int code = reader_open(&reader, data, size, "columns", err);
    if (code)
        return code;
    uint64_t count = get_number(&reader);
    if (reader.failed || count > (size - reader.at) / 12 || size - reader.at != count * 12)
        return err_set(err, ERR_FORMAT, "stored columns: the number of columns does not fit the bytes");
    if (count > room)
        return err_set(err, ERR_LIMIT, "stored columns: there are more than was asked for");
    float *const arrays[3] = {means, deviations, bimodalities};
    for (int k = 0; k < 3; k++) {
        for (uint64_t i = 0; i < count; i++) {
            float value = get_float(&reader);
            if (arrays[k])
                arrays[k][i] = value;
        }
    }
    *ret_count = (size_t)count;
    return 0;
}

int encoding_sample_write(const struct encoding_sample *sample, const float *values, struct buf *buf,
                          struct err *err)
{
    buf_append_char(buf, ENCODING_VERSION);
    put_number(buf, sample->seed);
    put_number(buf, sample->rows);
    put_number(buf, sample->columns);
    put_number(buf, sample->count);
    for (size_t i = 0; i < sample->count; i++)
        put_float(buf, (double)values[i]);
    return buf_check(buf, "a sample", err);
}

int encoding_sample_read(const void *data, size_t size, struct encoding_sample *ret_sample, float *values,
                         struct err *err)
{
    struct reader reader;
    int code = reader_open(&reader, data, size, "sample", err);
    if (code)
        return code;
    struct encoding_sample sample = {.seed = get_number(&reader)};
    sample.rows = get_number(&reader);
    sample.columns = get_number(&reader);
    uint64_t count = get_number(&reader);
    if (reader.failed || count > SAMPLE_COUNT || size - reader.at != count * 4)
        return err_set(err, ERR_FORMAT, "stored sample: the number of values does not fit the bytes");
    sample.count = (size_t)count;
    for (size_t i = 0; i < sample.count; i++)
        values[i] = get_float(&reader);
    *ret_sample = sample;
    return 0;
}
