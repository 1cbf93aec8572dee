/* The source over a remote file: what is kept in memory, and which range a read becomes. */
#include "daemon/hub/remote.h"

#include "daemon/base/checked.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/hub/range_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first read of a safetensors file finds its header here, that of a zip archive its directory. Together
 * with the redirects they stay below 64 KiB per file. */
#define HEAD_BYTES (16 * KIB)
#define TAIL_BYTES (24 * KIB)
#define WHOLE_BYTES (40 * KIB)  /* smaller files are fetched at once, and verified */
#define WINDOW_BYTES (64 * MIB) /* larger announcements are read piece by piece */

static const struct source_ops remote_ops;

static int is_whole(const struct remote *remote, uint64_t begin, uint64_t end)
{
    return begin == 0 && end == remote->source.size_bytes;
}

/* SHA-256 of LFS files and git's id of others can be checked where all bytes are at hand. What is kept of a
 * file that came damaged would fail each later attempt, too. */
static int verify(const struct remote *remote, const unsigned char *data, struct err *err)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    size_t size = (size_t)remote->source.size_bytes;
    struct digest *digest = NULL;
    if (!remote->known.blob_id[0])
        return 0;
    int code = strlen(remote->known.blob_id) == DIGEST_SHA256_HEX_SIZE - 1
                   ? digest_new(DIGEST_KIND_SHA256, &digest, err)
                   : digest_new_git_blob(size, &digest, err);
    if (!code)
        code = digest_update(digest, data, size, err);
    if (!code)
        code = digest_finish_hex(digest, hex, sizeof hex, err);
    if (!code && strcmp(hex, remote->known.blob_id) != 0) {
        hub_forget_ranges(&remote->repository->repository, remote->known.blob_id);
        code =
            err_set(err, ERR_MISMATCH, "%s: damaged on its way: its digest is %.16s..., listed is %.16s...",
                    remote->path, hex, remote->known.blob_id);
    }
    digest_free(digest);
    return code;
}

/* Reads a range from what was kept, else from the hub, and keeps it then if that is wished. */
static int fetch(struct remote *remote, uint64_t begin, uint64_t end, unsigned char *data, struct err *err)
{
    const struct hub_options *options = &remote->repository->hub->options;
    const struct range_store kept = {options->state_folder, RANGE_STORE_FETCHED, options->cache_budget_bytes};
    struct err ignored = ERR_INIT;
    int keeps = options->keep == HUB_KEEP_RANGES && options->state_folder && remote->known.has_size;
    if (keeps && remote->known.blob_id[0] &&
        range_store_read(&kept, remote->known.blob_id, begin, end, data)) {
        client_count_cache_hit(remote->repository);
        return 0;
    }
    int code = remote_read_range(remote, begin, end - begin, data, err);
    if (!code && keeps && remote->known.blob_id[0])
        (void)range_store_write(&kept, remote->known.blob_id, begin, end, data, &ignored);
    return code;
}

/* The whole file, verified, from what was fetched of an equal one where that is kept. */
static int fetch_whole(struct remote *remote, unsigned char *data, struct err *err)
{
    struct small_files *files = &remote->repository->hub->small_files;
    uint64_t size = remote->source.size_bytes;
    const char *id = remote->known.blob_id;
    struct keyed_lock own;
    int is_kept = id[0] && remote->known.has_size && small_files_takes(remote->path, size);
    int code = 0, is_there = 0;
    if (is_kept && (code = small_files_begin(files, &own, id, remote->repository->repository.cancel, err)))
        return code;
    if (is_kept && small_files_read(files, id, data, (size_t)size)) {
        client_count_cache_hit(remote->repository);
        is_there = 1;
    }
    if (!is_there && !(code = fetch(remote, 0, size, data, err)))
        code = verify(remote, data, err);
    if (is_kept && !is_there && !code)
        small_files_keep(files, id, data, (size_t)size);
    if (is_kept)
        small_files_end(files, &own);
    return code;
}

/* Fetches [begin, end) into a block, which must be empty. */
static int load(struct remote *remote, struct remote_block *block, uint64_t begin, uint64_t end,
                struct err *err)
{
    unsigned char *data = malloc(end > begin ? (size_t)(end - begin) : 1);
    if (!data)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", remote->path);
    int code = 0;
    if (remote->known.has_size && is_whole(remote, begin, end)) {
        code = fetch_whole(remote, data, err);
    } else {
        int had_size = remote->known.has_size;
        code = fetch(remote, begin, end, data, err);
        if (!code && !had_size && end > remote->source.size_bytes)
            end = remote->source.size_bytes;
        if (!code && is_whole(remote, begin, end))
            code = verify(remote, data, err);
    }
    if (code) {
        free(data);
        return code;
    }
    free(block->data);
    *block = (struct remote_block){.data = data, .begin = begin, .end = end};
    return 0;
}

/* Serves what lies in blocks from the front and from the back; what is left stays in *begin, *end. */
static void serve_from_blocks(const struct remote *remote, uint64_t offset, unsigned char *data,
                              uint64_t *begin, uint64_t *end)
{
    const struct remote_block *const blocks[REMOTE_BLOCK_COUNT] = {&remote->head, &remote->tail,
                                                                   &remote->window};
    for (int round = 0; round < REMOTE_BLOCK_COUNT; round++) {
        for (size_t i = 0; i < REMOTE_BLOCK_COUNT && *begin < *end; i++) {
            const struct remote_block *block = blocks[i];
            if (!block->data)
                continue;
            if (*begin >= block->begin && *begin < block->end) {
                uint64_t until = *end < block->end ? *end : block->end;
                memcpy(data + (*begin - offset), block->data + (*begin - block->begin),
                       (size_t)(until - *begin));
                *begin = until;
            }
            if (*begin<*end && * end> block->begin && *end <= block->end) {
                uint64_t from = *begin > block->begin ? *begin : block->begin;
                memcpy(data + (from - offset), block->data + (from - block->begin), (size_t)(*end - from));
                *end = from;
            }
        }
    }
}

/* Loads the block that this read should come from, if it should come from one. */
static int load_around(struct remote *remote, uint64_t begin, uint64_t end, struct err *err)
{
    uint64_t size = remote->source.size_bytes;
    if (size <= WHOLE_BYTES)
        return load(remote, &remote->head, 0, size, err);
    if (!remote->head.data && end <= HEAD_BYTES)
        return load(remote, &remote->head, 0, HEAD_BYTES, err);
    if (!remote->tail.data && begin >= size - TAIL_BYTES)
        return load(remote, &remote->tail, size - TAIL_BYTES, size, err);
    uint64_t window_begin = remote->window_begin, window_end = remote->window_end;
    if (begin >= window_begin && end <= window_end && end - begin < window_end - window_begin &&
        window_end - window_begin <= WINDOW_BYTES) {
        remote->window_begin = remote->window_end = 0;
        /* What was announced may lie in a block already, in part. */
        if (remote->head.data && window_begin < remote->head.end && window_begin >= remote->head.begin)
            window_begin = remote->head.end;
        if (remote->tail.data && window_end > remote->tail.begin)
            window_end = remote->tail.begin;
        return load(remote, &remote->window, window_begin, window_end, err);
    }
    return 0;
}

static int read_locked(struct remote *remote, uint64_t offset, unsigned char *data, size_t size,
                       struct err *err)
{
    uint64_t begin = offset, end = offset + size;
    serve_from_blocks(remote, offset, data, &begin, &end);
    if (begin == end)
        return 0;
    int code = load_around(remote, begin, end, err);
    if (code)
        return code;
    serve_from_blocks(remote, offset, data, &begin, &end);
    if (begin == end)
        return 0;
    if (is_whole(remote, begin, end))
        return fetch_whole(remote, data, err);
    code = fetch(remote, begin, end, data + (begin - offset), err);
    /* Whole also where a part of it was at hand already. */
    if (!code && is_whole(remote, offset, offset + size))
        code = verify(remote, data, err);
    return code;
}

static int remote_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    struct remote *remote = (struct remote *)source;
    (void)pthread_mutex_lock(&remote->mutex);
    int code = read_locked(remote, offset, data, size, err);
    (void)pthread_mutex_unlock(&remote->mutex);
    return code;
}

static void remote_will_need(struct source *source, uint64_t offset, uint64_t size)
{
    struct remote *remote = (struct remote *)source;
    (void)pthread_mutex_lock(&remote->mutex);
    remote->window_begin = offset;
    remote->window_end = offset + size;
    (void)pthread_mutex_unlock(&remote->mutex);
}

static void remote_close(struct source *source)
{
    struct remote *remote = (struct remote *)source;
    free(remote->head.data);
    free(remote->tail.data);
    free(remote->window.data);
    free(remote->path);
    free(remote->resolve_url);
    free(remote->url);
    free(remote->etag_url);
    (void)pthread_mutex_destroy(&remote->mutex);
    free(remote);
}

static const struct source_ops remote_ops = {
    .read = remote_read,
    .will_need = remote_will_need,
    .close = remote_close,
};

int remote_open(struct hub_repository *repository, const char *commit, const char *path,
                const struct repository_file *expected, struct source **ret_source, struct err *err)
{
    struct buf url;
    int code = 0;
    struct remote *remote = calloc(1, sizeof *remote);
    if (!remote)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    (void)pthread_mutex_init(&remote->mutex, NULL);
    remote->repository = repository;
    (void)snprintf(remote->known.commit, sizeof remote->known.commit, "%s", commit);
    buf_init(&url, LIMIT_URL_BYTES);
    client_append_resolve(repository, commit, path, &url);
    code = buf_check(&url, path, err);
    if (code)
        goto out;
    remote->path = strdup(path);
    remote->resolve_url = buf_take(&url);
    remote->url = remote->resolve_url ? strdup(remote->resolve_url) : NULL;
    if (!remote->path || !remote->url) {
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
        goto out;
    }
    remote->source = (struct source){.ops = &remote_ops, .name = remote->path};
    if (expected) {
        const char *id = expected->sha256[0] ? expected->sha256 : expected->git_oid;
        (void)snprintf(remote->known.blob_id, sizeof remote->known.blob_id, "%s", id);
        remote->known.size_bytes = remote->source.size_bytes = expected->size_bytes;
        remote->known.has_size = 1;
    } else {
        code = load(remote, &remote->head, 0, HEAD_BYTES, err);
    }
    if (code)
        goto out;
    *ret_source = &remote->source;
    remote = NULL;
out:
    buf_free(&url);
    if (remote)
        remote_close(&remote->source);
    return code;
}

const char *remote_blob_id(const struct source *source)
{
    return source->ops == &remote_ops ? ((const struct remote *)source)->known.blob_id : "";
}
