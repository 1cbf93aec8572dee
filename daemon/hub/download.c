/* Whole files into the standard cache: resumed, verified, then visible. */
#include "daemon/hub/client.h"

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/hub/ledger.h"
#include "daemon/hub/offline.h"
#include "daemon/hub/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (1 * MIB)
#define SMALL_BYTES (32 * KIB)
#define LOCK_POLL_MS 50

struct download {
    struct hub_repository *repository;
    struct source *source;
    const char *path;
    char id[REPOSITORY_SHA256_SIZE];
    struct cache_place *place; /* NULL: it does not wait for room */
    int fd;
    uint64_t done; /* bytes of the file that are written and digested */
    struct digest *digest;
    unsigned char *buffer;
};

static int explain_disk(const struct download *download, int errno_value, struct err *err)
{
    int code = err_set_errno(err, errno_value, "%s: cannot write into the cache %s", download->path,
                             download->repository->cache.root);
    if (code == ERR_NO_SPACE)
        return err_set(err, ERR_NO_SPACE,
                       "%s: the disk of the cache %s is full: %" PRIu64
                       " MiB more are needed; free some, or set HF_HUB_CACHE to another disk",
                       download->path, download->repository->cache.root,
                       (uint64_t)((download->source->size_bytes - download->done) / MIB + 1));
    return code;
}

/* Writes, digests, and lets the disk start at once, so that the sync at the end finds little left to do. */
static int take_piece(void *context, const unsigned char *data, size_t size, struct err *err)
{
    struct download *download = context;
    size_t written = 0;
    while (written < size) {
        ssize_t count =
            pwrite(download->fd, data + written, size - written, (off_t)(download->done + written));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return explain_disk(download, errno, err);
        written += (size_t)count;
    }
    (void)sync_file_range(download->fd, (off_t)download->done, (off_t)size, SYNC_FILE_RANGE_WRITE);
    download->done += size;
    return digest_update(download->digest, data, size, err);
}

static int start_digest(struct download *download, struct err *err)
{
    digest_free(download->digest);
    download->digest = NULL;
    download->done = 0;
    return strlen(download->id) == REPOSITORY_SHA256_SIZE - 1
               ? digest_new(DIGEST_KIND_SHA256, &download->digest, err)
               : digest_new_git_blob(download->source->size_bytes, &download->digest, err);
}

static int check_cancelled(const struct download *download, const char *during, struct err *err)
{
    const struct hub_repository *repository = download->repository;
    if (!atomic_load(&repository->hub->is_cancelled) &&
        !(repository->repository.cancel && atomic_load(repository->repository.cancel)))
        return 0;
    return err_set(err, ERR_CANCELLED, "%s: cancelled while %s", download->path, during);
}

/* Takes what an earlier download left behind into the digest: minutes, of a slow disk. */
static int resume(struct download *download, struct err *err)
{
    struct stat status;
    int code = start_digest(download, err);
    if (code || fstat(download->fd, &status) != 0)
        return code;
    if ((uint64_t)status.st_size > download->source->size_bytes) {
        return ftruncate(download->fd, 0) == 0 ? 0 : explain_disk(download, errno, err);
    }
    while (!code && download->done < (uint64_t)status.st_size) {
        pulse_beat();
        if ((code = check_cancelled(download, "its begin was hashed", err)))
            break;
        ssize_t count = pread(download->fd, download->buffer, BUFFER_BYTES, (off_t)download->done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break; /* what cannot be read is fetched again */
        code = digest_update(download->digest, download->buffer, (size_t)count, err);
        download->done += (uint64_t)count;
    }
    return code;
}

static int fetch_rest(struct download *download, struct err *err)
{
    uint64_t size_bytes = download->source->size_bytes;
    if (fallocate(download->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size_bytes) != 0 && errno == ENOSPC)
        return explain_disk(download, ENOSPC, err);         /* known before a byte was fetched */
    if (download->done == 0 && size_bytes <= SMALL_BYTES) { /* perhaps in memory already */
        int code = source_read(download->source, 0, download->buffer, (size_t)size_bytes, err);
        return code ? code : take_piece(download, download->buffer, (size_t)size_bytes, err);
    }
    if (download->done == size_bytes)
        return 0;
    return remote_read_stream(download->source, download->done, take_piece, download, err);
}

static int verify(struct download *download, struct err *err)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    int code = digest_finish_hex(download->digest, hex, sizeof hex, err);
    if (code || strcmp(hex, download->id) == 0)
        return code;
    return err_set(err, ERR_MISMATCH, "%s: damaged on its way: its digest is %.16s..., listed is %.16s...",
                   download->path, hex, download->id);
}

/* Fetches into the unfinished file until its digest is right. What was there before, or came damaged, is
 * thrown away once. */
static int complete(struct download *download, struct err *err)
{
    int code = resume(download, err);
    for (int round = 0; !code; round++) {
        code = fetch_rest(download, err);
        if (!code)
            code = verify(download, err);
        if (code != ERR_MISMATCH || round > 0)
            break;
        code = ftruncate(download->fd, 0) == 0 ? start_digest(download, err)
                                               : explain_disk(download, errno, err);
    }
    if (code == ERR_MISMATCH && ftruncate(download->fd, 0) != 0)
        (void)err_wrap(err, "what was fetched cannot be removed (errno %d)", errno);
    if (!code && fsync(download->fd) != 0)
        code = explain_disk(download, errno, err);
    return code;
}

/* Room in the budget, and the note that this blob is ours to evict. 1: downloads under way have that room, or
 * others came before this one; small ones that do not wait (no place) pass. */
static int reserve(struct download *download, struct err *err)
{
    const struct hub_options *options = &download->repository->hub->options;
    struct cache_queue *queue = &download->repository->hub->cache_queue;
    if (!options->state_folder)
        return 0;
    if (options->cache_budget_bytes && download->place && !cache_queue_may_take(queue, download->place))
        return 1;
    int code = ledger_reserve(options->state_folder, &download->repository->cache, download->id,
                              download->source->size_bytes, options->cache_budget_bytes, err);
    if (code != 1 && download->place)
        cache_queue_leave(queue, download->place);
    return code < 0 ? err_wrap(err, "%s", download->path) : code;
}

/* The rename that follows changes neither inode nor time. */
static int finish_entry(const struct download *download, struct err *err)
{
    const char *state_folder = download->repository->hub->options.state_folder;
    return state_folder
               ? ledger_finish(state_folder, &download->repository->cache, download->id, download->fd, err)
               : 0;
}

static void drop_entry(const struct download *download)
{
    const char *state_folder = download->repository->hub->options.state_folder;
    if (state_folder)
        ledger_remove(state_folder, &download->repository->cache, download->id);
}

/* A failure that left nothing on the disk must not count against the budget. */
static void drop_empty(const struct download *download, const char *partial)
{
    struct stat status;
    if (fstat(download->fd, &status) != 0 || status.st_size > 0)
        return;
    (void)unlink(partial);
    drop_entry(download);
}

/* 1: nothing was begun, since downloads under way have all room of the budget. */
static int fill_blob(struct download *download, struct err *err)
{
    struct cache *cache = &download->repository->cache;
    char *partial = cache_partial_path(cache, download->id);
    int code = 0;
    download->buffer = malloc(BUFFER_BYTES);
    if (!partial || !download->buffer) {
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", download->path);
        goto out;
    }
    code = reserve(download, err);
    if (code)
        goto out;
    download->fd = open(partial, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (download->fd < 0) {
        code = explain_disk(download, errno, err);
        drop_entry(download);
        goto out;
    }
    code = complete(download, err);
    if (!code)
        code = finish_entry(download, err);
    if (!code)
        code = cache_publish(cache, download->id, err);
    if (code)
        drop_empty(download, partial);
out:
    if (download->fd >= 0)
        (void)close(download->fd);
    download->fd = -1;
    digest_free(download->digest);
    download->digest = NULL;
    free(download->buffer);
    free(partial);
    return code;
}

/* Another download may be of the same file: it is waited for, and its blob taken. That needs no room. */
static int wait_for_lock(const struct download *download, int *ret_fd, struct err *err)
{
    for (;;) {
        int code = cache_lock(&download->repository->cache, download->id, ret_fd, err);
        if (code != 1 || (code = check_cancelled(download, "another program was downloading it", err)))
            return code;
        if (download->place)
            cache_queue_leave(&download->repository->hub->cache_queue, download->place);
        pulse_beat();
        clock_sleep_ms(LOCK_POLL_MS);
    }
}

static int lock_place(const struct download *download, int *ret_fd, struct err *err)
{
    int code = cache_make_folders(&download->repository->cache, err);
    if (!code)
        code = wait_for_lock(download, ret_fd, err);
    if (code != ERR_IO)
        return code;
    return err_wrap(err,
                    "%s: no place for it in the cache; make that writable, or set HF_HUB_CACHE to another",
                    download->path);
}

static int choose_id(struct download *download, const struct repository_file *expected, struct err *err)
{
    const char *id = remote_blob_id(download->source);
    if (expected)
        id = expected->sha256[0] ? expected->sha256 : expected->git_oid;
    if (!id[0])
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: the hub states no digest of it, so it cannot be verified and is not kept",
                       download->path);
    (void)snprintf(download->id, sizeof download->id, "%s", id);
    return 0;
}

/* With the blob's lock. */
static int take_blob(struct download *download, struct err *err)
{
    char *found = cache_find_blob(&download->repository->cache, download->id, download->source->size_bytes);
    int code = 0;
    if (found)
        client_note_cache_hit(download->repository, found);
    else
        code = fill_blob(download, err);
    if (code == ERR_CONFLICT) /* `hf cache prune` removes what is unfinished, also while it is written */
        code = fill_blob(download, err);
    if (code == ERR_CONFLICT) /* again: the download broke off, which is no conflict with the queue */
        code = err->code = ERR_NETWORK;
    free(found);
    return code;
}

/* Until it may be seen again whether there is room. */
static int wait_for_room(const struct download *download, struct err *err)
{
    int code = 0;
    do {
        pulse_beat();
        code = check_cancelled(download, "other downloads had the cache budget", err);
    } while (!code && !cache_queue_wait(&download->repository->hub->cache_queue, download->place));
    return code;
}

/* The blob and its lock. Where other downloads have the budget, they are waited for, without the lock: what
 * an earlier try of this one left may go for one of them, which may wait as well. */
static int lock_blob(struct download *download, int *ret_fd, struct err *err)
{
    for (;;) {
        int code = lock_place(download, ret_fd, err);
        if (!code)
            code = take_blob(download, err);
        if (code != 1)
            return code;
        cache_unlock(*ret_fd);
        *ret_fd = -1;
        if (!download->place)
            return err_set(
                err, ERR_LIMIT,
                "%s: other downloads have the cache budget: raise cache-budget-mb, or lower fetchers",
                download->path);
        if ((code = wait_for_room(download, err)))
            return code;
    }
}

int download_file(struct hub_repository *repository, const char *commit, const char *path,
                  const struct repository_file *expected, int waits, char **ret_path, struct err *err)
{
    struct cache_place place = CACHE_PLACE_INIT;
    struct download download = {
        .repository = repository, .path = path, .place = waits ? &place : NULL, .fd = -1};
    struct cache *cache = &repository->cache;
    int lock_fd = -1;
    char *found = cache_find_file(cache, commit, path, expected ? &expected->size_bytes : NULL);
    if (found) {
        struct err ignored = ERR_INIT; /* whoever put it there may have been killed before the ref */
        (void)client_write_names(repository, commit, &ignored);
        client_note_cache_hit(repository, found);
        *ret_path = found;
        return 0;
    }
    if (repository->hub->options.is_offline)
        return offline_refuse(repository, path, commit, err);
    int code = remote_open(repository, commit, path, expected, &download.source, err);
    if (code)
        return code;
    code = choose_id(&download, expected, err);
    if (!code)
        code = lock_blob(&download, &lock_fd, err);
    if (!code)
        code = cache_link(cache, commit, path, download.id, err);
    if (!code)
        code = client_write_names(repository, commit, err);
    if (code)
        goto out;
    found = cache_find_file(cache, commit, path, NULL);
    if (found)
        *ret_path = found;
    else
        code =
            err_set(err, ERR_IO, "%s: vanished from the cache %s while it was put there", path, cache->root);
out:
    cache_unlock(lock_fd);
    cache_queue_leave(&repository->hub->cache_queue, &place);
    cache_queue_note_end(&repository->hub->cache_queue);
    source_close(download.source);
    return code;
}
