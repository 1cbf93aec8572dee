#include "gpu/cpu/attention.h"

#include "gpu/score_alibi.h"

#include <math.h>
#include <string.h>

void attention_rotate(const struct score_rotary *rotary, uint32_t position, float *row, size_t head_count,
                      size_t head_size)
{
    size_t half = rotary->half;
    const float *cosine = rotary->cosine + position * half, *sine = rotary->sine + position * half;
    for (size_t head = 0; head < head_count; head++) {
        float *first = row + head * head_size, *second = first + half;
        for (size_t j = 0; j < half; j++) {
            float x = first[j], y = second[j];
            first[j] = x * cosine[j] - y * sine[j];
            second[j] = y * cosine[j] + x * sine[j];
        }
    }
}

void attention_rotate_neighbours(const struct score_rotary *rotary, uint32_t position, float *row,
                                 size_t head_count, size_t head_size)
{
    const float *cosine = rotary->cosine + position * rotary->half;
    const float *sine = rotary->sine + position * rotary->half;
    for (size_t head = 0; head < head_count; head++) {
        float *pair = row + head * head_size;
        for (size_t j = 0; j < rotary->half; j++, pair += 2) {
            float x = pair[0], y = pair[1];
            pair[0] = x * cosine[j] - y * sine[j];
            pair[1] = y * cosine[j] + x * sine[j];
        }
    }
}

/* Rows of scores are padded, so that the row loops see whole vectors only. */
static size_t padded(size_t count)
{
    return (count + 15) / 16 * 16;
}

size_t attention_scratch_floats(size_t positions)
{
    return ATTENTION_BLOCK_ROWS * padded(positions);
}

/* Softmax over the last `window` (0: all) of the first `seen` of `keys` scores; the others become 0. */
static void weigh(const struct score_kernels *kernels, float *row, size_t seen, size_t keys, size_t window,
                  float scale)
{
    size_t whole = padded(seen);
    for (size_t i = 0; window && i + window < seen; i++)
        row[i] = -INFINITY;
    for (size_t i = seen; i < whole; i++)
        row[i] = -INFINITY; /* whose exponential is 0 */
    kernels->softmax(row, whole, scale);
    if (whole < keys)
        memset(row + whole, 0, (keys - whole) * sizeof(float));
}

/* Before they are scaled; the last of `seen` scores is of the query's own position. */
static void incline(float *row, size_t seen, float slope)
{
    for (size_t i = 0; i < seen; i++)
        row[i] -= slope * (float)(seen - 1 - i);
}

void attention_run(const struct attention_document *document, const struct score_kernels *kernels,
                   enum gemm_engine engine, float *scratch, void *workspace)
{
    const size_t heads_per_key = document->head_count / document->key_head_count;
    for (size_t head = 0; head < document->head_count; head++) {
        size_t shift = head * document->head_size;
        float slope =
            document->has_alibi ? score_alibi_slope(head, document->head_count) / document->scale : 0;
        size_t key_shift = head / heads_per_key * document->head_size;
        for (size_t begin = 0; begin < document->query_count; begin += ATTENTION_BLOCK_ROWS) {
            size_t left = document->query_count - begin;
            size_t rows = left < ATTENTION_BLOCK_ROWS ? left : ATTENTION_BLOCK_ROWS;
            size_t seen = document->query_position + begin + 1; /* keys of the block's first query */
            size_t first = document->window && seen > document->window ? seen - document->window : 0;
            size_t key_place = first * document->key_stride + key_shift; /* no query sees earlier ones */
            seen -= first;
            size_t keys = seen + rows - 1, stride = padded(keys);
            const struct gemm_pair scores = {.a = document->queries + begin * document->query_stride + shift,
                                             .a_stride = document->query_stride,
                                             .b = document->keys + key_place,
                                             .b_stride = document->key_stride,
                                             .out = scratch,
                                             .out_stride = stride,
                                             .rows = rows,
                                             .columns = keys,
                                             .depth = document->head_size};
            gemm_transposed(engine, &scores, workspace);
            for (size_t i = 0; document->has_alibi && i < rows; i++)
                incline(scratch + i * stride, seen + i, slope);
            for (size_t i = 0; i < rows; i++)
                weigh(kernels, scratch + i * stride, seen + i, keys, document->window, document->scale);
            const struct gemm_pair sums = {.a = scratch,
                                           .a_stride = stride,
                                           .b = document->values + key_place,
                                           .b_stride = document->key_stride,
                                           .out = document->out + begin * document->out_stride + shift,
                                           .out_stride = document->out_stride,
                                           .rows = rows,
                                           .columns = document->head_size,
                                           .depth = keys};
            gemm_plain(engine, &sums, workspace);
        }
    }
}
