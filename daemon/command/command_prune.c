/*
 * `bifurcated prune`: retention at once, damaged values gone, and the disk space that both free given back.
 * Without a daemon, since writing the database anew needs it alone; a running one prunes every night by
 * itself (retention-days).
 */
#include "daemon/base/clock.h"
#include "daemon/command/commands.h"
#include "store/damage.h"
#include "store/retention.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct outcome {
    struct retention_counts counts;
    int64_t damaged;
    uint64_t before_bytes, after_bytes;
    int64_t wall_ms, as_of_ms;
};

static int prune(const struct options *options, struct outcome *outcome, struct err *err)
{
    struct store *store = NULL;
    struct retention_run run;
    char *path = NULL;
    int is_over = 0;
    int code = commands_find_database(options, 0, &path, err);
    if (!code)
        code = store_open(path, &store, err);
    if (!code)
        code = store_size(store, &outcome->before_bytes, err);
    if (!code)
        code = retention_time(store, outcome->wall_ms, &outcome->as_of_ms, err);
    retention_begin(&run, options->retention_days, outcome->as_of_ms);
    if (!code)
        code = retention_continue(store, &run, NULL, NULL, &is_over, err);
    outcome->counts = run.counts;
    if (!code)
        code = damage_delete(store, &outcome->damaged, err);
    if (!code)
        code = store_vacuum(store, err);
    if (!code)
        code = store_size(store, &outcome->after_bytes, err);
    store_close(store);
    free(path);
    return code;
}

int command_prune(int argc, char **argv)
{
    struct options options = {0};
    struct outcome outcome = {.wall_ms = clock_wall_ms()};
    struct err err = ERR_INIT;
    int status = 0;
    if (commands_load_options(argc, argv, &options, &status))
        goto out;
    if (prune(&options, &outcome, &err)) {
        (void)fprintf(stderr, "bifurcated: prune: %s\n", err.message);
        status = COMMANDS_STATUS_FAILED;
        goto out;
    }
    (void)printf("%" PRId64 " sweeps deleted%s, distributions of %" PRId64 " contents deleted; database %.1f "
                 "MB, before %.1f MB\n",
                 outcome.counts.sweeps, options.retention_days ? "" : " (--retention-days is 0)",
                 outcome.counts.contents, (double)outcome.after_bytes / 1e6,
                 (double)outcome.before_bytes / 1e6);
    if (outcome.as_of_ms < outcome.wall_ms && options.retention_days) {
        char as_of[CLOCK_TEXT_SIZE];
        clock_format(outcome.as_of_ms, as_of, sizeof as_of);
        (void)printf(
            "the clock is days ahead of when this database was last looked after, so ages were counted from "
            "%.10s; set the clock if it is wrong, else give fewer days\n",
            as_of);
    }
    if (outcome.damaged)
        (void)printf("%" PRId64 " large values were damaged and are deleted; the next sweep of their models "
                     "measures them again\n",
                     outcome.damaged);
out:
    options_free(&options);
    return status;
}
