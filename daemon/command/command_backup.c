/*
 * `bifurcated backup FILE` and `bifurcated restore FILE`.
 */
#include "daemon/base/file.h"
#include "daemon/command/commands.h"
#include "store/backup.h"
#include "store/restore.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One line that is written over, on a terminal alone. */
static void show_progress(void *context, int64_t done_bytes, int64_t total_bytes)
{
    (void)context;
    (void)fprintf(stderr, "\r%" PRId64 " of %" PRId64 " MB%s", done_bytes / 1000000, total_bytes / 1000000,
                  done_bytes == total_bytes ? "; checking\n" : "");
}

static void print_facts(const char *verb, const char *file, const struct backup_facts *facts)
{
    (void)printf("%s %s: %.1f MB, schema %" PRId64 ", %" PRId64 " models, %" PRId64 " revisions, %" PRId64
                 " measured tensors, %" PRId64 " sweeps\n",
                 verb, file, (double)facts->size_bytes / 1e6, facts->schema_version, facts->models,
                 facts->revisions, facts->measured, facts->sweeps);
    if (facts->damaged)
        (void)printf("%" PRId64 " large values in it are damaged; bifurcated check says what to do\n",
                     facts->damaged);
}

static int backup(const struct options *options, const char *file, struct err *err)
{
    struct backup_facts facts;
    char *path = NULL;
    int code = commands_find_database(options, 0, &path, err);
    if (!code)
        code = backup_write(path, file, isatty(STDERR_FILENO) ? show_progress : NULL, NULL, &facts, err);
    if (!code)
        print_facts("wrote", file, &facts);
    free(path);
    return code;
}

static int restore(const struct options *options, const char *file, struct err *err)
{
    struct backup_facts facts;
    char *aside = NULL, *path = NULL;
    int code = commands_find_database(options, 1, &path, err);
    if (!code)
        code = file_make_folders(options->state, 0700, err);
    if (!code)
        code = restore_database(file, path, isatty(STDERR_FILENO) ? show_progress : NULL, NULL, &facts,
                                &aside, err);
    if (!code)
        print_facts("restored", file, &facts);
    if (aside)
        (void)printf("the database that was there is kept as %s\n", aside);
    if (!code && facts.schema_version < store_schema_version())
        (void)printf("its schema will be upgraded to %d when the daemon starts\n", store_schema_version());
    free(aside);
    free(path);
    return code;
}

static int run(int argc, char **argv,
               int (*work)(const struct options *options, const char *file, struct err *err))
{
    const char *name = argv[0];
    struct options options = {0};
    struct err err = ERR_INIT;
    int status = 0;
    const char *file = commands_take_word(&argc, argv);
    if (commands_load_options(argc, argv, &options, &status))
        goto out;
    if (!file) {
        (void)fprintf(stderr, "bifurcated: %s: needs a FILE\n", name);
        status = COMMANDS_STATUS_USAGE;
    } else if (work(&options, file, &err)) {
        (void)fprintf(stderr, "bifurcated: %s: %s\n", name, err.message);
        status = COMMANDS_STATUS_FAILED;
    }
out:
    options_free(&options);
    return status;
}

int command_backup(int argc, char **argv)
{
    return run(argc, argv, backup);
}

int command_restore(int argc, char **argv)
{
    return run(argc, argv, restore);
}
