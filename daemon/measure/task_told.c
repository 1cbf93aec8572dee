#include "daemon/measure/task_told.h"

#include <stdio.h>
#include <string.h>

void task_told_init(struct task_told *told)
{
    *told = (struct task_told){.next = 0};
    (void)pthread_mutex_init(&told->lock, NULL);
}

void task_told_free(struct task_told *told)
{
    (void)pthread_mutex_destroy(&told->lock);
}

/* With the lock: whether it was said, and from now on it has been. */
static int was_gated_told(struct task_told *told, int64_t sweep_id)
{
    int was_told = sweep_id <= told->gated;
    told->gated = was_told ? told->gated : sweep_id;
    return was_told;
}

/* Likewise. */
static int was_row_told(struct task_told *told, const struct task_told_row *row)
{
    for (size_t i = 0; i < TASK_TOLD_MAX; i++) {
        const struct task_told_row *one = &told->rows[i];
        if (one->sweep_id == row->sweep_id && one->is_final == row->is_final &&
            strcmp(one->reason, row->reason) == 0)
            return 1;
    }
    told->rows[told->next++ % TASK_TOLD_MAX] = *row;
    return 0;
}

enum log_level task_told_level(struct task_told *told, int64_t sweep_id, const struct err *reason,
                               int is_final)
{
    struct task_told_row row = {.sweep_id = sweep_id, .is_final = is_final};
    const char *text = reason->message, *colon = strstr(text, ": ");
    if (strncmp(text, "revision ", 9) == 0 && colon)
        text = colon + 2;
    (void)snprintf(row.reason, sizeof row.reason, "%.*s", (int)strcspn(text, ";"), text);
    (void)pthread_mutex_lock(&told->lock);
    int was_told = reason->code == ERR_GATED ? was_gated_told(told, sweep_id) : was_row_told(told, &row);
    (void)pthread_mutex_unlock(&told->lock);
    return was_told ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING;
}

enum log_level task_told_caution(struct task_told *told, int64_t sweep_id, const char *caution)
{
    struct err reason = ERR_INIT;
    (void)snprintf(reason.message, sizeof reason.message, "%s", caution);
    return task_told_level(told, sweep_id, &reason, 0);
}
