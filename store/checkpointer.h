/*
 * For this folder only: the thread that moves the log (WAL) into the database file, so that no commit waits
 * for the disk longer than its own durability asks: a checkpoint writes thousands of pages and syncs twice.
 *
 * It has a connection of its own and works beside readers and the writer. Where writes come so fast that the
 * log never gets empty, or reads so close upon each other that it never begins anew, the writer itself ends
 * the race once the log has CHECKPOINTER_PAGES_MAX pages.
 */
#ifndef BIFURCATED_STORE_CHECKPOINTER_H
#define BIFURCATED_STORE_CHECKPOINTER_H

#include "store/connection.h"

#define CHECKPOINTER_PAGES 4096      /* 16 MiB more of log: the thread's turn */
#define CHECKPOINTER_PAGES_MAX 16384 /* 64 MiB, as the connections' journal_size_limit */

struct checkpointer;

/* Takes over from SQLite's automatic checkpoints of `writer`, which must outlive it and be used under one
 * lock. */
int checkpointer_start(const char *path, struct connection *writer, struct checkpointer **ret_checkpointer,
                       struct err *err);

/* Whether a requested checkpoint, or one that became due since, is not done. Bulk writers wait for it so as
 * not to outrun the thread. NULL is allowed, here and below. */
int checkpointer_is_behind(struct checkpointer *checkpointer);

/* Once it is not behind, under the writer's lock: the next commit begins the log anew. Little is left to move
 * then; waits for the reads that have begun. */
void checkpointer_restart(struct checkpointer *checkpointer);

/* Keeps the thread from checkpoints until checkpointer_release(): SQLite refuses a second one at a time. */
void checkpointer_hold(struct checkpointer *checkpointer);
void checkpointer_release(struct checkpointer *checkpointer);

/* Ends the thread after its present checkpoint; frees. */
void checkpointer_stop(struct checkpointer *checkpointer);

#endif
