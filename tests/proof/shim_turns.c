/*
 * A main loop that turns quickly: an object to be preloaded. Each wait for signals takes 20 ms at most, after
 * which the monotonic clock of the thread that waited is a minute further on, so that what the loop does once
 * in a while is due in every turn. Other threads keep their time, and so does that one once a signal has
 * come. A byte is added to the file $PROOF_TURNS for each time that free memory is given back.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static __thread long ahead_s;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static int (*next)(clockid_t, struct timespec *);
    if (!next)
        next = (__typeof__(next))dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, time);
    if (!result && clock == CLOCK_MONOTONIC)
        time->tv_sec += ahead_s;
    return result;
}

int sigtimedwait(const sigset_t *signals, siginfo_t *info, const struct timespec *timeout)
{
    static int (*next)(const sigset_t *, siginfo_t *, const struct timespec *);
    const struct timespec turn = {.tv_nsec = 20 * 1000 * 1000};
    (void)timeout;
    if (!next)
        next = (__typeof__(next))dlsym(RTLD_NEXT, "sigtimedwait");
    int signal = next(signals, info, &turn);
    ahead_s = signal < 0 ? ahead_s + 60 : 0;
    return signal;
}

int malloc_trim(size_t pad)
{
    const char *path = getenv("PROOF_TURNS");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    (void)pad;
    if (fd >= 0) {
        if (write(fd, "t", 1) < 0)
            abort();
        (void)close(fd);
    }
    return 0;
}
