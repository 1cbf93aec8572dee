/*
 * A pool of threads that run one function together: fork and join without creating threads each time.
 */
#ifndef BIFURCATED_GPU_CPU_THREADS_H
#define BIFURCATED_GPU_CPU_THREADS_H

#include "daemon/base/err.h"

#define CPU_THREADS_MAX 1024

struct cpu_threads;

/* Number of processors that this process may use. */
int cpu_threads_usable(void);

/* A pool of `count` threads, the caller's own among them (so count - 1 are made); 0 means one per usable
 * processor. */
int cpu_threads_new(int count, struct cpu_threads **ret_threads, struct err *err);

/* Ends and joins them. NULL is allowed. */
void cpu_threads_free(struct cpu_threads *threads);

int cpu_threads_count(const struct cpu_threads *threads);

/* Calls run(context, index) once per thread, index 0 ... count - 1, and returns when all have returned. One
 * call at a time. */
void cpu_threads_run(struct cpu_threads *threads, void (*run)(void *context, int index), void *context);

#endif
