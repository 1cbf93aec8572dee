#include "daemon/remote/left_list.h"

#include <string.h>

static void remove_at(struct left_list *list, size_t at)
{
    list->count--;
    memmove(&list->rows[at], &list->rows[at + 1], (list->count - at) * sizeof list->rows[0]);
}

void left_list_note(struct left_list *list, int64_t sweep_id, int64_t now_ms)
{
    size_t at = 0;
    while (at < list->count && list->rows[at].sweep_id != sweep_id)
        at++;
    if (at < list->count) /* several slots may have been at it */
        remove_at(list, at);
    else if (left_list_is_full(list))
        remove_at(list, 0);
    list->rows[list->count].sweep_id = sweep_id;
    list->rows[list->count++].until_ms = now_ms + LEFT_LIST_KEEP_MS;
}

size_t left_list_read(struct left_list *list, int64_t now_ms, int64_t *ids)
{
    while (list->count && list->rows[0].until_ms <= now_ms)
        remove_at(list, 0);
    for (size_t i = 0; i < list->count; i++)
        ids[i] = list->rows[i].sweep_id;
    return list->count;
}

int left_list_is_full(const struct left_list *list)
{
    return list->count == WIRE_EXCEPT_MAX;
}
