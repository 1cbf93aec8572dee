/*
 * `bifurcated recompute [MODEL]`: once over the store, without a service.
 */
#include "daemon/command/commands.h"
#include "daemon/command/recompute.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int recompute(const struct options *options, const char *model, struct recompute_counts *counts,
                     struct err *err)
{
    struct store *store = NULL;
    char *path = NULL;
    int code = commands_find_database(options, 0, &path, err);
    if (!code)
        code = store_open(path, &store, err);
    if (!code)
        code = recompute_run(store, model, counts, err);
    store_close(store);
    free(path);
    return code;
}

int command_recompute(int argc, char **argv)
{
    struct options options = {0};
    struct recompute_counts counts;
    struct err err = ERR_INIT;
    int status = 0;
    const char *model = commands_take_word(&argc, argv);
    if (commands_load_options(argc, argv, &options, &status))
        goto out;
    if (recompute(&options, model, &counts, &err)) {
        (void)fprintf(stderr, "bifurcated: recompute: %s\n", err.message);
        status = COMMANDS_STATUS_FAILED;
        goto out;
    }
    (void)printf("%" PRId64 " distributions of %" PRId64 " tensors read; %" PRId64 " numbers of %" PRId64
                 " tensors changed, %" PRId64 " statistics left alone whose distribution is not kept\n",
                 counts.distributions, counts.contents, counts.numbers, counts.contents_changed,
                 counts.skipped);
out:
    options_free(&options);
    return status;
}
