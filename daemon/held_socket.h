/*
 * The listening socket, held by systemd while the daemon is started anew: who asks meanwhile waits, and is
 * not refused.
 *
 * It lies in the unit's store of descriptors (FileDescriptorStoreMax=), which keeps it over a restart, a
 * crash and an upgrade, and lets it go with a stop. A unit of type socket would do the same, but start the
 * daemon whenever somebody asks, also while an administrator restores a backup. Without a supervisor, or
 * without libsystemd, all of this does nothing.
 */
#ifndef BIFURCATED_DAEMON_HELD_SOCKET_H
#define BIFURCATED_DAEMON_HELD_SOCKET_H

/* What the daemon before gave, or 0: it may be at another address than is wanted now. Called once. */
int held_socket_take(void);

/* Whether there is somebody who might hold it. */
int held_socket_has_holder(void);

/* In the place of the one that is held. */
void held_socket_give(int fd);

#endif
