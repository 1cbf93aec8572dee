/*
 * bifurcated: reads the options, starts the service, waits for signals, stops. With a command
 * (daemon/command/commands.h) it does that instead.
 *
 * Signals are taken by this thread alone (daemon/base/signals.h). TERM and INT drain and stop, a second one
 * stops at once; HUP reads the log options and the certificate again. Exit status: 0 stopped as asked, 1
 * could not start, 2 wrong options, 70 a compute device is lost or a task hangs (the supervisor should start
 * the daemon again).
 */
#include "daemon/base/clock.h"
#include "daemon/base/heap.h"
#include "daemon/base/log.h"
#include "daemon/base/signals.h"
#include "daemon/base/standard_files.h"
#include "daemon/command/commands.h"
#include "daemon/command/help.h"
#include "daemon/options/options.h"
#include "daemon/options/stray_variable.h"
#include "daemon/service.h"
#include "daemon/supervisor.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 5000
#define ADDRESSES_MB                                                                                         \
    2000 /* that threads and libraries reserve, on most machines; memory is a small part of it */

static void reload(int argc, char **argv, struct options *options, struct service *service)
{
    char ignored[64];
    struct err err = ERR_INIT, access_err = ERR_INIT;
    supervisor_notify_reloading();
    int code = options_reload(argc, argv, options, ignored, sizeof ignored, &err);
    if (service_reopen_access_log(service, &access_err))
        log_error("the access log was not reopened", log_text("reason", access_err.message), log_end);
    if (code) {
        log_error("the options cannot be read again; the old ones stay", log_text("reason", err.message),
                  log_end);
    } else {
        options_apply_log(options);
        log_info("options reloaded", log_text("needs_restart", ignored), log_end);
    }
    struct err fault = ERR_INIT;
    int replaced = service_reload_token(service, &fault);
    if (replaced > 0)
        log_info("the token of token-file was replaced; the old one is not valid any more", log_end);
    if (replaced < 0)
        log_error("token-file cannot be read again; the old token stays valid",
                  log_text("reason", fault.message), log_end);
    int renewed = service_reload_certificate(service, &fault);
    if (renewed > 0)
        log_info("the certificate was reloaded", log_end);
    if (renewed < 0)
        log_error("the certificate cannot be read again; the old one stays",
                  log_text("reason", fault.message), log_end);
    supervisor_notify_ready();
}

/* Waits for the signal to stop; meanwhile tells the supervisor how things are, and tends the heap. */
static void wait_for_stop(int argc, char **argv, struct options *options, struct service *service,
                          const sigset_t *signals)
{
    struct supervisor supervisor;
    supervisor_init(&supervisor);
    const struct timespec interval = {.tv_sec = supervisor.interval_ms / 1000,
                                      .tv_nsec = supervisor.interval_ms % 1000 * 1000000};
    for (;;) {
        supervisor_tick(&supervisor, service);
        heap_tend();
        int signal = sigtimedwait(signals, NULL, &interval);
        if (signal < 0)
            continue;
        if (signal == SIGHUP) {
            reload(argc, argv, options, service);
            continue;
        }
        log_info("stopping", log_text("signal", signal == SIGTERM ? "TERM" : "INT"), log_end);
        return;
    }
}

/* How much address space the process may have (ulimit -v); 0: no bound. */
static uint64_t address_space_mb(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY ? 0 : limit.rlim_cur / 1000000 + 1;
}

static void tell_failed_start(const struct err *err)
{
    char hint[200] = "";
    const uint64_t space_mb = address_space_mb();
    if (space_mb && space_mb < ADDRESSES_MB)
        (void)snprintf(hint, sizeof hint,
                       "ulimit -v (LimitAS=) allows %" PRIu64 " MB of address space, of which threads alone "
                       "reserve up to %d: remove that limit, and bound memory with MemoryMax= or memory-mb",
                       space_mb, ADDRESSES_MB);
    if (hint[0])
        log_error("cannot start", log_text("error", err_name(err->code)), log_text("reason", err->message),
                  log_text("hint", hint), log_end);
    else
        log_error("cannot start", log_text("error", err_name(err->code)), log_text("reason", err->message),
                  log_end);
}

/* At the end of main. Where address space is bounded, a thread of OpenBLAS may wait for more of it for ever,
 * and its library, while the process ends, for the thread: so nothing of libraries is run then. */
static int leave(int status)
{
    if (!address_space_mb())
        return status;
    (void)fflush(NULL);
    _exit(status);
}

static int run(int argc, char **argv, struct options *options)
{
    char reason[ERR_MESSAGE_BYTES] = "";
    struct err err = ERR_INIT, owner_err = ERR_INIT;
    struct service *service = NULL;
    sigset_t signals;
    signals_take(&signals);

    log_info("starting", log_text("version", BIFURCATED_VERSION), log_text("state", options->state),
             log_text("config", options->config), log_end);
    stray_variable_find(reason, sizeof reason);
    if (reason[0])
        log_warning("a variable of the environment is not an option", log_text("reason", reason), log_end);
    if (!clock_is_set(clock_wall_ms()))
        log_warning(
            "the clock of this machine is not set: until it is, times are recorded as it says, and hosts "
            "with TLS are not trusted",
            log_end);
    if (commands_check_user(options, &owner_err)) /* not refused: root in a container may mean it */
        log_warning("root runs this daemon on another user's state", log_text("reason", owner_err.message),
                    log_end);
    if (service_start(options, &service, &err)) {
        tell_failed_start(&err);
        return COMMANDS_STATUS_FAILED;
    }
    supervisor_notify_ready();
    wait_for_stop(argc, argv, options, service, &signals);
    supervisor_notify_stopping();
    signals_let_end(&signals);
    int is_lost = service_is_lost(service, reason, sizeof reason);
    if (is_lost && service_leave(service)) {
        log_info("stopped", log_end);
        _exit(COMMANDS_STATUS_LOST);
    }
    service_stop(service, is_lost ? 0 : DRAIN_MS);
    log_info("stopped", log_end);
    return is_lost ? COMMANDS_STATUS_LOST : 0;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    const struct command *command = argc > 1 ? commands_find(argv[1]) : NULL;
    int status = 0;
    heap_tame();
    if (standard_files_reserve())
        return 1; /* and nowhere to say why */
    if (command && commands_asks_help(argc - 1, argv + 1)) {
        help_print_command(command, stdout);
        return leave(commands_end(0));
    }
    if (command)
        return leave(commands_end(command->run(argc - 1, argv + 1)));
    if (argc > 1 && argv[1][0] != '-')
        return leave(commands_refuse(argv[1]));
    int is_over = commands_load_options(argc, argv, &options, &status);
    status = is_over ? commands_end(status) : run(argc, argv, &options);
    options_free(&options);
    return leave(status);
}
