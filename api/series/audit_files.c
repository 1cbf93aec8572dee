#include "api/series/audit_files.h"

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/base/weight_layout.h"
#include "store/revisions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of one revision: a line for each file, with digest and size. */
#define FILES_TEXT_MAX ((size_t)LIMIT_HUB_TREE_FILES * (LIMIT_FILE_NAME_BYTES + STORE_DIGEST_SIZE + 24))

struct reader {
    const struct api_run *run;
    struct api_audit_files *files;
    size_t at;       /* the point that files are collected of; run->count: of none */
    size_t count;    /* of these */
    struct buf text; /* "digest size\tpath\n" of each; paths have no control characters */
    struct buf weights;
    int code;
    struct err *err;
};

static int has_file(void *context, const char *name)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "\t%.60s\n", name);
    return strstr(buf_text(context), wanted) != NULL;
}

static const char *path_of(const char *line)
{
    const char *tab = strchr(line, '\t');
    return tab ? tab + 1 : "";
}

/* The next line of *at, each of which ends with a zero by now. */
static const char *next_line(const char **at)
{
    const char *line = *at;
    *at += strlen(line) + 1;
    return line;
}

static const char *next_path(void *context, size_t index)
{
    (void)index; /* they are asked for in order */
    return path_of(next_line(context));
}

/* Keeps the lines of the files that the checkpoint is read from, or all where names do not tell which those
 * are; returns how many: 0 where there are no weights. What lies beside them, such as a README, says nothing
 * of the weights. */
static size_t keep_weights(struct reader *reader, char *digest, size_t digest_size)
{
    const struct weight_layout *layout = weight_layout_choose(has_file, &reader->text);
    const char *at = reader->text.data;
    size_t count = 0, line_count = 0;
    if (!layout)
        return 0;
    for (char *end = reader->text.data; (end = strchr(end, '\n')); line_count++)
        *end++ = '\0';
    int is_told = weight_layout_is_told(layout, next_path, line_count, &at);
    at = reader->text.data;
    for (size_t i = 0; i < line_count; i++) {
        const char *line = next_line(&at), *path = path_of(line);
        if (is_told && strcmp(path, layout->file) != 0 && !weight_layout_has(layout, path))
            continue;
        (void)snprintf(digest, digest_size, "%.*s", count++ ? 0 : (int)strcspn(line, " "), line);
        buf_appendf(&reader->weights, "%s\n", line);
    }
    return count;
}

static void end_revision(struct reader *reader)
{
    char hex[DIGEST_SHA256_HEX_SIZE], head[17];
    struct api_audit_files *files = reader->files;
    if (reader->text.size == 0 || reader->code)
        return;
    reader->code = buf_check(&reader->text, "files of a revision", reader->err);
    size_t kept = reader->code
                      ? 0
                      : keep_weights(reader, files->digests[reader->at], sizeof files->digests[reader->at]);
    if (!reader->code && !kept)
        files->without[reader->at] = reader->count;
    if (kept) {
        reader->code = buf_check(&reader->weights, "files of a revision", reader->err);
        if (!reader->code)
            reader->code =
                digest_sha256_hex(buf_text(&reader->weights), reader->weights.size, hex, reader->err);
        if (reader->code)
            return;
        (void)snprintf(head, sizeof head, "%.16s", hex);
        uint64_t number = strtoull(head, NULL, 16);
        files->contents[reader->at] = number ? number : 1;
        files->known++;
    }
    buf_clear(&reader->text);
    buf_clear(&reader->weights);
    reader->count = 0;
}

static int take_file(void *context, const struct revision_row *revision, const struct revision_file_row *file)
{
    struct reader *reader = context;
    size_t at = api_run_find(reader->run, revision);
    if (at != reader->at)
        end_revision(reader);
    reader->at = at;
    if (at == reader->run->count)
        return reader->code;
    buf_appendf(&reader->text, "%s %" PRId64 "\t%s\n", file->digest, file->size_bytes, file->path);
    reader->count++;
    return reader->code;
}

int api_audit_files_read(struct store *store, const struct api_run *run, struct api_audit_files *ret_files,
                         struct err *err)
{
    struct reader reader = {.run = run, .files = ret_files, .at = run->count, .err = err};
    *ret_files = (struct api_audit_files){.contents = calloc(run->count + 1, sizeof *ret_files->contents),
                                          .digests = calloc(run->count + 1, sizeof *ret_files->digests),
                                          .without = calloc(run->count + 1, sizeof *ret_files->without)};
    if (!ret_files->contents || !ret_files->digests || !ret_files->without)
        return err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    buf_init(&reader.text, FILES_TEXT_MAX);
    buf_init(&reader.weights, FILES_TEXT_MAX);
    int code =
        revisions_list_files(store, run->model.id, NULL, api_run_revisions(run), take_file, &reader, err);
    if (!code) {
        end_revision(&reader);
        code = reader.code;
    }
    buf_free(&reader.text);
    buf_free(&reader.weights);
    return code;
}

void api_audit_files_free(struct api_audit_files *files)
{
    free(files->contents);
    free(files->digests);
    free(files->without);
    *files = (struct api_audit_files){.contents = NULL};
}
