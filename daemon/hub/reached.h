/*
 * Which hub has ever answered this daemon, in a file of the state folder that outlives the process. A hub
 * that never answered may have a mistyped address; one that did is down when it does not
 * (daemon/hub/outage.h).
 */
#ifndef BIFURCATED_HUB_REACHED_H
#define BIFURCATED_HUB_REACHED_H

/* Whether this endpoint is the one that answered last. A file that cannot be read knows none. */
int reached_read(const char *state_folder, const char *endpoint);

/* It has answered. What cannot be written is only missed after a restart. */
void reached_write(const char *state_folder, const char *endpoint);

#endif
