#include "daemon/measure/log_repeats.h"

#include <stdio.h>
#include <string.h>

void log_repeats_init(struct log_repeats *repeats)
{
    *repeats = (struct log_repeats){.next = 0};
    (void)pthread_mutex_init(&repeats->lock, NULL);
}

void log_repeats_free(struct log_repeats *repeats)
{
    (void)pthread_mutex_destroy(&repeats->lock);
}

/* With the lock: whether it was said, and from now on it has been. */
static int was_gated_told(struct log_repeats *repeats, int64_t sweep_id)
{
    int was_told = sweep_id <= repeats->gated;
    repeats->gated = was_told ? repeats->gated : sweep_id;
    return was_told;
}

/* Likewise. */
static int was_row_told(struct log_repeats *repeats, const struct log_repeats_row *row)
{
    for (size_t i = 0; i < LOG_REPEATS_MAX; i++) {
        const struct log_repeats_row *one = &repeats->rows[i];
        if (one->sweep_id == row->sweep_id && one->is_final == row->is_final &&
            strcmp(one->reason, row->reason) == 0)
            return 1;
    }
    repeats->rows[repeats->next++ % LOG_REPEATS_MAX] = *row;
    return 0;
}

enum log_level log_repeats_level(struct log_repeats *repeats, int64_t sweep_id, const struct err *reason,
                                 int is_final)
{
    struct log_repeats_row row = {.sweep_id = sweep_id, .is_final = is_final};
    const char *text = reason->message, *colon = strstr(text, ": ");
    if (strncmp(text, "revision ", 9) == 0 && colon)
        text = colon + 2;
    (void)snprintf(row.reason, sizeof row.reason, "%.*s", (int)strcspn(text, ";"), text);
    (void)pthread_mutex_lock(&repeats->lock);
    int was_told =
        reason->code == ERR_GATED ? was_gated_told(repeats, sweep_id) : was_row_told(repeats, &row);
    (void)pthread_mutex_unlock(&repeats->lock);
    return was_told ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING;
}

enum log_level log_repeats_level_of_caution(struct log_repeats *repeats, int64_t sweep_id,
                                            const char *caution)
{
    struct err reason = ERR_INIT;
    (void)snprintf(reason.message, sizeof reason.message, "%s", caution);
    return log_repeats_level(repeats, sweep_id, &reason, 0);
}
