/*
 * A little disk space kept for bad times: with the disk full, it is given up so that the database can still
 * record why a sweep or a task failed. It also knows whether the disk is full.
 */
#ifndef BIFURCATED_BASE_RESERVE_H
#define BIFURCATED_BASE_RESERVE_H

#include "daemon/base/err.h"

#include <stdint.h>

#define RESERVE_FILE_NAME "reserve"
#define RESERVE_BYTES (1024 * 1024) /* many times what such a transaction writes */

struct reserve;

/* The disk of the state folder. */
struct reserve_room {
    int is_full;         /* not even a reserve fits, or one was given up and there is no room for another */
    uint64_t free_bytes; /* for this user; 0 if unknown */
    uint64_t size_bytes; /* 0 if unknown */
    uint64_t changes;    /* how often it was seen to become full, or not to be any more */
};

/* A reserve in the state folder, filled if there is room. */
int reserve_new(const char *state_folder, struct reserve **ret_reserve, struct err *err);

/* The file stays, for the next start. NULL is allowed. */
void reserve_free(struct reserve *reserve);

/* Gives the space up; returns whether there was any. NULL is allowed. From any thread. */
int reserve_spend(struct reserve *reserve);

/* Takes the space again if it was given up and there is room; fails in silence. */
void reserve_fill(struct reserve *reserve);

/* How the disk is now. From any thread. */
void reserve_read_room(struct reserve *reserve, struct reserve_room *ret_room);

#endif
