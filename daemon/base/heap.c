#include "daemon/base/heap.h"

#include "daemon/base/clock.h"

#include <malloc.h>

#define ARENAS 2
#define LARGE_BYTES (1 << 20)
#define TEND_INTERVAL_MS (60 * 1000)

void heap_tame(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, ARENAS);
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
#endif
}

void heap_tend(void)
{
#ifdef __GLIBC__
    static int64_t due_ms;
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms < due_ms)
        return;
    due_ms = now_ms + TEND_INTERVAL_MS;
    (void)malloc_trim(0);
#endif
}
