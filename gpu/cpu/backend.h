/*
 * The CPU backend: complete, linked in, the reference that other backends are checked against.
 */
#ifndef BIFURCATED_GPU_CPU_BACKEND_H
#define BIFURCATED_GPU_CPU_BACKEND_H

#include "gpu/backend.h"

/* The table of the CPU backend; lives as long as the process. */
const struct backend_table *cpu_backend(void);

#endif
