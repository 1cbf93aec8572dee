/*
 * The allocator of a process that runs for months with many threads, large tensors, and caches whose blocks
 * of all sizes come and go. Left to itself it has arenas for each thread, keeps ever larger blocks when
 * they are freed, and gives back no page that lies between live blocks: unused pages would stay for ever.
 */
#ifndef BIFURCATED_BASE_HEAP_H
#define BIFURCATED_BASE_HEAP_H

/* Few arenas, so that what one thread frees serves the others, and large blocks that go back to the system
 * when they are freed. Before there are threads. */
void heap_tame(void);

/* Gives back each page that no block lies in, once a minute however often it is called. Takes some
 * milliseconds then: for a thread that nobody waits for, always the same. */
void heap_tend(void);

#endif
