/*
 * Signals of a process that runs for long, taken by its main thread alone (sigwait).
 *
 * Libraries may have started threads before main (OpenBLAS does) that do not block them, so a handler there
 * hands them on and does nothing else.
 */
#ifndef BIFURCATED_BASE_SIGNALS_H
#define BIFURCATED_BASE_SIGNALS_H

#include <signal.h>

/* In the main thread, before others are started: TERM, INT and HUP wait to be taken from *signals. */
void signals_take(sigset_t *signals);

/* From here on a second signal ends the process at once; the queue is made for that. */
void signals_let_end(const sigset_t *signals);

#endif
