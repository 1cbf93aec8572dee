/*
 * A revision as a checkpoint reads it: a folder, or hand-made files in memory, through sources that count
 * what is read of them.
 */
#ifndef BIFURCATED_TESTS_UNIT_CHECKPOINT_REVISION_H
#define BIFURCATED_TESTS_UNIT_CHECKPOINT_REVISION_H

#include "daemon/base/file.h"
#include "daemon/checkpoint/checkpoint.h"
#include "tests/unit/checkpoint/bytes.h"

#include <stdio.h>

/* -- A source that counts, as a file that is read by ranges costs -------------------------------------- */

struct counts {
    uint64_t bytes, reads, opens;
    int fail_after; /* reads that succeed; -1: all */
};

struct counting_source {
    struct source source;
    struct source *inner;
    struct counts *counts;
};

static inline int counting_read(struct source *source, uint64_t offset, void *data, size_t size,
                                struct err *err)
{
    struct counting_source *counting = (struct counting_source *)source;
    if (counting->counts->fail_after == 0)
        return err_set(err, ERR_NETWORK, "%s: connection lost", source->name);
    if (counting->counts->fail_after > 0)
        counting->counts->fail_after--;
    counting->counts->bytes += size;
    counting->counts->reads++;
    return source_read(counting->inner, offset, data, size, err);
}

static inline void counting_close(struct source *source)
{
    source_close(((struct counting_source *)source)->inner);
    free(source);
}

static const struct source_ops counting_ops = {
    .read = counting_read, .close = counting_close, .reads_at_once = 1};

static inline struct source *count_source(struct source *inner, struct counts *counts)
{
    struct counting_source *counting = calloc(1, sizeof *counting);
    assert_non_null(counting);
    counting->source =
        (struct source){.ops = &counting_ops, .name = inner->name, .size_bytes = inner->size_bytes};
    counting->inner = inner;
    counting->counts = counts;
    counts->opens++;
    return &counting->source;
}

/* -- A revision: a folder, or files in memory ------------------------------------------------------------ */

struct revision {
    const char *folder;
    const char *names[4];
    struct buf contents[4];
    struct counts counts;
};

static inline int revision_has(void *context, const char *name)
{
    struct revision *revision = context;
    if (revision->folder) {
        char *path = file_join(revision->folder, name);
        int has = file_exists(path);
        free(path);
        return has;
    }
    for (int i = 0; i < 4; i++) {
        if (revision->names[i] && strcmp(revision->names[i], name) == 0)
            return 1;
    }
    return 0;
}

static inline int revision_open(void *context, const char *name, struct source **ret_source, struct err *err)
{
    struct revision *revision = context;
    struct source *inner = NULL;
    int code = ERR_NOT_FOUND;
    if (revision->folder) {
        char *path = file_join(revision->folder, name);
        code = source_open_file(path, &inner, err);
        free(path);
    }
    for (int i = 0; i < 4 && !revision->folder; i++) {
        if (revision->names[i] && strcmp(revision->names[i], name) == 0)
            code =
                source_open_memory(name, revision->contents[i].data, revision->contents[i].size, &inner, err);
    }
    if (!code)
        *ret_source = count_source(inner, &revision->counts);
    return code;
}

static inline struct checkpoint_files files_of(struct revision *revision)
{
    revision->counts = (struct counts){.fail_after = -1};
    return (struct checkpoint_files){.has = revision_has, .open = revision_open, .context = revision};
}

static inline void revision_done(struct revision *revision)
{
    for (int i = 0; i < 4; i++)
        buf_free(&revision->contents[i]);
}

/* A safetensors file with one u8 tensor of three bytes. */
static inline void add_safetensors(struct revision *revision, int place, const char *name, const char *tensor)
{
    char header[128];
    struct buf *file = &revision->contents[place];
    (void)snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}",
                   tensor);
    buf_init(file, MIB);
    bytes_number(file, strlen(header), 8);
    (void)buf_append_text(file, header);
    (void)buf_append_text(file, "abc");
    revision->names[place] = name;
}

static inline void add_text(struct revision *revision, int place, const char *name, const char *text)
{
    buf_init(&revision->contents[place], MIB);
    (void)buf_append_text(&revision->contents[place], text);
    revision->names[place] = name;
}

/* A torch file of u8 tensors over one storage "abcdefgh". */
static inline void add_torch(struct revision *revision, int place, const char *name,
                             const struct bytes_tensor *tensors, int count)
{
    struct buf pickle;
    buf_init(&pickle, MIB);
    pickle_begin(&pickle);
    for (int i = 0; i < count; i++)
        pickle_tensor(&pickle, &tensors[i]);
    pickle_end(&pickle);
    const struct bytes_record records[] = {
        {.name = "m/data.pkl", .data = pickle.data, .size = pickle.size},
        {.name = "m/data/0", .data = "abcdefgh", .size = 8},
        {.name = "m/data/1", .data = "", .size = 0},
        {.name = "m/version", .data = "3\n", .size = 2},
    };
    buf_init(&revision->contents[place], MIB);
    bytes_zip_build(&revision->contents[place], records, 4, NULL);
    buf_free(&pickle);
    revision->names[place] = name;
}

#endif
