/*
 * Benchmarks of the CUDA backend. Every number is a row of CSV on standard output: name, value, unit,
 * ceiling, share of the ceiling. Ceilings are measured first, on the same device.
 *
 *     gpu_bench [sizes=14m,70m,410m,1b,6.9b] [documents=5153] [precision=float32] [statistics=0]
 */
#ifndef BIFURCATED_TESTS_GPU_BENCH_H
#define BIFURCATED_TESTS_GPU_BENCH_H

#include "gpu/cuda/device.h"

struct bench {
    struct cuda_device *device;
    int is_float32;            /* scores in it, from the same weights of float16 */
    double copy_bytes_per_s;   /* device to device, bytes read and written */
    double pinned_bytes_per_s; /* host to device */
    double product_flops;      /* per second, float16 8192 x 8192 x 8192 of random numbers */
};

/* One row; ceiling 0: none. */
void bench_print(const char *name, double value, const char *unit, double ceiling);

/* Milliseconds between two events around `launch`, the median of `count` after two warm-ups; negative on
 * failure. */
double bench_time_ms(struct bench *bench, int (*launch)(void *context, struct err *err), void *context,
                     int count, struct err *err);

double bench_now_s(void);

/* Random float16 numbers of about `scale` in [0, count). */
void bench_fill(uint16_t *data, size_t count, float scale, uint64_t seed);

int bench_ceilings(struct bench *bench, struct err *err);
int bench_statistics(struct bench *bench, struct err *err);
int bench_score(struct bench *bench, const char *sizes, size_t documents, struct err *err);

#endif
