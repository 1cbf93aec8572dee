/*
 * How much main memory the machine has.
 *
 * Memory that no processor is beside does not count: of a GPU that shares its memory with the system (Grace
 * Hopper) Linux makes a node of that kind, and counts it to the whole, although it is the GPU's.
 */
#ifndef BIFURCATED_BASE_MAIN_MEMORY_H
#define BIFURCATED_BASE_MAIN_MEMORY_H

#include <stdint.h>

#define MAIN_MEMORY_NODES "/sys/devices/system/node"

/* Bytes; 0 where the machine does not say. `nodes` is MAIN_MEMORY_NODES, of which what cannot be read makes
 * no difference. */
uint64_t main_memory_bytes(const char *nodes);

/* What is left of `all_bytes`. */
uint64_t main_memory_beside_processors(const char *nodes, uint64_t all_bytes);

#endif
