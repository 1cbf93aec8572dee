#include "gpu/cpu/attention.h"

#include "gpu/cpu/gemm.h"

#include <math.h>
#include <string.h>

void attention_rotary_fill(const struct attention_rotary *rotary, size_t positions, double base)
{
    for (size_t j = 0; j < rotary->half; j++) {
        float exponent = (float)(2 * j) / (float)(2 * rotary->half);
        float frequency = 1.0F / (float)pow(base, (double)exponent);
        for (size_t position = 0; position < positions; position++) {
            float angle = (float)position * frequency;
            rotary->cosine[position * rotary->half + j] = (float)cos((double)angle);
            rotary->sine[position * rotary->half + j] = (float)sin((double)angle);
        }
    }
}

void attention_rotate(const struct attention_rotary *rotary, uint32_t position, float *row, size_t head_count,
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

size_t attention_scratch_floats(size_t positions)
{
    return ATTENTION_BLOCK_ROWS * positions;
}

void attention_run(const struct attention_document *document, const struct score_kernels *kernels,
                   float *scratch)
{
    const float scale = (float)(1.0 / sqrt((double)document->head_size));
    for (size_t head = 0; head < document->head_count; head++) {
        size_t shift = head * document->head_size;
        for (size_t begin = 0; begin < document->query_count; begin += ATTENTION_BLOCK_ROWS) {
            size_t left = document->query_count - begin;
            size_t rows = left < ATTENTION_BLOCK_ROWS ? left : ATTENTION_BLOCK_ROWS;
            size_t seen = document->query_position + begin + 1; /* keys of the block's first query */
            size_t keys = seen + rows - 1;
            gemm_transposed(document->queries + begin * document->query_stride + shift,
                            document->query_stride, document->keys + shift, document->key_stride, rows, keys,
                            document->head_size, scratch, keys);
            for (size_t i = 0; i < rows; i++) {
                kernels->softmax(scratch + i * keys, seen + i, scale);
                memset(scratch + i * keys + seen + i, 0, (rows - 1 - i) * sizeof(float));
            }
            gemm_plain(scratch, keys, document->values + shift, document->key_stride, rows,
                       document->head_size, keys, document->out + begin * document->out_stride + shift,
                       document->out_stride);
        }
    }
}
