/*
 * The sweeps that a worker has left to others, because this machine does not have what they need: a folder,
 * or the hub while that is down. Each for a while only, since a folder may be mounted later. No locks: the
 * caller has one.
 */
#ifndef BIFURCATED_REMOTE_LEFT_LIST_H
#define BIFURCATED_REMOTE_LEFT_LIST_H

#include "api/wire/wire.h"
#include "store/tasks.h"

#include <stddef.h>
#include <stdint.h>

#define LEFT_LIST_KEEP_MS TASKS_LEFT_MS

struct left_list {
    struct {
        int64_t sweep_id, until_ms;
    } rows[WIRE_EXCEPT_MAX]; /* the oldest first */
    size_t count;
};

/* The time is monotonic. In a full list the oldest makes room. */
void left_list_note(struct left_list *list, int64_t sweep_id, int64_t now_ms);

/* Those that are still left to others, into ids[WIRE_EXCEPT_MAX]; returns how many. */
size_t left_list_read(struct left_list *list, int64_t now_ms, int64_t *ids);

int left_list_is_full(const struct left_list *list);

#endif
