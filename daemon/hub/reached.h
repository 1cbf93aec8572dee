/*
 * Which hub has ever answered this daemon, in a file of the state folder that outlives the process: the
 * endpoint, then what was answered of its other parts (daemon/hub/parts.h), one address a line, without
 * what is secret in it. A hub that never answered may have a mistyped address; one that answered before and
 * does not now is down.
 */
#ifndef BIFURCATED_HUB_REACHED_H
#define BIFURCATED_HUB_REACHED_H

/* Whether this endpoint is the one that answered last; then `take` is called for each further address. A file
 * that cannot be read knows none. */
int reached_read(const char *state_folder, const char *endpoint, void (*take)(void *context, const char *url),
                 void *context);

/* It has answered; `urls`: the other addresses, each with a line's end. If this cannot be written, it is
 * only missed after a restart. */
void reached_write(const char *state_folder, const char *endpoint, const char *urls);

#endif
