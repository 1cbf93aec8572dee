#include "gpu/score_tiles.h"

static size_t tiles_of(size_t inputs, uint32_t tile_rows)
{
    return (inputs + tile_rows - 1) / tile_rows;
}

void score_tiles_place(const struct score_plan *plan, uint32_t tile_rows, struct score_place *places,
                       size_t *ret_tiles_max)
{
    *ret_tiles_max = 0;
    for (size_t i = 0; i < plan->wave_count; i++) {
        const struct score_plan_wave *wave = &plan->waves[i];
        size_t inputs = 0, tiles = 0;
        for (size_t j = 0; j < wave->batch_count; j++) {
            const struct score_plan_batch *batch = &plan->batches[wave->batch_first + j];
            size_t count = 0;
            for (size_t k = 0; k < batch->document_count; k++)
                count +=
                    tiles_of(score_plan_document_inputs(plan->request, batch->document_first + k), tile_rows);
            places[wave->batch_first + j] = (struct score_place){
                inputs, tiles, batch->target_first - wave->target_first, (uint32_t)count};
            inputs += batch->input_count;
            tiles += count;
        }
        *ret_tiles_max = tiles > *ret_tiles_max ? tiles : *ret_tiles_max;
    }
}

void score_tiles_cut(const struct score_plan_batch *batch, const uint32_t *offsets, uint32_t tile_rows,
                     struct score_tile *tiles)
{
    size_t next = 0;
    for (size_t i = 0; i < batch->document_count; i++)
        for (uint32_t row = offsets[i]; row < offsets[i + 1]; row += tile_rows) {
            uint32_t left = offsets[i + 1] - row;
            tiles[next++] = (struct score_tile){offsets[i], row, left < tile_rows ? left : tile_rows};
        }
}
