/*
 * Tensor statistics on the CPU (gpu/statistics.h): two passes over the resident tensor. The first counts
 * codes and forms column sums and displacements; the second, which needs the column means, forms central sums
 * and counts the centred codes.
 *
 * Grid: the rows of tokens and those of padding are cut into parts of whole chunks of STATISTICS_CHUNK_ROWS
 * rows, at most STATISTICS_PARTS_MAX each; a part is the work of one thread and has its own sums, which are
 * reduced in order of the parts. Inside of a part: chunks, tiles of STATISTICS_BLOCK_COLUMNS columns, blocks.
 * The grid depends on the shape alone.
 */
#ifndef BIFURCATED_GPU_CPU_STATISTICS_H
#define BIFURCATED_GPU_CPU_STATISTICS_H

#include "gpu/cpu/isa.h"
#include "gpu/cpu/threads.h"
#include "gpu/statistics.h"

#define STATISTICS_CHUNK_ROWS 256
#define STATISTICS_PARTS_MAX 256

/* Measures; `isa` must be at most cpu_isa_best(). The request was checked. Memory besides the tensors: per
 * thread 1.5 MiB, per part 24 bytes a column (at most 0.1 bytes an element from 256 rows on). F64 is seen as
 * float32, block by block. */
int cpu_statistics(struct cpu_threads *threads, enum cpu_isa isa, const struct statistics_request *request,
                   struct statistics_result *result, struct err *err);

#endif
