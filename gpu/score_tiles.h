/*
 * How a device that attends in tiles of queries cuts the batches of a plan (score_plan.h), and where each
 * batch lies in the arrays that hold a whole wave.
 *
 * A tile is a run of queries of one document, so its keys are the inputs of that document up to its last
 * query. Tiles of a document begin at its first input and have the full number of rows but for the last one.
 */
#ifndef BIFURCATED_GPU_SCORE_TILES_H
#define BIFURCATED_GPU_SCORE_TILES_H

#include "gpu/score_plan.h"
#include "gpu/score_tile.h"

/* A batch within its wave: where its inputs, tiles and targets begin in the wave's arrays. */
struct score_place {
    size_t input_first, tile_first, target_first;
    uint32_t tile_count;
};

/* Fills places [plan->batch_count]; *ret_tiles_max becomes the largest number of tiles of a wave. */
void score_tiles_place(const struct score_plan *plan, uint32_t tile_rows, struct score_place *places,
                       size_t *ret_tiles_max);

/* Cuts a packed batch, whose documents lie at `offsets` [document_count + 1] (score_packed), into its place's
 * tile_count tiles. */
void score_tiles_cut(const struct score_plan_batch *batch, const uint32_t *offsets, uint32_t tile_rows,
                     struct score_tile *tiles);

#endif
