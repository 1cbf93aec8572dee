/*
 * For this folder only: the pool of read connections. They are opened as they are needed, a few at most, and
 * stay open until the pool is closed.
 */
#ifndef BIFURCATED_STORE_READERS_H
#define BIFURCATED_STORE_READERS_H

#include "store/connection.h"

#include <pthread.h>

struct readers {
    const char *path; /* borrowed */
    pthread_mutex_t mutex;
    pthread_cond_t returned;
    struct connection *idle; /* under the mutex, as is the next */
    int count;               /* with those that are in use */
};

void readers_init(struct readers *readers, const char *path);

/* All have been given back. */
void readers_close(struct readers *readers);

/* Takes a connection, waiting for one if as many as there may be are in use. */
int readers_take(struct readers *readers, struct connection **ret_connection, struct err *err);

/* Gives it back, and ends its snapshot if it has one. */
void readers_give(struct readers *readers, struct connection *connection);

#endif
