/*
 * The listening socket, held by systemd while the daemon restarts: clients that connect meanwhile wait
 * instead of being refused.
 *
 * It lies in the unit's store of descriptors (FileDescriptorStoreMax=), which keeps it over a restart, a
 * crash and an upgrade, and lets it go with a stop. A unit of type socket would do the same, but start the
 * daemon whenever somebody asks, also while an administrator restores a backup. Without a supervisor, or
 * without libsystemd, all of this does nothing.
 */
#ifndef BIFURCATED_SERVING_HELD_SOCKET_H
#define BIFURCATED_SERVING_HELD_SOCKET_H

/* The socket that the previous daemon gave, or 0. It may be at another address than is wanted now. Called
 * once. */
int held_socket_take(void);

/* Whether there is a manager that may hold it. */
int held_socket_has_holder(void);

/* Has this socket held instead of the present one. */
void held_socket_give(int fd);

#endif
