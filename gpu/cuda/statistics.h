/*
 * Tensor statistics on the GPU (gpu/statistics.h): the definition, the request and the result are the CPU's.
 */
#ifndef BIFURCATED_GPU_CUDA_STATISTICS_H
#define BIFURCATED_GPU_CUDA_STATISTICS_H

#include "gpu/cuda/device.h"
#include "gpu/statistics.h"

/* Measures; the request was checked. Device memory: the tensors, with rows padded to 16 bytes, and a few
 * percent for sums; where the tensors do not fit, one part of them at a time. On one kind of GPU results are
 * equal bit by bit from run to run, but for sums of displacements, which have other last digits by parts
 * (statistics_tensors.h). ERR_NO_MEMORY where neither fits, with what is needed. */
int cuda_statistics(struct cuda_device *device, const struct statistics_request *request,
                    struct statistics_result *result, struct err *err);

#endif
