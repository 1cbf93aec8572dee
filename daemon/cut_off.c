#include "daemon/cut_off.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"

#include <stdio.h>
#include <string.h>

#define SILENT_MS 120000 /* then nobody knows any more: there may be no worker at all */
#define ASK_MS 5000      /* workers without a hub speak so often */

void cut_off_init(struct cut_off *cut_off)
{
    memset(cut_off, 0, sizeof *cut_off);
    (void)pthread_mutex_init(&cut_off->lock, NULL);
}

void cut_off_free(struct cut_off *cut_off)
{
    (void)pthread_mutex_destroy(&cut_off->lock);
}

void cut_off_note(struct cut_off *cut_off, const char *problem)
{
    (void)pthread_mutex_lock(&cut_off->lock);
    int is_new = !cut_off->problem[0] != !problem[0];
    cut_off->told_ms = clock_monotonic_ms();
    cut_off->change_count += is_new ? 1 : 0;
    (void)snprintf(cut_off->problem, sizeof cut_off->problem, "%s", problem);
    (void)pthread_mutex_unlock(&cut_off->lock);
    if (is_new && problem[0])
        log_warning("no worker reaches the hub; what needs it waits for one that does",
                    log_text("reason", problem),
                    log_text("remedy", "see what the reason names, on the machines of the workers"), log_end);
    else if (is_new)
        log_info("workers reach the hub again", log_end);
}

void cut_off_read(struct cut_off *cut_off, struct api_hub_wait *wait)
{
    (void)pthread_mutex_lock(&cut_off->lock);
    wait->serial += cut_off->change_count;
    if (cut_off->problem[0] && !wait->reason && clock_monotonic_ms() - cut_off->told_ms < SILENT_MS) {
        wait->reason = "unreachable";
        wait->until_ms = clock_wall_ms() + ASK_MS;
        (void)snprintf(wait->detail, sizeof wait->detail, "no worker reaches it: %.400s", cut_off->problem);
    }
    (void)pthread_mutex_unlock(&cut_off->lock);
}
