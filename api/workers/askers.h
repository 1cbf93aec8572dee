/*
 * Who asks for work at present, also while he waits for it. A slot of a worker asks once at a time: where it
 * asks anew, or says that it leaves, nobody hears the answer to what it had asked before.
 */
#ifndef BIFURCATED_API_WORKERS_ASKERS_H
#define BIFURCATED_API_WORKERS_ASKERS_H

#include "store/store.h"

struct api_askers;

/* One request, its owner's. */
struct api_asker {
    struct api_asker *next;
    char worker[STORE_WORKER_SIZE];
    int is_over; /* its worker has spoken since */
};

/* NULL without memory. */
struct api_askers *api_askers_new(void);

/* Once nobody asks any more. NULL is allowed. */
void api_askers_free(struct api_askers *askers);

/* From here to api_askers_leave() the request asks for this worker; what that one asked before is over. */
void api_askers_enter(struct api_askers *askers, struct api_asker *asker, const char *worker);
void api_askers_leave(struct api_askers *askers, struct api_asker *asker);

int api_askers_is_over(struct api_askers *askers, const struct api_asker *asker);

#endif
