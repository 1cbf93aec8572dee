/*
 * Tasks that hang: nothing has moved for so long (hang-after-s) that it is not slowness.
 *
 * A call of a GPU's driver, or a read from a network file system, may never return, and nothing but the end
 * of the process ends it. So the thread that keeps a slot's lease also watches the slot's pulse
 * (daemon/base/pulse.h). Everything that moves beats it: bytes that arrive, pieces that are hashed, batches
 * that are scored; and so do waits that others end, for the hub, the device, memory, or another task that
 * is doing the same. A hang is a failure of its task, which the attempts count; nothing more is claimed,
 * the other tasks are given back, and the process ends with the status of a lost device (70), for its
 * supervisor to start it again.
 */
#ifndef BIFURCATED_MEASURE_HANG_H
#define BIFURCATED_MEASURE_HANG_H

#include "daemon/base/err.h"
#include "daemon/base/pulse.h"
#include "daemon/hub/hub.h"

#include <stdint.h>

enum hang {
    HANG_NONE,
    HANG_DOUBT,  /* nothing has moved for a quarter of the limit: worth a line in the log */
    HANG_CERTAIN /* for all of it */
};

/* Judges the slot with this pulse, which works on a task; limit_ms 0: never a hang. Unless it is HANG_NONE,
 * *reason becomes what to fail the task with: ERR_DEVICE_LOST if it is the device that does not answer,
 * else ERR_TIMEOUT. */
enum hang hang_judge(const struct pulse *pulse, int64_t limit_ms, struct err *reason);

/* For a task that hangs, with the reason that hang_judge() gave: where the model's whole folder does not
 * answer (a dead mount), the task has not failed. Returns whether, and *reason then says so
 * (ERR_CANCELLED); takes some seconds. */
int hang_is_of_folder(struct hub *hub, const char *model, struct err *reason);

/* For the judging thread, when it has not looked for `since_ms`: if that is half of the limit, the whole
 * process stood still (a cluster suspended its job, a machine slept), for which no slot is to blame, and
 * the pulse starts over. */
void hang_forgive(struct pulse *pulse, int64_t since_ms, int64_t limit_ms);

#endif
