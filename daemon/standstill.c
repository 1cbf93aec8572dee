#include "daemon/standstill.h"

#include "daemon/base/clock.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 10000 /* the reserve looks at the disk about so often */

static void note_full_disk(struct reserve *reserve, struct api_hub_wait *wait)
{
    struct reserve_room room;
    reserve_read_room(reserve, &room);
    wait->serial += room.changes;
    if (!room.is_full)
        return;
    wait->reason = err_name(ERR_NO_SPACE);
    wait->until_ms = clock_wall_ms() + LOOK_MS;
    (void)snprintf(wait->detail, sizeof wait->detail,
                   "the disk of the daemon's state folder is full (%.1f MB are free): make room",
                   (double)room.free_bytes / 1e6);
}

void standstill_read(struct hub *hub, struct cut_off *cut_off, struct reserve *reserve,
                     struct api_hub_wait *ret_wait)
{
    struct hub_wait wait;
    hub_read_wait(hub, &wait);
    *ret_wait = (struct api_hub_wait){.reason = wait.reason ? hub_wait_reason_name(wait.reason) : NULL,
                                      .until_ms = wait.until_ms,
                                      .serial = wait.serial,
                                      .is_endured = wait.is_endured && !wait.is_partial};
    memcpy(ret_wait->detail, wait.detail, sizeof ret_wait->detail);
    cut_off_read(cut_off, ret_wait);
    note_full_disk(reserve, ret_wait);
}
