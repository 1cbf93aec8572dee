#include "daemon/hub/tally.h"

#include "daemon/base/buf.h"
#include "daemon/base/checked.h"
#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define HOLDS_S 3600
#define FILES_MANY 1000 /* are looked at in some milliseconds */
#define NUMBERS_SIZE 48

static int64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

/* What cannot be read, is of something else, or from the future counts as not known. */
static void read_tally(struct tally *tally)
{
    char text[NUMBERS_SIZE + PATH_MAX];
    char *after = NULL;
    const ssize_t size = pread(tally->fd, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    tally->bytes = strtoull(text, &after, 10);
    if (after == text || *after != ' ')
        return;
    tally->counted_s = strtoll(after, &after, 10);
    const int64_t now = now_s();
    tally->is_known = *after == ' ' && strcmp(after + 1, tally->what) == 0 && tally->counted_s <= now &&
                      tally->counted_s > now - HOLDS_S;
}

/* Emptied first: of what is written in part nothing is known. */
static int write_tally(struct tally *tally, struct err *err)
{
    struct buf text;
    buf_init(&text, NUMBERS_SIZE + 64 * KIB);
    (void)buf_appendf(&text, "%" PRIu64 " %" PRId64 " %s", tally->bytes, tally->counted_s, tally->what);
    int code = buf_check(&text, "tally", err);
    errno = 0; /* of what is written in part none is told */
    if (!code &&
        (ftruncate(tally->fd, 0) != 0 || pwrite(tally->fd, text.data, text.size, 0) != (ssize_t)text.size))
        code = err_set_errno(err, errno ? errno : ENOSPC, "the tally of kept files cannot be written");
    buf_free(&text);
    return code;
}

int tally_open(const char *folder, const char *what, struct tally *ret_tally, struct err *err)
{
    struct tally tally = {.fd = -1, .what = what};
    int code = file_make_folders(folder, 0700, err);
    char *path = code ? NULL : file_join(folder, ".lock");
    if (!code && !path)
        code = err_set(err, ERR_NO_MEMORY, "tally: out of memory");
    if (!code && (tally.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        code = err_set_errno(err, errno, "%s: cannot open", path);
    while (!code && flock(tally.fd, LOCK_EX) != 0) {
        if (errno != EINTR)
            code = err_set_errno(err, errno, "%s: cannot lock", path);
    }
    free(path);
    if (code) {
        tally_close(&tally);
        return code;
    }
    read_tally(&tally);
    *ret_tally = tally;
    return 0;
}

int tally_has_room(const struct tally *tally, uint64_t size_bytes, uint64_t budget_bytes)
{
    uint64_t sum;
    return tally->is_known && !checked_add_u64(tally->bytes, size_bytes, &sum) && sum <= budget_bytes;
}

int tally_add(struct tally *tally, uint64_t size_bytes, struct err *err)
{
    if (checked_add_u64(tally->bytes, size_bytes, &tally->bytes))
        return err_set(err, ERR_LIMIT, "more bytes than can be counted");
    return write_tally(tally, err);
}

int tally_count(struct tally *tally, uint64_t counted_bytes, uint64_t size_bytes, struct err *err)
{
    tally->bytes = counted_bytes;
    tally->counted_s = now_s();
    tally->is_known = 1;
    return tally_add(tally, size_bytes, err);
}

int tally_forget(struct tally *tally, struct err *err)
{
    tally->is_known = 0;
    return ftruncate(tally->fd, 0) == 0
               ? 0
               : err_set_errno(err, errno, "the tally of kept files cannot be emptied");
}

void tally_close(struct tally *tally)
{
    if (tally->fd >= 0)
        (void)close(tally->fd);
    tally->fd = -1;
}

uint64_t tally_spare(size_t file_count, uint64_t size_bytes, uint64_t budget_bytes)
{
    const uint64_t spare = file_count > FILES_MANY ? budget_bytes / 16 : 0;
    return size_bytes > budget_bytes - spare ? budget_bytes - size_bytes : spare;
}
