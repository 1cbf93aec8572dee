#include "daemon/base/source.h"

#include "daemon/base/checked.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int source_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    if (!checked_range_within(offset, size, source->size_bytes))
        return err_set(err, ERR_FORMAT,
                       "%s: truncated: %zu bytes at %" PRIu64 " reach past its end at %" PRIu64, source->name,
                       size, offset, source->size_bytes);
    if (size == 0)
        return 0;
    return source->ops->read(source, offset, data, size, err);
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

void source_close(struct source *source)
{
    if (source)
        source->ops->close(source);
}

/* -- Memory and mapped files: the same object, which may own a mapping ------------------------------- */

struct memory_source {
    struct source source;
    const unsigned char *data;
    int is_mapped;
    char name[];
};

static int memory_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    struct memory_source *memory = (struct memory_source *)source;
    (void)err;
    memcpy(data, memory->data + offset, size);
    return 0;
}

static const void *memory_map(struct source *source)
{
    return ((struct memory_source *)source)->data;
}

static void memory_close(struct source *source)
{
    struct memory_source *memory = (struct memory_source *)source;
    if (memory->is_mapped)
        (void)munmap((void *)(uintptr_t)memory->data, (size_t)source->size_bytes);
    free(memory);
}

static const struct source_ops memory_ops = {
    .read = memory_read,
    .map = memory_map,
    .close = memory_close,
};

int source_open_memory(const char *name, const void *data, size_t size, struct source **ret_source,
                       struct err *err)
{
    size_t name_size = strlen(name) + 1;
    struct memory_source *memory = malloc(sizeof *memory + name_size);
    if (!memory)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    *memory = (struct memory_source){.data = data};
    memcpy(memory->name, name, name_size);
    memory->source = (struct source){.ops = &memory_ops, .name = memory->name, .size_bytes = size};
    *ret_source = &memory->source;
    return 0;
}

int source_open_file(const char *path, struct source **ret_source, struct err *err)
{
    void *data = MAP_FAILED;
    struct stat status = {0};
    int code;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
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
    if (status.st_size > 0) {
        data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            code = err_set_errno(err, errno, "%s: cannot map", path);
            goto out;
        }
    }
    code =
        source_open_memory(path, data == MAP_FAILED ? NULL : data, (size_t)status.st_size, ret_source, err);
    if (code)
        goto out;
    ((struct memory_source *)*ret_source)->is_mapped = data != MAP_FAILED;
    data = MAP_FAILED; /* now owned by the source */
out:
    if (data != MAP_FAILED)
        (void)munmap(data, (size_t)status.st_size);
    (void)close(fd);
    return code;
}
