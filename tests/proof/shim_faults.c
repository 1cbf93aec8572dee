/*
 * Faults in a program that knows nothing of them: an object to be preloaded (LD_PRELOAD). It counts the
 * places from which the program allocates memory, writes files and starts threads, and lets one of these
 * calls fail.
 *
 * A place is a call stack, named by a hash of module and offset of each frame, so that its name is the same
 * in every run of the same build, whatever the other threads do meanwhile.
 *
 *   PROOF_REPORT=FILE      where the places go when main returns, one line each, and what was done to it:
 *                              place KIND HASH COUNT CALLER FRAME...       FRAME: module+offset
 *                              fault KIND HASH ERROR                       at the moment of the fault
 *   PROOF_FAULT=KIND:HASH:NTH:ERROR   lets the NTH call from this place fail
 *   PROOF_CALLER=module+offset        its innermost frame: calls from elsewhere are let through at once,
 *                                     which saves a third of the time; may be left out
 *
 *   KIND    memory (malloc, calloc, realloc, aligned_alloc, posix_memalign), thread (pthread_create),
 *           open (for writing), write, sync, size (ftruncate, posix_fallocate), name (rename, link, symlink,
 *           unlink, mkdir), read (of regular files)
 *   ERROR   a number of errno; short: half of the bytes are written; kill: SIGKILL before the call;
 *           torn: half of the bytes are written, then SIGKILL; late: SIGKILL after the call;
 *           full: the disk is full from here on: ENOSPC for every write, new file and allocation, until a
 * file named "reserve" is removed, which gives its megabyte back
 *
 * Only what happens between the begin and the end of main counts, only regular files and folders, and not
 * what goes to the standard streams. The report is written with plain system calls and no memory is allocated
 * here.
 */
#define _GNU_SOURCE
#include "tests/proof/shim_places.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEMORY_FRAMES 9 /* deeper ones tell the same allocations apart by who asked for the sweep */
#define OWN_FRAMES 3

enum action { PASS, FAIL, SHORT, TORN, LATE };

static atomic_bool is_armed, is_full, is_spent;
static _Atomic int64_t room_bytes; /* on the full disk */
static int fault_kind = -1, fault_errno;
static uint64_t fault_hash;
static const void *fault_caller; /* NULL: any */
static uint32_t fault_nth;
static char fault_error[16];
static _Thread_local int depth; /* calls of our own do not count */

/* -- Faults -- */

static void die(void)
{
    syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGKILL);
    for (;;)
        pause();
}

/* Whether a full disk refuses this. */
static int is_refused(enum kind kind, size_t size)
{
    if (!atomic_load(&is_full) || (kind != WRITE && kind != OPEN && kind != SIZE))
        return 0;
    return atomic_fetch_sub(&room_bytes, (int64_t)size) < (int64_t)size;
}

extern void *__interceptor_malloc(size_t size) __attribute__((weak));

/* Whether the call comes from where the fault is to be, as far as the innermost frame tells: between the
 * program and a function of ours there may be one of a sanitizer. */
static int may_be_it(enum kind kind, const void *caller)
{
    return kind == (enum kind)fault_kind &&
           (caller == fault_caller || (__interceptor_malloc && is_own(caller)));
}

/* Counts the call; what is to be done with it. `size`: bytes that it needs on the disk. */
static __attribute__((noinline)) enum action consider_from(enum kind kind, size_t size, const void *caller)
{
    if (!atomic_load(&is_armed) || depth)
        return PASS;
    if (is_refused(kind, size)) {
        errno = ENOSPC;
        return FAIL;
    }
    if (fault_caller && (atomic_load(&is_spent) || !may_be_it(kind, caller)))
        return PASS;
    int saved = errno;
    void *frames[FRAMES_MAX];
    depth++;
    int count = backtrace(frames, (kind == MEMORY ? MEMORY_FRAMES : FRAMES_MAX - OWN_FRAMES) + OWN_FRAMES);
    depth--;
    errno = saved;
    int own = 0; /* this function, its caller, and the sanitizers' functions around them */
    while (own < count && is_own(frames[own]))
        own++;
    if (own == count)
        return PASS;
    uint64_t hash = hash_frames(kind, frames + own, count - own);
    struct place *place = find_place(kind, hash, frames + own, count - own);
    uint32_t number = place ? atomic_fetch_add(&place->count, 1) + 1 : 0;
    if (fault_kind != (int)kind || hash != fault_hash || number != fault_nth ||
        atomic_exchange(&is_spent, true))
        return PASS;
    report("fault %s %016lx %s\n", KIND_NAMES[kind], (unsigned long)hash, fault_error);
    if (strcmp(fault_error, "kill") == 0)
        die();
    if (strcmp(fault_error, "late") == 0)
        return LATE;
    if (strcmp(fault_error, "short") == 0)
        return SHORT;
    if (strcmp(fault_error, "torn") == 0)
        return TORN;
    if (strcmp(fault_error, "full") == 0)
        atomic_store(&is_full, true);
    errno = fault_errno;
    return FAIL;
}

/* Of the function of the C library that stands here in its place. */
#define consider(kind, size) consider_from(kind, size, __builtin_return_address(0))

static int is_file(int fd)
{
    struct stat status;
    return fd > 2 && fd != report_fd && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* -- Memory. The sanitizers' own functions where they are linked, else the C library's. -- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void *__interceptor_calloc(size_t count, size_t size) __attribute__((weak));
extern void *__interceptor_realloc(void *old, size_t size) __attribute__((weak));
extern void *__interceptor_memalign(size_t alignment, size_t size) __attribute__((weak));

void *malloc(size_t size)
{
    if (consider(MEMORY, 0) != PASS)
        return NULL;
    return __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (consider(MEMORY, 0) != PASS)
        return NULL;
    return __interceptor_calloc ? __interceptor_calloc(count, size) : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    if (consider(MEMORY, 0) != PASS)
        return NULL;
    return __interceptor_realloc ? __interceptor_realloc(old, size) : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (consider(MEMORY, 0) != PASS)
        return NULL;
    return __interceptor_memalign ? __interceptor_memalign(alignment, size)
                                  : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    if (consider(MEMORY, 0) != PASS)
        return ENOMEM;
    void *made =
        __interceptor_memalign ? __interceptor_memalign(alignment, size) : __libc_memalign(alignment, size);
    if (!made)
        return ENOMEM;
    *ret = made;
    return 0;
}

/* -- Files and threads -- */

/* The next definition of a function, looked up once. */
#define NEXT(name)                                                                                           \
    static __typeof__(&name) next;                                                                           \
    if (!next) {                                                                                             \
        depth++;                                                                                             \
        next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                                   \
        depth--;                                                                                             \
    }

/* A write of `size` bytes, done by `call`, in which `size` may be replaced. */
#define WRITE_BODY(call)                                                                                     \
    size_t half = size / 2;                                                                                  \
    enum action action = is_file(fd) ? consider(WRITE, size) : PASS;                                         \
    if (action == FAIL)                                                                                      \
        return -1;                                                                                           \
    if (action == SHORT || action == TORN)                                                                   \
        size = half ? half : size;                                                                           \
    ssize_t written = call;                                                                                  \
    if (action == TORN || action == LATE)                                                                    \
        die();                                                                                               \
    return written

ssize_t write(int fd, const void *data, size_t size)
{
    NEXT(write)
    WRITE_BODY(next(fd, data, size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    NEXT(pwrite)
    WRITE_BODY(next(fd, data, size, offset));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    NEXT(pwrite64)
    WRITE_BODY(next(fd, data, size, offset));
}

ssize_t read(int fd, void *data, size_t size)
{
    NEXT(read)
    if (is_file(fd) && consider(READ, 0) == FAIL)
        return -1;
    return next(fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
    NEXT(pread)
    if (is_file(fd) && consider(READ, 0) == FAIL)
        return -1;
    return next(fd, data, size, offset);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
{
    NEXT(pread64)
    if (is_file(fd) && consider(READ, 0) == FAIL)
        return -1;
    return next(fd, data, size, offset);
}

/* Calls that succeed with 0: fail, or end the process before or after them. */
#define SIMPLE_BODY(kind, condition, call)                                                                   \
    enum action action = (condition) ? consider(kind, kind == OPEN || kind == SIZE) : PASS;                  \
    if (action == FAIL)                                                                                      \
        return -1;                                                                                           \
    int result = call;                                                                                       \
    if (action == LATE)                                                                                      \
        die();                                                                                               \
    return result

int fsync(int fd)
{
    NEXT(fsync)
    SIMPLE_BODY(SYNC, 1, next(fd));
}

int fdatasync(int fd)
{
    NEXT(fdatasync)
    SIMPLE_BODY(SYNC, 1, next(fd));
}

int ftruncate(int fd, off_t size)
{
    NEXT(ftruncate)
    SIMPLE_BODY(SIZE, is_file(fd), next(fd, size));
}

int ftruncate64(int fd, off64_t size)
{
    NEXT(ftruncate64)
    SIMPLE_BODY(SIZE, is_file(fd), next(fd, size));
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    NEXT(posix_fallocate)
    enum action action = consider(SIZE, (size_t)size);
    if (action == FAIL)
        return errno;
    int result = next(fd, offset, size);
    if (action == LATE)
        die();
    return result;
}

int rename(const char *from, const char *to)
{
    NEXT(rename)
    SIMPLE_BODY(NAME, 1, next(from, to));
}

int link(const char *from, const char *to)
{
    NEXT(link)
    SIMPLE_BODY(NAME, 1, next(from, to));
}

int symlink(const char *target, const char *path)
{
    NEXT(symlink)
    SIMPLE_BODY(NAME, 1, next(target, path));
}

int unlink(const char *path)
{
    NEXT(unlink)
    const char *slash = strrchr(path, '/');
    if (atomic_load(&is_full) && slash && strcmp(slash, "/reserve") == 0)
        atomic_store(&room_bytes, 1 << 20);
    SIMPLE_BODY(NAME, 1, next(path));
}

int mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir)
    SIMPLE_BODY(NAME, 1, next(path, mode));
}

/* Opening for writing makes files; what is only read fails in its reads. */
#define OPEN_BODY(call)                                                                                      \
    mode_t mode = 0;                                                                                         \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                     \
        va_list arguments;                                                                                   \
        va_start(arguments, flags);                                                                          \
        mode = va_arg(arguments, mode_t);                                                                    \
        va_end(arguments);                                                                                   \
    }                                                                                                        \
    enum action action =                                                                                     \
        flags & (O_WRONLY | O_RDWR | O_CREAT) ? consider(OPEN, (flags & O_CREAT) != 0) : PASS;               \
    if (action == FAIL)                                                                                      \
        return -1;                                                                                           \
    int fd = call;                                                                                           \
    if (action == LATE)                                                                                      \
        die();                                                                                               \
    return fd

int open(const char *path, int flags, ...)
{
    NEXT(open)
    OPEN_BODY(next(path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
    NEXT(open64)
    OPEN_BODY(next(path, flags, mode));
}

int openat(int folder, const char *path, int flags, ...)
{
    NEXT(openat)
    OPEN_BODY(next(folder, path, flags, mode));
}

int mkostemp(char *template, int flags)
{
    NEXT(mkostemp)
    SIMPLE_BODY(OPEN, 1, next(template, flags));
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *context)
{
    NEXT(pthread_create)
    if (consider(THREAD, 0) == FAIL)
        return EAGAIN;
    return next(thread, attributes, start, context);
}

/* -- Begin and end -- */

static int (*real_main)(int, char **, char **);

static void read_fault(void)
{
    char kind[16] = "";
    const char *text = getenv("PROOF_FAULT");
    unsigned long hash = 0;
    unsigned nth = 0;
    if (!text || sscanf(text, "%15[^:]:%lx:%u:%15s", kind, &hash, &nth, fault_error) != 4)
        return;
    for (int i = 0; i < KIND_COUNT; i++)
        fault_kind = strcmp(kind, KIND_NAMES[i]) == 0 ? i : fault_kind;
    fault_hash = hash;
    fault_nth = nth;
    fault_caller = address_of(getenv("PROOF_CALLER"));
    fault_errno =
        fault_error[0] >= '0' && fault_error[0] <= '9' ? (int)strtol(fault_error, NULL, 10) : ENOSPC;
}

static int armed_main(int argc, char **argv, char **environment)
{
    void *frames[4];
    const char *path = getenv("PROOF_REPORT");
    depth++;
    (void)backtrace(frames, 4); /* loads the unwinder now */
    (void)dl_iterate_phdr(note_module, NULL);
    if (path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        report_fd =
            fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 900); /* out of the way of the program's own numbers */
        if (fd >= 0)
            close(fd);
    }
    read_fault();
    depth--;
    atomic_store(&is_armed, true);
    int status = real_main(argc, argv, environment);
    atomic_store(&is_armed, false);
    report_places();
    return status;
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    int (*next)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void),
                void *) = (__typeof__(next))dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = main;
    return next(armed_main, argc, argv, init, fini, rtld_fini, stack_end);
}
