/*
 * The INI file of the daemon's options, as options_load() reads it: a file that lies in memory. Whatever it
 * holds, there is either a reason of one line or options that are within their bounds.
 */
#include "daemon/options/options.h"
#include "daemon/options/options_table.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const struct options *options)
{
    for (size_t i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];
        const char *place = (const char *)options + row->offset;
        if (row->kind == OPTION_KIND_INT) {
            int64_t value;
            memcpy(&value, place, sizeof value);
            if (value < row->minimum || value > row->maximum)
                abort();
        } else if (row->kind != OPTION_KIND_BOOL && !*(char *const *)(const void *)place) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char argument[64], name[] = "bifurcated";
    char *arguments[] = {name, argument, NULL};
    struct options options = {0};
    enum options_action action;
    struct err err = ERR_INIT;
    if (fd < 0) {
        fd = memfd_create("options", 0);
        (void)snprintf(argument, sizeof argument, "--config=/proc/self/fd/%d", fd);
        (void)setenv("HOME", "/nonexistent", 1);
    }
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
        return 0;
    if (options_load(2, arguments, &options, &action, &err) == 0)
        check_bounds(&options);
    else if (!err.message[0] || strchr(err.message, '\n'))
        abort();
    options_free(&options);
    return 0;
}
