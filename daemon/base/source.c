#include "daemon/base/source.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (64 * MIB) /* a slow disk moves it well within the time after which a task hangs */

int source_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    if (!checked_range_within(offset, size, source->size_bytes))
        return err_set(err, ERR_FORMAT,
                       "%s: truncated: %zu bytes at %" PRIu64 " reach past its end at %" PRIu64, source->name,
                       size, offset, source->size_bytes);
    if (size == 0)
        return 0;
    int code = source->ops->read(source, offset, data, size, err);
    pulse_beat();
    return code;
}

void source_will_need(struct source *source, uint64_t offset, uint64_t size)
{
    if (source->ops->will_need && checked_range_within(offset, size, source->size_bytes))
        source->ops->will_need(source, offset, size);
}

const void *source_map(struct source *source)
{
    return source->ops->map ? source->ops->map(source) : NULL;
}

int source_reads_at_once(const struct source *source)
{
    return source->ops->reads_at_once;
}

int source_identify(struct source *source, struct source_identity *ret_identity)
{
    return source->ops->identify && source->ops->identify(source, ret_identity);
}

void source_close(struct source *source)
{
    if (source)
        source->ops->close(source);
}

/* -- Memory and files: the same object, which may own a file and its mapping -------------------------- */

struct memory_source {
    struct source source;
    const unsigned char *data;
    int fd;              /* of a file, which `data` maps; -1 for memory */
    int64_t modified_ns; /* of a file, when it was opened */
    char name[];
};

static int memory_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    struct memory_source *memory = (struct memory_source *)source;
    (void)err;
    memcpy(data, memory->data + offset, size);
    return 0;
}

/* What is read may lie far beyond the new end. */
static int refuse_cut(const struct memory_source *file, uint64_t offset, struct err *err)
{
    struct stat status;
    uint64_t left = offset;
    if (fstat(file->fd, &status) == 0 && (uint64_t)status.st_size < offset)
        left = (uint64_t)status.st_size;
    return err_set(err, ERR_FORMAT, "%s: truncated: it was shortened to %" PRIu64 " bytes meanwhile",
                   file->source.name, left);
}

/* By the descriptor and not from the mapping: a file that someone cuts short meanwhile (a trainer that saves
 * again) is then an error of this read, where touching the mapping would kill the process. */
static int file_source_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    const struct memory_source *file = (struct memory_source *)source;
    unsigned char *place = data;
    while (size) {
        ssize_t got = pread(file->fd, place, size < PIECE_BYTES ? size : PIECE_BYTES, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "%s: cannot read", source->name);
        if (got == 0)
            return refuse_cut(file, offset, err);
        place += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
        pulse_beat();
    }
    return 0;
}

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static int file_identify(struct source *source, struct source_identity *ret_identity)
{
    struct stat status;
    if (fstat(((struct memory_source *)source)->fd, &status) != 0)
        return 0;
    *ret_identity = (struct source_identity){.device = (uint64_t)status.st_dev,
                                             .inode = (uint64_t)status.st_ino,
                                             .size_bytes = (uint64_t)status.st_size,
                                             .modified_ns = nanoseconds(&status.st_mtim),
                                             .changed_ns = nanoseconds(&status.st_ctim)};
    return 1;
}

/* What was read is of one file only if it is still the file that was opened: what was read before and what
 * comes next must fit together. */
static int changing_file_read(struct source *source, uint64_t offset, void *data, size_t size,
                              struct err *err)
{
    struct source_identity now;
    int code = file_source_read(source, offset, data, size, err);
    if (file_identify(source, &now) && now.size_bytes == source->size_bytes &&
        now.modified_ns == ((struct memory_source *)source)->modified_ns)
        return code;
    return err_set(err, ERR_MISMATCH, "%s changed while it was read: ask again once it is complete",
                   source->name);
}

static const void *memory_map(struct source *source)
{
    return ((struct memory_source *)source)->data;
}

static void memory_close(struct source *source)
{
    struct memory_source *memory = (struct memory_source *)source;
    if (memory->fd >= 0) {
        if (memory->data)
            (void)munmap((void *)(uintptr_t)memory->data, (size_t)source->size_bytes);
        (void)close(memory->fd);
    }
    free(memory);
}

static const struct source_ops memory_ops = {
    .read = memory_read,
    .map = memory_map,
    .close = memory_close,
    .reads_at_once = 1,
};

static const struct source_ops file_ops = {
    .read = file_source_read,
    .map = memory_map,
    .identify = file_identify,
    .close = memory_close,
    .reads_at_once = 1,
};

static const struct source_ops changing_file_ops = {
    .read = changing_file_read,
    .identify = file_identify,
    .close = memory_close,
    .reads_at_once = 1,
};

int source_open_memory(const char *name, const void *data, size_t size, struct source **ret_source,
                       struct err *err)
{
    size_t name_size = strlen(name) + 1;
    struct memory_source *memory = malloc(sizeof *memory + name_size);
    if (!memory)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    *memory = (struct memory_source){.data = data, .fd = -1};
    memcpy(memory->name, name, name_size);
    memory->source = (struct source){.ops = &memory_ops, .name = memory->name, .size_bytes = size};
    *ret_source = &memory->source;
    return 0;
}

/* -- A part of another source -------------------------------------------------------------------------- */

struct part_source {
    struct source source;
    struct source *whole;
    uint64_t begin;
    char name[];
};

static int part_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    const struct part_source *part = (struct part_source *)source;
    return source_read(part->whole, part->begin + offset, data, size, err);
}

static void part_will_need(struct source *source, uint64_t offset, uint64_t size)
{
    const struct part_source *part = (struct part_source *)source;
    source_will_need(part->whole, part->begin + offset, size);
}

static void part_close(struct source *source)
{
    free(source);
}

int source_open_part(struct source *whole, uint64_t offset, uint64_t size, const char *name,
                     struct source **ret_source, struct err *err)
{
    static const struct source_ops part_ops = {
        .read = part_read, .will_need = part_will_need, .close = part_close};
    const size_t name_size = strlen(name) + 1;
    if (!checked_range_within(offset, size, whole->size_bytes))
        return err_set(err, ERR_FORMAT,
                       "%s: truncated: %" PRIu64 " bytes at %" PRIu64 " reach past its end at %" PRIu64,
                       whole->name, size, offset, whole->size_bytes);
    struct part_source *part = malloc(sizeof *part + name_size);
    if (!part)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    *part = (struct part_source){.whole = whole, .begin = offset};
    memcpy(part->name, name, name_size);
    part->source = (struct source){.ops = &part_ops, .name = part->name, .size_bytes = size};
    *ret_source = &part->source;
    return 0;
}

/* -- Files, opened --------------------------------------------------------------------------------------- */

static int open_file(const char *path, int is_mapped, struct source **ret_source, struct err *err)
{
    void *data = MAP_FAILED;
    struct stat status = {0};
    struct source *source = NULL;
    int code;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a named pipe would wait for its writer */
    if (fd < 0)
        return err_set_errno(err, errno, "%s: cannot open", path);
    if (fstat(fd, &status) != 0) {
        code = err_set_errno(err, errno, "%s: cannot stat", path);
        goto out;
    }
    if (!S_ISREG(status.st_mode)) {
        code = err_set(err, ERR_INVALID, "%s: not a regular file", path);
        goto out;
    }
    if (is_mapped && status.st_size > 0) {
        data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            code = err_set_errno(err, errno, "%s: cannot map", path);
            goto out;
        }
    }
    code = source_open_memory(path, data == MAP_FAILED ? NULL : data, (size_t)status.st_size, &source, err);
    if (code)
        goto out;
    source->ops = is_mapped ? &file_ops : &changing_file_ops;
    ((struct memory_source *)source)->fd = fd;
    ((struct memory_source *)source)->modified_ns = nanoseconds(&status.st_mtim);
    *ret_source = source;
    return 0;
out:
    if (data != MAP_FAILED)
        (void)munmap(data, (size_t)status.st_size);
    (void)close(fd);
    return code;
}

int source_open_file(const char *path, struct source **ret_source, struct err *err)
{
    return open_file(path, 1, ret_source, err);
}

int source_open_changing_file(const char *path, struct source **ret_source, struct err *err)
{
    return open_file(path, 0, ret_source, err);
}
