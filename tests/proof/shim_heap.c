/*
 * Who holds how much memory: an object to be preloaded (LD_PRELOAD) that counts, for each place from which
 * memory is allocated, the blocks and bytes that are not freed yet.
 *
 *   PROOF_HEAP=FILE     a file that holds a struct heap; whoever maps or reads it sees the counts as they are
 *   PROOF_LEAK=BYTES    a leak on purpose: whenever `asked` in the file has risen, the next allocation of the
 * program also takes so many bytes that are kept in a list for ever
 *
 * Whenever `measure` in the file is not `measured`, the next allocation asks the allocator what it took from
 * the system in blocks of their own, and how much of its arenas is free.
 *
 * A place is the address to which the allocating function returns; a text that is copied belongs to who has
 * it copied. Blocks of a page and more are counted apart from smaller ones of the same place. The last eight
 * bytes of every block say which place it is from, so blocks are eight bytes larger than they were asked for;
 * malloc_usable_size() does not show them.
 *
 * What SQLite allocates for a statement belongs to who has it prepared, as long as the statement lives; and
 * `statements` are counted, and those of them that their connection had `again`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SITES_MAX 16384
#define LARGE_BYTES 4096
#define LARGE (UINT64_C(1) << 63) /* in the address of a place: its large blocks */
#define STATEMENTS_MAX 65536
#define MARK UINT64_C(0x9d3a5b71c4e60000) /* the low 16 bits are the place */

struct heap {
    _Atomic int64_t asked, leaked;
    _Atomic int64_t measure, measured;
    int64_t mapped_bytes, free_bytes;
    _Atomic int64_t statements, again;
    struct site {
        _Atomic uint64_t address; /* | LARGE */
        _Atomic int64_t blocks, bytes;
    } sites[SITES_MAX];
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static struct heap *heap;
static struct site *sites;
static size_t (*real_usable_size)(void *block);
static int (*real_prepare)(void *db, const char *sql, int size, unsigned flags, void **ret_statement,
                           const char **ret_tail);
static _Atomic uint64_t prepared[STATEMENTS_MAX];
/* Who allocates, where that is not who calls. In the thread's own memory: another TLS model may call
 * malloc(). */
static _Thread_local const void *on_behalf __attribute__((tls_model("initial-exec")));
static void *list; /* of what is leaked */
static size_t leak_bytes;

__attribute__((constructor)) static void start(void)
{
    const char *name = getenv("PROOF_HEAP"), *leak = getenv("PROOF_LEAK");
    leak_bytes = leak ? strtoul(leak, NULL, 10) : 0;
    if (!name)
        return;
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)sizeof *heap))
        abort();
    void *map = mmap(NULL, sizeof *heap, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        abort();
    real_usable_size = (size_t(*)(void *))(uintptr_t)dlsym(RTLD_NEXT, "malloc_usable_size");
    real_prepare = (int (*)(void *, const char *, int, unsigned, void **, const char **))(uintptr_t)dlsym(
        RTLD_NEXT, "sqlite3_prepare_v3");
    unsetenv("LD_PRELOAD"); /* children are not watched */
    heap = map;
    sites = heap->sites;
}

/* The place's number; SITES_MAX if there is no room for it. */
static size_t find_site(uint64_t address)
{
    size_t at = (size_t)((address * UINT64_C(0x9e3779b97f4a7c15)) >> 50) % SITES_MAX;
    for (size_t i = 0; i < SITES_MAX; i++, at = (at + 1) % SITES_MAX) {
        uint64_t found = atomic_load_explicit(&sites[at].address, memory_order_relaxed);
        if (found == address)
            return at;
        if (found == 0) {
            uint64_t none = 0;
            if (atomic_compare_exchange_strong(&sites[at].address, &none, address) || none == address)
                return at;
        }
    }
    abort(); /* more places than any program has */
}

static uint64_t *mark_of(void *block)
{
    return (uint64_t *)(void *)((char *)block + (real_usable_size(block) & ~(size_t)7) - 8);
}

static void count(size_t site, void *block, int64_t sign)
{
    atomic_fetch_add_explicit(&sites[site].blocks, sign, memory_order_relaxed);
    atomic_fetch_add_explicit(&sites[site].bytes, sign * (int64_t)real_usable_size(block),
                              memory_order_relaxed);
}

static void *enter(void *block, const void *caller)
{
    if (block && sites) {
        uint64_t large = real_usable_size(block) > LARGE_BYTES ? LARGE : 0;
        size_t site = find_site((uint64_t)(uintptr_t)(on_behalf ? on_behalf : caller) | large);
        *mark_of(block) = MARK | site;
        count(site, block, 1);
    }
    return block;
}

/* Forgets the block; its place, or -1 if it is none of ours. */
static int64_t leave(void *block)
{
    if (!block || !sites)
        return -1;
    uint64_t *mark = mark_of(block);
    if ((*mark & ~UINT64_C(0xffff)) != MARK)
        return -1;
    size_t site = (size_t)(*mark & 0xffff);
    *mark = 0;
    count(site, block, -1);
    return (int64_t)site;
}

static void leak(void)
{
    int64_t leaked = atomic_load_explicit(&heap->leaked, memory_order_relaxed);
    if (!atomic_compare_exchange_strong(&heap->leaked, &leaked, leaked + 1))
        return;
    void **block = malloc(leak_bytes);
    if (block)
        *block = __atomic_exchange_n(&list, (void *)block, __ATOMIC_ACQ_REL);
}

/* Takes the locks of the arenas, of which no caller of malloc() holds one. */
static void measure(int64_t wanted)
{
    static atomic_flag is_busy = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&is_busy))
        return;
    struct mallinfo2 info = mallinfo2();
    heap->mapped_bytes = (int64_t)info.hblkhd;
    heap->free_bytes = (int64_t)info.fordblks;
    heap->measured = wanted;
    atomic_flag_clear(&is_busy);
}

/* Whether this connection has not prepared that text before: its statements are string constants. */
static int is_new(const void *db, const char *sql)
{
    uint64_t key = ((uintptr_t)db ^ ((uintptr_t)sql << 20)) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (size_t at = key >> 48, i = 0; i < STATEMENTS_MAX; i++, at = (at + 1) % STATEMENTS_MAX) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&prepared[at], &none, key))
            return 1;
        if (none == key)
            return 0;
    }
    abort(); /* more statements than any program has */
}

int sqlite3_prepare_v3(void *db, const char *sql, int size, unsigned flags, void **ret_statement,
                       const char **ret_tail)
{
    if (heap)
        atomic_fetch_add(is_new(db, sql) ? &heap->statements : &heap->again, 1);
    on_behalf = __builtin_return_address(0);
    int result = real_prepare(db, sql, size, flags, ret_statement, ret_tail);
    on_behalf = NULL;
    return result;
}

void *malloc(size_t size)
{
    if (heap && heap->measured != heap->measure)
        measure(heap->measure);
    if (leak_bytes >= sizeof(void *) && heap && heap->leaked < heap->asked)
        leak();
    return enter(__libc_malloc(size < SIZE_MAX - 8 ? size + 8 : size), __builtin_return_address(0));
}

void *calloc(size_t number, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(number, size, &total) || total > SIZE_MAX - 8) {
        errno = ENOMEM;
        return NULL;
    }
    return enter(__libc_calloc(1, total + 8), __builtin_return_address(0));
}

void *realloc(void *block, size_t size)
{
    if (block && size == 0) {
        (void)leave(block);
        __libc_free(block);
        return NULL;
    }
    int64_t site = leave(block);
    void *grown = __libc_realloc(block, size < SIZE_MAX - 8 ? size + 8 : size);
    if (!grown && site >= 0) { /* it is as it was */
        *mark_of(block) = MARK | (uint64_t)site;
        count((size_t)site, block, 1);
    }
    return enter(grown, __builtin_return_address(0));
}

void *memalign(size_t alignment, size_t size)
{
    return enter(__libc_memalign(alignment, size + 8), __builtin_return_address(0));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return enter(__libc_memalign(alignment, size + 8), __builtin_return_address(0));
}

char *strndup(const char *text, size_t most)
{
    size_t size = strnlen(text, most);
    char *copy = enter(__libc_malloc(size + 1 + 8), __builtin_return_address(0));
    if (copy) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = enter(__libc_malloc(size + 8), __builtin_return_address(0));
    return copy ? memcpy(copy, text, size) : NULL;
}

int posix_memalign(void **ret_block, size_t alignment, size_t size)
{
    void *block = enter(__libc_memalign(alignment, size + 8), __builtin_return_address(0));
    if (!block)
        return ENOMEM;
    *ret_block = block;
    return 0;
}

void free(void *block)
{
    int saved = errno;
    (void)leave(block);
    __libc_free(block);
    errno = saved;
}

size_t malloc_usable_size(void *block)
{
    if (!block)
        return 0;
    return real_usable_size ? (real_usable_size(block) & ~(size_t)7) - 8 : 0;
}
