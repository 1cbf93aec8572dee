#include "daemon/sweep/completeness.h"

#include "daemon/base/clock.h"
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/sweep/revision_source.h"

#include <stdio.h>
#include <string.h>

int completeness_is_fresh(int64_t newest_ms, int64_t now_ms)
{
    /* A time in the future is that of a machine whose clock is ahead: what it wrote is as fresh as it says.
     */
    return newest_ms != 0 && newest_ms > now_ms - COMPLETENESS_SETTLE_MS;
}

static int is_of_the_checkpoint(int code)
{
    return code != ERR_CANCELLED && code != ERR_NO_MEMORY && code != ERR_DATABASE && code != ERR_NO_SPACE &&
           code != ERR_UNREACHABLE && code != ERR_TIMEOUT;
}

/* Opens every shard and asks for every tensor. */
static int check_tensors(struct checkpoint *checkpoint, struct err *err)
{
    size_t count = checkpoint_name_count(checkpoint);
    int code = checkpoint_check_files(checkpoint, err);
    if (code)
        return code;
    if (count == 0)
        return err_set(err, ERR_NOT_FOUND, "the checkpoint holds no tensor");
    for (size_t i = 0; i < count; i++) {
        struct checkpoint_tensor tensor;
        struct err reason = ERR_INIT;
        code = checkpoint_find(checkpoint, checkpoint_name(checkpoint, i), &tensor, &reason);
        if (code && code != ERR_UNSUPPORTED) {
            *err = reason;
            return code;
        }
    }
    return 0;
}

static int check_checkpoint(struct revision_source *source, struct err *err)
{
    struct checkpoint *checkpoint = NULL;
    int code = revision_source_open_checkpoint(source, &checkpoint, err);
    if (!code)
        code = check_tensors(checkpoint, err);
    checkpoint_close(checkpoint);
    return code;
}

/* Of clocks that differ by seconds this is soon over; what is dated years ahead would be waited for until
 * then. */
static void say_fresh(int64_t newest_ms, int64_t now_ms, char *reason)
{
    char when[CLOCK_TEXT_SIZE];
    clock_format(newest_ms, when, sizeof when);
    if (newest_ms > now_ms + COMPLETENESS_SETTLE_MS)
        (void)snprintf(
            reason, ERR_MESSAGE_BYTES,
            "a file of it is dated ahead of this machine's clock, %s, and counts as being written until "
            "then: set the clock that is wrong, and give the file its right time with touch",
            when);
    else
        (void)snprintf(reason, ERR_MESSAGE_BYTES, "a file of it changed less than %d s ago",
                       COMPLETENESS_SETTLE_MS / 1000);
}

int completeness_check(struct repository *repository, struct store *store,
                       const struct revision_row *revision, int64_t now_ms,
                       enum completeness *ret_completeness, char *reason, struct err *err)
{
    struct revision_source source = {0};
    struct err found = ERR_INIT;
    *ret_completeness = COMPLETENESS_WHOLE;
    reason[0] = 0;
    int code = revision_source_open(&source, store, repository, revision, &found);
    if (!code && completeness_is_fresh(source.tree->newest_ms, now_ms)) {
        *ret_completeness = COMPLETENESS_FRESH;
        say_fresh(source.tree->newest_ms, now_ms, reason);
    } else if (!code) {
        code = check_checkpoint(&source, &found);
    }
    revision_source_close(&source);
    if (code && !is_of_the_checkpoint(code)) {
        *err = found;
        return code;
    }
    if (code) {
        /* ERR_MISMATCH: it changed since it was listed */
        *ret_completeness = code == ERR_MISMATCH ? COMPLETENESS_FRESH : COMPLETENESS_BROKEN;
        (void)snprintf(reason, ERR_MESSAGE_BYTES, "%s", found.message);
    }
    return 0;
}
