/*
 * A tile of queries: inputs [begin, begin + count) of a batch, all of one document, which starts at input
 * `document`. A header of its own because kernels, which are C++, read it too (gpu/score_tiles.h makes them).
 */
#ifndef BIFURCATED_GPU_SCORE_TILE_H
#define BIFURCATED_GPU_SCORE_TILE_H

#include <stdint.h>

struct score_tile {
    uint32_t document, begin, count;
};

#endif
