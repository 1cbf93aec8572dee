#include "daemon/serving/held_socket.h"

#include <stdlib.h>
#include <unistd.h>

#ifdef BIFURCATED_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

#define NAME "FDNAME=listening"

int held_socket_take(void)
{
    int count = sd_listen_fds(0);
    for (int i = 1; i < count; i++) /* we give one */
        (void)close(SD_LISTEN_FDS_START + i);
    return count > 0 ? SD_LISTEN_FDS_START : 0;
}

int held_socket_has_holder(void)
{
    return getenv("NOTIFY_SOCKET") != NULL; // NOLINT(concurrency-mt-unsafe): nobody sets variables
}

void held_socket_give(int fd)
{
    (void)sd_notify(0, "FDSTOREREMOVE=1\n" NAME);
    (void)sd_pid_notify_with_fds(0, 0, "FDSTORE=1\n" NAME, &fd, 1);
}

#else

int held_socket_take(void)
{
    return 0;
}

int held_socket_has_holder(void)
{
    return 0;
}

void held_socket_give(int fd)
{
    (void)fd;
}

#endif
