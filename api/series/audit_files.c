#include "api/series/audit_files.h"

#include "daemon/base/buf.h"
#include "daemon/base/digest.h"
#include "store/revisions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES_TEXT_MAX ((size_t)8 * 1024 * 1024) /* of one revision: paths and digests */

struct reader {
    const struct api_run *run;
    struct api_audit_files *files;
    size_t at; /* the point that files are collected of */
    struct buf text;
    int code;
    struct err *err;
};

static void end_revision(struct reader *reader)
{
    char hex[DIGEST_SHA256_HEX_SIZE], head[17];
    if (reader->text.size == 0 || reader->code)
        return;
    reader->code = buf_check(&reader->text, "files of a revision", reader->err);
    if (!reader->code)
        reader->code = digest_sha256_hex(buf_text(&reader->text), reader->text.size, hex, reader->err);
    buf_free(&reader->text);
    buf_init(&reader->text, FILES_TEXT_MAX);
    if (reader->code)
        return;
    (void)snprintf(head, sizeof head, "%.16s", hex);
    uint64_t number = strtoull(head, NULL, 16);
    reader->files->contents[reader->at] = number ? number : 1;
    reader->files->known++;
}

static int take_file(void *context, const struct revision_row *revision, const struct revision_file_row *file)
{
    struct reader *reader = context;
    const struct api_run *run = reader->run;
    if (reader->at >= run->count || run->points[reader->at].revision_id != revision->id) {
        end_revision(reader);
        size_t at = reader->at < run->count ? reader->at : 0;
        while (at < run->count && run->points[at].revision_id != revision->id)
            at++;
        if (at == run->count)
            return reader->code; /* not part of the run */
        reader->at = at;
    }
    int is_first = reader->text.size == 0;
    buf_appendf(&reader->text, "%s %" PRId64 " %s\n", file->path, file->size_bytes, file->digest);
    (void)snprintf(reader->files->digests[reader->at], sizeof reader->files->digests[reader->at], "%s",
                   is_first ? file->digest : "");
    return reader->code;
}

int api_audit_files_read(struct store *store, const struct api_run *run, struct api_audit_files *ret_files,
                         struct err *err)
{
    struct reader reader = {.run = run, .files = ret_files, .err = err};
    *ret_files = (struct api_audit_files){.contents = calloc(run->count + 1, sizeof *ret_files->contents),
                                          .digests = calloc(run->count + 1, sizeof *ret_files->digests)};
    if (!ret_files->contents || !ret_files->digests)
        return err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    buf_init(&reader.text, FILES_TEXT_MAX);
    int code =
        revisions_list_files(store, run->model.id, NULL, API_RUN_POINTS_MAX + 1, take_file, &reader, err);
    if (!code) {
        end_revision(&reader);
        code = reader.code;
    }
    buf_free(&reader.text);
    return code;
}

void api_audit_files_free(struct api_audit_files *files)
{
    free(files->contents);
    free(files->digests);
    *files = (struct api_audit_files){.contents = NULL};
}
