/*
 * For tests: a checkpoint of a single file that they have made.
 */
#ifndef BIFURCATED_TESTS_TOOLS_ONE_FILE_H
#define BIFURCATED_TESTS_TOOLS_ONE_FILE_H

#include "daemon/checkpoint/checkpoint.h"

#include <string.h>

struct one_file {
    const char *name;
    struct source *source; /* NULL once it was taken */
};

static inline int one_file_has(void *context, const char *name)
{
    const struct one_file *file = context;
    return strcmp(name, file->name) == 0;
}

static inline int one_file_take(void *context, const char *name, struct source **ret_source, struct err *err)
{
    struct one_file *file = context;
    (void)name;
    (void)err;
    *ret_source = file->source;
    file->source = NULL;
    return 0;
}

/* `name`: "model.safetensors" or "pytorch_model.bin". Takes over `source`, also when it fails. */
static inline int one_file_open(const char *name, struct source *source, struct checkpoint **ret_checkpoint,
                                struct err *err)
{
    struct one_file file = {.name = name, .source = source};
    const struct checkpoint_files files = {.has = one_file_has, .open = one_file_take, .context = &file};
    int code = checkpoint_open(&files, ret_checkpoint, err);
    if (file.source)
        source_close(file.source);
    return code;
}

#endif
