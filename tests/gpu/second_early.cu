/*
 * The second pass of statistics once more, for gpu_bench to time beside today's: three of four rows are
 * loaded as soon as the ones before them are converted (STATISTICS_ROWS_EARLY).
 */
#define STATISTICS_ROWS_EARLY 3U
#define statistics_second_kernel statistics_second_early_kernel
#define statistics_launch_second statistics_launch_second_early
#include "gpu/cuda/statistics_second.cu"
