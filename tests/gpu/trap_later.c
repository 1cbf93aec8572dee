/*
 * Loses the GPU of a program that knows nothing of it: loaded with LD_PRELOAD, it waits for the file that
 * BIFURCATED_TRAP_FILE names and then breaks the process' context (faults.h).
 */
#include "tests/gpu/faults.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void *wait_for_file(void *context)
{
    const struct timespec moment = {.tv_nsec = 5000000};
    while (access(context, F_OK) != 0)
        (void)nanosleep(&moment, NULL);
    const char *what = faults_break("trap");
    (void)fprintf(stderr, "trap_later: %s\n", what ? what : "nothing broke");
    return NULL;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;
    char *file = getenv("BIFURCATED_TRAP_FILE");
    if (file && pthread_create(&thread, NULL, wait_for_file, file) == 0)
        (void)pthread_detach(thread);
}
