#include "daemon/checkpoint/archive_directory.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

/* What libzip sees. */
struct view {
    const struct window *tail;
    uint64_t directory_begin, file_size;
    uint64_t position;
    int is_finding;         /* libzip is about to go to a local header ... */
    uint64_t header_offset; /* ... which is here */
};

static zip_int64_t view_read(struct view *view, unsigned char *data, zip_uint64_t size)
{
    uint64_t left = view->file_size - view->position;
    size_t count = size < left ? (size_t)size : (size_t)left, hidden = 0;
    if (view->position < view->directory_begin) {
        uint64_t before = view->directory_begin - view->position;
        hidden = before < count ? (size_t)before : count;
    }
    memset(data, 0, hidden);
    (void)window_copy(view->tail, view->position + hidden, data + hidden, count - hidden);
    view->position += count;
    return (zip_int64_t)count;
}

static zip_int64_t view_seek(struct view *view, void *arguments, zip_uint64_t size)
{
    zip_error_t ignored;
    zip_error_init(&ignored);
    zip_int64_t position =
        zip_source_seek_compute_offset(view->position, view->file_size, arguments, size, &ignored);
    zip_error_fini(&ignored);
    if (position < 0)
        return -1;
    view->position = (uint64_t)position;
    /* libzip does not tell where a record lies, but it goes to the local header in order to open it. */
    if (view->is_finding) {
        view->header_offset = view->position;
        view->is_finding = 0;
    }
    return 0;
}

static zip_int64_t view_command(void *user, void *data, zip_uint64_t size, zip_source_cmd_t command)
{
    struct view *view = user;
    switch (command) {
    case ZIP_SOURCE_OPEN:
        view->position = 0;
        return 0;
    case ZIP_SOURCE_READ:
        return view_read(view, data, size);
    case ZIP_SOURCE_SEEK:
        return view_seek(view, data, size);
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)view->position;
    case ZIP_SOURCE_STAT:
        zip_stat_init(data);
        ((zip_stat_t *)data)->size = view->file_size;
        ((zip_stat_t *)data)->valid = ZIP_STAT_SIZE;
        return sizeof(zip_stat_t);
    case ZIP_SOURCE_ERROR:
        ((int *)data)[0] = ZIP_ER_INVAL;
        ((int *)data)[1] = 0;
        return 2 * sizeof(int);
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_SEEKABLE;
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
        return 0;
    default:
        return -1;
    }
}

static zip_t *open_zip(struct view *view, struct err *err)
{
    zip_t *zip = NULL;
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_function_create(view_command, view, &error);
    if (source)
        zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!zip)
        (void)err_set(err, ERR_FORMAT, "the zip directory: %s", zip_error_strerror(&error));
    if (!zip && source)
        zip_source_free(source);
    zip_error_fini(&error);
    return zip;
}

static int find_header(zip_t *zip, struct view *view, uint64_t index, struct archive_record *record,
                       struct err *err)
{
    view->is_finding = 1;
    zip_file_t *file = zip_fopen_index(zip, index, ZIP_FL_COMPRESSED);
    if (!file || view->is_finding || view->header_offset >= view->directory_begin) {
        if (file)
            (void)zip_fclose(file);
        return err_set(err, ERR_FORMAT, "the record %.200s has no local header", record->path);
    }
    (void)zip_fclose(file);
    record->header_offset = view->header_offset;
    return 0;
}

static int read_record(zip_t *zip, struct view *view, uint64_t index, struct archive_record *record,
                       struct err *err)
{
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
                                ZIP_STAT_ENCRYPTION_METHOD;
    zip_stat_t status;
    if (zip_stat_index(zip, index, ZIP_FL_ENC_RAW, &status) != 0 || (status.valid & needed) != needed)
        return err_set(err, ERR_FORMAT, "record %" PRIu64 " of the zip archive cannot be described", index);
    const char *slash = strchr(status.name, '/');
    if (!file_is_safe_relative(status.name) || !slash)
        return err_set(err, ERR_FORMAT, "the record \"%.200s\" is outside the archive's folder", status.name);
    if (status.encryption_method != ZIP_EM_NONE)
        return err_set(err, ERR_UNSUPPORTED, "the record %.200s is encrypted", status.name);
    if (status.comp_method != ZIP_CM_STORE || status.comp_size != status.size)
        return err_set(err, ERR_UNSUPPORTED,
                       "the record %.200s is compressed: torch.save never does that, but TorchScript "
                       "programs and repacked files are",
                       status.name);
    record->path = strdup(status.name);
    if (!record->path)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    record->name = record->path + (slash - status.name) + 1;
    record->size_bytes = status.size;
    return status.size ? find_header(zip, view, index, record, err) : 0;
}

int archive_directory_read(const struct window *tail, uint64_t file_size, const struct archive_end *end,
                           struct archive_record **ret_records, size_t *ret_count, struct err *err)
{
    struct view view = {.tail = tail, .directory_begin = end->directory_begin, .file_size = file_size};
    struct archive_record *records = NULL;
    size_t count = 0;
    int code;
    zip_t *zip = open_zip(&view, err);
    if (!zip)
        return err->code;
    zip_int64_t listed = zip_get_num_entries(zip, 0);
    if (listed <= 0 || listed > LIMIT_ZIP_ENTRIES || (uint64_t)listed != end->record_count) {
        code = err_set(err, ERR_FORMAT, "a zip archive of %" PRId64 " records, its end says %" PRIu64,
                       (int64_t)listed, end->record_count);
        goto out;
    }
    records = calloc((size_t)listed, sizeof *records);
    code = records ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
    while (!code && count < (size_t)listed) {
        code = read_record(zip, &view, count, &records[count], err);
        count++;
    }
    if (code)
        goto out;
    *ret_records = records;
    *ret_count = count;
    records = NULL;
out:
    archive_directory_free(records, count);
    zip_discard(zip);
    return code;
}

void archive_directory_free(struct archive_record *records, size_t count)
{
    for (size_t i = 0; records && i < count; i++)
        free(records[i].path);
    free(records);
}
