/*
 * Copies from ordinary host memory (a mapped file, a download buffer) to the device, through pinned memory.
 *
 * A copy from pageable memory would be staged by the driver with one thread, at a fraction of the bus. Here
 * several threads fill pinned slots while others are under way: a core copies about 10 GB/s, a PCIe 5 bus
 * takes 55, so up to DEVICE_STAGING_THREADS of them, two slots each. Small copies use the caller's thread;
 * many of them go as one list, whose pieces the threads share.
 */
#ifndef BIFURCATED_GPU_CUDA_STAGING_H
#define BIFURCATED_GPU_CUDA_STAGING_H

#include "gpu/cuda/device.h"
#include "gpu/score.h"

/* How rows become rows. */
struct staging_rows {
    void *to;           /* on the device */
    size_t pitch_bytes; /* from row to row there; at least row_bytes */
    const void *from;   /* on the host, rows without gaps, any alignment */
    size_t row_bytes;   /* on the device */
    uint64_t row_count;
    int is_narrowing; /* `from` holds float64 and becomes float32, rounded to nearest even */
};

/* `size_bytes` from `from` to `to`. */
static inline struct staging_rows staging_whole(void *to, const void *from, size_t size_bytes)
{
    return (struct staging_rows){
        .to = to, .pitch_bytes = size_bytes, .from = from, .row_bytes = size_bytes, .row_count = 1};
}

/* Copies all of a list, in the order of `stream` (among themselves in any). On return everything has been
 * read; the copies may still be under way. ERR_CANCELLED once *watch (which may be NULL) says so: some of it
 * is on its way then, which the stream waits for. */
int staging_copy_all(struct cuda_device *device, cudaStream_t stream, const struct staging_rows *all,
                     size_t count, const struct score_watch *watch, struct err *err);

/* Copies in the order of `stream`. On return `from` has been read; the copies may still be under way. */
int staging_copy_rows(struct cuda_device *device, cudaStream_t stream, const struct staging_rows *rows,
                      struct err *err);

/* `size_bytes` from `from` to `to`. */
int staging_copy(struct cuda_device *device, cudaStream_t stream, void *to, const void *from,
                 size_t size_bytes, struct err *err);

#endif
