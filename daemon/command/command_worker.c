/*
 * `bifurcated worker --connect URL`: a remote worker as a process of its own.
 */
#include "api/client/rest.h"
#include "daemon/base/file.h"
#include "daemon/base/heap.h"
#include "daemon/base/log.h"
#include "daemon/base/signals.h"
#include "daemon/command/commands.h"
#include "daemon/measure/engine.h"
#include "daemon/remote/remote_worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 5000
#define FETCHERS 3 /* where the daemon's own file says 0, which is meant for the daemon */
#define TEND_INTERVAL_S 60
#define IDLE_EXIT_S_MAX (365L * 86400)

/* The options that only this command has; the others are those of the daemon. */
struct arguments {
    const char *connect, *name, *ca_file, *state;
    int64_t sweep_id, idle_exit_s;
};

struct process {
    struct engine engine;
    struct remote_store *store;
    struct remote_worker *worker;
    atomic_int end; /* enum remote_end, or -1 */
};

const char command_worker_usage[] =
    "Usage: bifurcated worker --connect URL [--OPTION VALUE]...\n"
    "\n"
    "Claims revisions of a running daemon, fetches them from the hub, measures\n"
    "them on this machine, and hands the numbers in. Any number of workers, on\n"
    "any number of machines, may work for one daemon. A worker that is killed\n"
    "loses nothing: others take over what it had.\n"
    "\n"
    "  --connect URL      the daemon ($BIFURCATE_SERVER)\n"
    "  --token-file FILE  its token ($BIFURCATE_TOKEN)\n"
    "  --connect-ca-file FILE\n"
    "                     certificates (PEM) to trust for https\n"
    "                     ($BIFURCATE_CA_FILE)\n"
    "  --name NAME        how the daemon shows this worker, with digits of this\n"
    "                     process behind it (host/process)\n"
    "  --sweep ID         work on this sweep alone\n"
    "  --idle-exit-s N    end after N seconds without work (0: never); while\n"
    "                     the hub is down, time does not count; with status 1\n"
    "                     if the daemon has not answered once\n"
    "  --state FOLDER     for what it keeps between starts (a temporary folder\n"
    "                     that goes with it)\n"
    "\n"
    "and of the daemon's options those of [hub], [compute] and [log],\n"
    "--fetchers, --memory-mb and, with --state, --references-mb: see\n"
    "bifurcated --help. Several workers on one machine share it: give each its\n"
    "--threads and --memory-mb, and on one GPU its --device-memory-mb.\n"
    "--request-budget is for each worker, the hub's limit for all of them.\n"
    "Folders (models and data sets that begin with file:) must be on this\n"
    "machine, too; a sweep that needs one that is not is left to others. So\n"
    "are sweeps that need the hub while this machine does not reach it, which\n"
    "the daemon shows. The Debian package has a unit for each device:\n"
    "systemctl enable --now bifurcated-worker@cuda:1.\n"
    "\n"
    "The file of the token is read anew when the daemon refuses the token.\n"
    "\n"
    "Exit status: 0 nothing left to do, or stopped by TERM or INT; 1 could not\n"
    "start, or the daemon does not accept this worker (token, version); 2 wrong\n"
    "options; 70 the compute device is lost, or a revision hangs\n"
    "(hang-after-s).\n";

static const char *const own_options[] = {"connect",     "name", "connect-ca-file", "state", "sweep",
                                          "idle-exit-s", NULL};

static int take_number(int *argc, char **argv, const char *name, int64_t max, int64_t *ret_value,
                       struct err *err)
{
    char *end = NULL;
    const char *text = commands_take_option(argc, argv, name);
    *ret_value = 0;
    if (!text)
        return 0;
    errno = 0;
    *ret_value = strtoll(text, &end, 10);
    if (end == text || *end || errno || *ret_value < 0 || *ret_value > max)
        return err_set(err, ERR_INVALID, "--%s: \"%s\" is not a number from 0 to %lld", name, text,
                       (long long)max);
    return 0;
}

static int check_name(const char *name, struct err *err)
{
    size_t length = name ? strlen(name) : 1;
    for (size_t i = 0; name && i < length; i++) {
        if (name[i] <= 0x20 || name[i] >= 0x7f)
            length = 0;
    }
    if (length < 1 || length > 60)
        return err_set(err, ERR_INVALID, "--name: not 1 to 60 visible ASCII characters");
    return 0;
}

static int take_arguments(int *argc, char **argv, struct arguments *arguments, struct err *err)
{
    *arguments = (struct arguments){.connect = commands_take_option(argc, argv, "connect"),
                                    .name = commands_take_option(argc, argv, "name"),
                                    .ca_file = commands_take_option(argc, argv, "connect-ca-file"),
                                    .state = commands_take_option(argc, argv, "state")};
    if (!arguments->connect)
        arguments->connect = getenv("BIFURCATE_SERVER");
    if (!arguments->ca_file)
        arguments->ca_file = getenv("BIFURCATE_CA_FILE");
    int code = take_number(argc, argv, "sweep", INT64_MAX, &arguments->sweep_id, err);
    if (!code)
        code = take_number(argc, argv, "idle-exit-s", IDLE_EXIT_S_MAX, &arguments->idle_exit_s, err);
    if (!code)
        code = check_name(arguments->name, err);
    if (!code && (!arguments->connect || !arguments->connect[0]))
        code = err_set(err, ERR_INVALID,
                       "--connect is missing: name the daemon, as in --connect "
                       "http://127.0.0.1:7143");
    return code;
}

/* How the daemon shows this worker, unless it is told. */
static void name_process(char *name, size_t size)
{
    char host[41] = "worker";
    (void)gethostname(host, sizeof host);
    host[sizeof host - 1] = 0;
    (void)snprintf(name, size, "%s/%d", host, (int)getpid());
    for (char *at = name; *at; at++) {
        if (*at <= ' ' || *at > '~')
            *at = '_';
    }
}

static void note_end(void *context, enum remote_end end)
{
    struct process *process = context;
    atomic_store(&process->end, (int)end);
    (void)kill(getpid(), SIGTERM);
}

static int read_token(const struct options *options, char **ret_token, struct err *err)
{
    const char *token = getenv("BIFURCATE_TOKEN");
    if (options->token_file[0])
        return rest_read_token(options->token_file, ret_token, err);
    if (token && token[0] && !(*ret_token = strdup(token)))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    return 0;
}

static int start(struct process *process, const struct arguments *arguments, const struct options *options,
                 const char *token, struct err *err)
{
    char own_name[64];
    const char *place = arguments->state ? arguments->state : getenv("TMPDIR");
    if (!place || !place[0])
        place = "/tmp";
    int code = arguments->state ? file_make_folders(place, 0700, err) : 0;
    if (!code)
        code = remote_store_open(place, &process->store, err);
    process->engine.is_temporary = !arguments->state;
    if (!code)
        code = engine_open(&process->engine, options,
                           arguments->state ? place : remote_store_folder(process->store), err);
    if (code)
        return code;
    name_process(own_name, sizeof own_name);
    struct remote_worker_options worker = {.engine = &process->engine,
                                           .store = process->store,
                                           .server = arguments->connect,
                                           .token = token,
                                           .token_path = options->token_file,
                                           .ca_file = arguments->ca_file,
                                           .name = arguments->name ? arguments->name : own_name,
                                           .count = options->fetchers ? (int)options->fetchers : FETCHERS,
                                           .sweep_id = arguments->sweep_id,
                                           .idle_exit_s = arguments->idle_exit_s,
                                           .hang_ms = options->hang_after_s * 1000,
                                           .ended = note_end,
                                           .context = process};
    return remote_worker_start(&worker, &process->worker, err);
}

static void wait_for_stop(const sigset_t *signals, const struct options *options)
{
    const struct timespec interval = {.tv_sec = TEND_INTERVAL_S};
    for (;;) {
        heap_tend();
        int signal = sigtimedwait(signals, NULL, &interval);
        if (signal < 0)
            continue;
        if (signal != SIGHUP)
            return;
        options_apply_log(options);
    }
}

static int run(const struct arguments *arguments, const struct options *options)
{
    struct process process = {.end = -1, .engine = {.is_of_worker = 1}};
    struct err err = ERR_INIT;
    sigset_t signals;
    char *token = NULL;
    signals_take(&signals);
    int code = read_token(options, &token, &err);
    if (!code)
        code = start(&process, arguments, options, token, &err);
    if (code) {
        log_error("cannot start", log_text("error", err_name(err.code)), log_text("reason", err.message),
                  log_end);
    } else {
        wait_for_stop(&signals, options);
        signals_let_end(&signals);
    }
    int end = atomic_load(&process.end);
    const int is_lost = end == REMOTE_END_DEVICE || end == REMOTE_END_HANG;
    if (remote_worker_stop(process.worker, is_lost ? 0 : DRAIN_MS)) {
        log_info("stopped", log_end);
        _exit(COMMANDS_STATUS_LOST);
    }
    engine_close(&process.engine);
    remote_store_close(process.store);
    free(token);
    if (!code)
        log_info("stopped", log_end);
    if (is_lost)
        return COMMANDS_STATUS_LOST;
    const int is_failed = end == REMOTE_END_UNHEARD || end == REMOTE_END_REFUSED || end == REMOTE_END_RESTART;
    return code || is_failed ? COMMANDS_STATUS_FAILED : 0;
}

int command_worker(int argc, char **argv)
{
    struct options options = {0};
    struct arguments arguments;
    struct err err = ERR_INIT;
    int status = 0;
    if ((status = commands_refuse_options(argc, argv, own_options)))
        return status;
    if (take_arguments(&argc, argv, &arguments, &err)) {
        (void)fprintf(stderr, "bifurcated: worker: %s\n", err.message);
        return COMMANDS_STATUS_USAGE;
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!commands_load_options(argc, argv, &options, &status))
        status = run(&arguments, &options);
    options_free(&options);
    curl_global_cleanup();
    return status;
}
