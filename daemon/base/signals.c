#include "daemon/base/signals.h"

#include <pthread.h>

static pthread_t main_thread;

static void hand_on(int signal)
{
    (void)pthread_kill(main_thread, signal);
}

void signals_take(sigset_t *signals)
{
    struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART};
    main_thread = pthread_self();
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, signals, NULL);
    (void)sigfillset(&action.sa_mask);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is an error of the write */
}

void signals_let_end(const sigset_t *signals)
{
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGHUP, SIG_IGN);
    (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}
