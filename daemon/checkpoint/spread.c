#include "daemon/checkpoint/spread.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/chunk_shelf.h"
#include "daemon/checkpoint/spread_fetch.h"
#include "daemon/checkpoint/spread_part.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_OPEN_MAX 64 /* each a descriptor; to open one again costs little beside what is read of it */
#define FILES_FETCHED_MAX                                                                                    \
    512 /* each some 40 KiB of memory; to open one again costs a request, for where its bytes are */
#define PARTS_OPEN 4 /* where two tensors are read piece by piece by turns, two chunks of each */

struct spread {
    struct checkpoint_files files;
    char *folder; /* of the metadata, with its slash; "" at the top */
    const struct chunk_index *index;
    struct source **sources; /* one per file; NULL until it is opened */
    size_t open_count;
    struct spread_part parts[PARTS_OPEN];
    size_t oldest; /* of them, which the next one replaces */
};

static char *join(const struct spread *spread, const char *name)
{
    const size_t size = strlen(spread->folder) + strlen(name) + 1;
    char *path = malloc(size);
    if (path)
        (void)snprintf(path, size, "%s%s", spread->folder, name);
    return path;
}

/* -- Opening and closing -- */

int spread_open(const struct checkpoint_files *files, const char *metadata, struct spread **ret_spread,
                struct err *err)
{
    const char *slash = strrchr(metadata, '/');
    struct spread *spread = calloc(1, sizeof *spread);
    if (spread)
        spread->folder = strndup(metadata, slash ? (size_t)(slash - metadata) + 1 : 0);
    if (!spread || !spread->folder) {
        spread_close(spread);
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", metadata);
    }
    spread->files = *files;
    int code = chunk_shelf_take(files, metadata, &spread->index, err);
    if (!code && !(spread->sources = calloc(spread->index->file_count + 1, sizeof(struct source *))))
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", metadata);
    if (code)
        spread_close(spread);
    else
        *ret_spread = spread;
    return code;
}

static void close_files(struct spread *spread)
{
    for (size_t i = 0; i < PARTS_OPEN; i++)
        spread_part_close(&spread->parts[i]);
    for (size_t i = 0; spread->sources && spread->open_count && i < spread->index->file_count; i++) {
        if (!spread->sources[i])
            continue;
        source_close(spread->sources[i]);
        spread->sources[i] = NULL;
        spread->open_count--;
    }
}

void spread_close(struct spread *spread)
{
    if (!spread)
        return;
    close_files(spread);
    free(spread->sources);
    chunk_shelf_give(spread->index);
    free(spread->folder);
    free(spread);
}

const struct chunk_index *spread_index(const struct spread *spread)
{
    return spread->index;
}

/* -- Files -- */

static int open_path(const struct spread *spread, size_t file, const char *path, struct source **ret_source,
                     struct err *err)
{
    struct source *source = NULL;
    if (!spread->files.has(spread->files.context, path))
        return err_set(err, ERR_NOT_FOUND, "%s: named by the metadata, but not there", path);
    int code = spread->files.open(spread->files.context, path, &source, err);
    if (code)
        return code;
    if (source->size_bytes < spread->index->ends[file]) {
        code = err_set(err, ERR_FORMAT,
                       "%s: truncated: it has %" PRIu64 " bytes, and the metadata tells of %" PRIu64, path,
                       source->size_bytes, spread->index->ends[file]);
        source_close(source); /* it may be longer the next time */
        return code;
    }
    *ret_source = source;
    return 0;
}

/* Opens a file that is not open. Of several threads each may open another. */
static int open_source(struct spread *spread, size_t file, struct err *err)
{
    char *path = join(spread, spread->index->files[file]);
    int code = path ? open_path(spread, file, path, &spread->sources[file], err)
                    : err_set(err, ERR_NO_MEMORY, "out of memory");
    free(path);
    return code;
}

/* Whether what is opened comes over the network; of all files alike. */
static int is_fetched(const struct source *source)
{
    return !source_reads_at_once(source);
}

static int open_file(struct spread *spread, size_t file, struct err *err)
{
    if (spread->sources[file])
        return 0;
    int code = open_source(spread, file, err);
    if (code)
        return code;
    struct source *opened = spread->sources[file];
    if (spread->open_count >= (size_t)(is_fetched(opened) ? FILES_FETCHED_MAX : FILES_OPEN_MAX)) {
        spread->sources[file] = NULL;
        close_files(spread);
        spread->sources[file] = opened;
    }
    spread->open_count++;
    return 0;
}

int spread_check_files(struct spread *spread, struct err *err)
{
    int code = 0;
    for (size_t i = 0; i < spread->index->file_count && !code; i++) {
        if (spread->sources[i])
            continue;
        code = open_source(spread, i, err);
        source_close(spread->sources[i]); /* whoever checks a folder reads none of them now */
        spread->sources[i] = NULL;
    }
    return code;
}

/* -- Several files at once -- */

static int open_for_fetch(void *context, size_t file, struct source **ret_source, struct err *err)
{
    struct spread *spread = context;
    int code = spread->sources[file] ? 0 : open_source(spread, file, err);
    *ret_source = spread->sources[file];
    return code;
}

/* The whole tensor, if its chunks lie in several files that are fetched; 0 in *ret_is_done: they do not. */
static int fetch_whole(struct spread *spread, const struct chunk_index_tensor *tensor, void *data,
                       int *ret_is_done, struct err *err)
{
    struct spread_fetch *fetch = NULL;
    *ret_is_done = 0;
    if (tensor->chunk_count < 2)
        return 0;
    int code = spread_fetch_plan(tensor, &fetch, err);
    const size_t count = code ? 0 : spread_fetch_file_count(fetch);
    if (count < 2 || open_file(spread, tensor->chunks[0].file, &(struct err)ERR_INIT) ||
        !is_fetched(spread->sources[tensor->chunks[0].file]))
        goto out; /* what fails now fails again, and is told then */
    for (size_t first = 0; first < count && !code; first += FILES_FETCHED_MAX) {
        const size_t left = count - first, some = left < FILES_FETCHED_MAX ? left : FILES_FETCHED_MAX;
        if (spread->open_count + some > FILES_FETCHED_MAX)
            close_files(spread);
        code = spread_fetch_run(fetch, first, some, open_for_fetch, spread, data, err);
        spread->open_count = 0;
        for (size_t i = 0; i < spread->index->file_count; i++)
            spread->open_count += spread->sources[i] != NULL;
    }
    *ret_is_done = 1;
out:
    spread_fetch_free(fetch);
    return code;
}

/* -- Bytes -- */

/* Opens the chunk, unless it is open; *ret_part is borrowed until the next one is. */
static int open_chunk(struct spread *spread, const struct chunk_index_tensor *tensor,
                      const struct chunk_index_chunk *chunk, const struct spread_part **ret_part,
                      struct err *err)
{
    for (size_t i = 0; i < PARTS_OPEN; i++) {
        *ret_part = &spread->parts[i];
        if (spread->parts[i].chunk == chunk)
            return 0;
    }
    if (open_file(spread, chunk->file, err)) /* which may close all parts */
        return spread_part_blame(tensor, chunk, err);
    struct spread_part *part = &spread->parts[spread->oldest];
    spread->oldest = (spread->oldest + 1) % PARTS_OPEN;
    spread_part_close(part);
    *ret_part = part;
    return spread_part_open(spread->sources[chunk->file], tensor, chunk, part, err);
}

int spread_read(struct spread *spread, size_t number, uint64_t offset, void *data, size_t size,
                struct err *err)
{
    const struct chunk_index_tensor *tensor = &spread->index->tensors[number];
    const uint64_t end = offset + size;
    int code = 0, is_done = 0;
    if (!checked_range_within(offset, size, tensor->size_bytes))
        return err_set(err, ERR_INVALID, "tensor %.200s has %" PRIu64 " bytes; %zu at %" PRIu64 " were asked",
                       tensor->name, tensor->size_bytes, size, offset);
    if (size == tensor->size_bytes)
        code = fetch_whole(spread, tensor, data, &is_done, err);
    for (size_t i = 0; i < tensor->chunk_count && !code && !is_done; i++) {
        const struct chunk_index_chunk *chunk = &tensor->chunks[i];
        const struct spread_part *part = NULL;
        if (!spread_part_overlaps(tensor, chunk, offset, end))
            continue;
        code = open_chunk(spread, tensor, chunk, &part, err);
        if (!code)
            code = spread_part_read(part, tensor, offset, end, data, err);
    }
    return code;
}
