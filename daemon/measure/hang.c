#include "daemon/measure/hang.h"

#include <inttypes.h>
#include <stdatomic.h>

enum hang hang_judge(const struct pulse *pulse, int64_t limit_ms, struct err *reason)
{
    int64_t age_ms = pulse_age_ms(pulse);
    const char *callee = atomic_load(&pulse->callee);
    if (!limit_ms || age_ms < limit_ms / 4)
        return HANG_NONE;
    *reason = (struct err)ERR_INIT;
    if (callee)
        (void)err_set(
            reason, ERR_DEVICE_LOST,
            "%s has not answered for %" PRId64
            " s: see dmesg and nvidia-smi; a GPU that hangs has to be reset, or the machine started "
            "again",
            callee, age_ms / 1000);
    else
        (void)err_set(reason, ERR_TIMEOUT,
                      "nothing has moved for %" PRId64
                      " s: no byte was read, nothing was computed. A network file system that does not "
                      "answer does this: check dmesg and the folder's mount",
                      age_ms / 1000);
    return age_ms < limit_ms ? HANG_DOUBT : HANG_CERTAIN;
}

int hang_is_of_folder(struct hub *hub, const char *model, struct err *reason)
{
    struct err err = ERR_INIT;
    if (reason->code != ERR_TIMEOUT || !hub_visit_folder(hub, model, &err) ||
        (err.code != ERR_UNREACHABLE && err.code != ERR_TIMEOUT))
        return 0;
    (void)err_set(reason, ERR_CANCELLED, "%s; the task has not failed, and is tried again", err.message);
    return 1;
}

void hang_forgive(struct pulse *pulse, int64_t since_ms, int64_t limit_ms)
{
    if (limit_ms && since_ms >= limit_ms / 2)
        pulse_beat_for(pulse);
}
