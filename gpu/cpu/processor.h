/*
 * What the processor is called.
 */
#ifndef BIFURCATED_GPU_CPU_PROCESSOR_H
#define BIFURCATED_GPU_CPU_PROCESSOR_H

#include <stddef.h>
#include <stdio.h>

/* The name in a text as /proc/cpuinfo has it, or NULL for no such text: "model name" where there is one
 * (x86-64), else what the numbers of implementer and part mean (arm64), or these numbers. "CPU" if there is
 * nothing. */
void processor_name(FILE *cpuinfo, char *name, size_t size);

#endif
