/*
 * The three files beside a tokenizer, from one input: tokenizer_config.json, and behind zero bytes
 * special_tokens_map.json and added_tokens.json, each of which may be missing.
 */
#ifndef BIFURCATED_FUZZ_CONFIG_FILES_H
#define BIFURCATED_FUZZ_CONFIG_FILES_H

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_config.h"

#include <stdint.h>
#include <string.h>

struct config_files {
    struct buf files[3];
    int is_there[3];
};

static inline void config_files_read(struct config_files *files, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
        size_t length = zero ? (size_t)(zero - data) : size;
        buf_init(&files->files[i], LIMIT_TOKENIZER_CONFIG_BYTES);
        files->is_there[i] = length > 0;
        (void)buf_append(&files->files[i], (const char *)data, length);
        length += zero != NULL;
        data += length;
        size -= length;
    }
}

/* Of a model of this type; borrows the files. */
static inline struct tokenizer_config config_files_of(const struct config_files *files,
                                                      const char *model_type)
{
    return (struct tokenizer_config){files->is_there[0] ? &files->files[0] : NULL,
                                     files->is_there[1] ? &files->files[1] : NULL,
                                     files->is_there[2] ? &files->files[2] : NULL, "", model_type};
}

static inline void config_files_free(struct config_files *files)
{
    for (size_t i = 0; i < 3; i++)
        buf_free(&files->files[i]);
}

#endif
