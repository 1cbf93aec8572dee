#include "daemon/checkpoint/archive.h"

#include "daemon/base/checked.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/archive_end.h"
#include "daemon/checkpoint/window.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define TAIL_BYTES (32 * KIB)         /* holds the directory of most models */
#define HEADER_WINDOW_BYTES (4 * KIB) /* read for a local header; the rest is the record's beginning */

#define LOCAL_HEADER_BYTES 30
#define LOCAL_HEADER_FLAGS 6
#define LOCAL_HEADER_METHOD 8
#define LOCAL_HEADER_NAME_SIZE 26
#define LOCAL_HEADER_EXTRA_SIZE 28

struct interval {
    uint64_t begin, end;
};

struct archive {
    struct source *source;
    struct archive_end end;
    struct window tail; /* from the directory, or a little before, to the end of the file */
    struct window near; /* what was read last: the head of the file, or around a local header */
    zip_t *zip;
    uint64_t position;              /* of libzip in the source */
    int is_finding;                 /* libzip is about to go to a local header ... */
    uint64_t header_offset;         /* ... which is here; UINT64_MAX before the first */
    struct err read_err;            /* why a read for libzip failed */
    struct archive_record *records; /* sorted by name */
    size_t record_count;
    struct interval *located; /* sorted; records in use, with their headers */
    size_t located_count;
};

static unsigned little_endian_16(const unsigned char *bytes)
{
    return (unsigned)(bytes[0] | bytes[1] << 8);
}

/* -- Reading ------------------------------------------------------------------------------------------- */

int archive_read(struct archive *archive, uint64_t offset, void *data, size_t size, struct err *err)
{
    unsigned char *out = data;
    while (size) {
        size_t count = window_copy(&archive->tail, offset, out, size);
        if (!count)
            count = window_copy(&archive->near, offset, out, size);
        if (!count) {
            count = size;
            if (offset < archive->tail.begin && archive->tail.begin - offset < count)
                count = (size_t)(archive->tail.begin - offset);
            int code = source_read(archive->source, offset, out, count, err);
            if (code)
                return code;
        }
        offset += count;
        out += count;
        size -= count;
    }
    return 0;
}

int archive_prefetch_head(struct archive *archive, uint64_t size, struct err *err)
{
    if (size > archive->tail.begin)
        size = archive->tail.begin;
    return window_fill(&archive->near, archive->source, 0, (size_t)size, err);
}

/* -- What libzip sees --------------------------------------------------------------------------------- */

/* Before the archive is open: everything ahead of the directory is none of libzip's business. */
static int read_directory(struct archive *archive, unsigned char *data, size_t size)
{
    size_t hidden = 0;
    if (archive->position < archive->end.directory_begin) {
        uint64_t before = archive->end.directory_begin - archive->position;
        hidden = before < size ? (size_t)before : size;
    }
    memset(data, 0, hidden);
    return archive_read(archive, archive->position + hidden, data + hidden, size - hidden,
                        &archive->read_err);
}

/* Afterwards: parts of a local header. What follows it is likely to be wanted next. */
static int read_header(struct archive *archive, unsigned char *data, size_t size)
{
    uint64_t begin = archive->header_offset, left = archive->source->size_bytes - begin;
    size_t ahead = left < HEADER_WINDOW_BYTES ? (size_t)left : HEADER_WINDOW_BYTES;
    if (!window_holds(&archive->near, begin) && !window_holds(&archive->tail, begin) &&
        window_fill(&archive->near, archive->source, begin, ahead, &archive->read_err))
        return -1;
    return archive_read(archive, archive->position, data, size, &archive->read_err);
}

static zip_int64_t zip_read(struct archive *archive, unsigned char *data, zip_uint64_t size)
{
    uint64_t left = archive->source->size_bytes - archive->position;
    size_t count = size < left ? (size_t)size : (size_t)left;
    int is_located = archive->header_offset != UINT64_MAX;
    if (is_located ? read_header(archive, data, count) : read_directory(archive, data, count))
        return -1;
    archive->position += count;
    return (zip_int64_t)count;
}

static zip_int64_t zip_seek(struct archive *archive, const void *data, zip_uint64_t size)
{
    zip_error_t ignored;
    zip_error_init(&ignored);
    zip_int64_t position = zip_source_seek_compute_offset(archive->position, archive->source->size_bytes,
                                                          (void *)(uintptr_t)data, size, &ignored);
    zip_error_fini(&ignored);
    if (position < 0)
        return -1;
    archive->position = (uint64_t)position;
    /* The first place that libzip goes to in order to open a record is its local header. */
    if (archive->is_finding) {
        archive->header_offset = archive->position;
        archive->is_finding = 0;
    }
    return 0;
}

static zip_int64_t zip_command(void *user, void *data, zip_uint64_t size, zip_source_cmd_t command)
{
    struct archive *archive = user;
    switch (command) {
    case ZIP_SOURCE_OPEN:
        archive->position = 0;
        return 0;
    case ZIP_SOURCE_READ:
        return zip_read(archive, data, size);
    case ZIP_SOURCE_SEEK:
        return zip_seek(archive, data, size);
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)archive->position;
    case ZIP_SOURCE_STAT:
        zip_stat_init(data);
        ((zip_stat_t *)data)->size = archive->source->size_bytes;
        ((zip_stat_t *)data)->valid = ZIP_STAT_SIZE;
        return sizeof(zip_stat_t);
    case ZIP_SOURCE_ERROR:
        ((int *)data)[0] = ZIP_ER_READ;
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

/* Turns libzip's failure into ours; a failed read underneath says more than libzip can. */
static int zip_failure(struct archive *archive, zip_error_t *error, const char *what, struct err *err)
{
    if (archive->read_err.code) {
        *err = archive->read_err;
        return err->code;
    }
    return err_set(err, ERR_FORMAT, "%s: %s: %s", archive->source->name, what, zip_error_strerror(error));
}

static int open_zip(struct archive *archive, struct err *err)
{
    int code = 0;
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_function_create(zip_command, archive, &error);
    if (source)
        archive->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (!archive->zip) {
        code = zip_failure(archive, &error, "the zip directory cannot be read", err);
        if (source)
            zip_source_free(source);
    }
    zip_error_fini(&error);
    return code;
}

/* -- Records ------------------------------------------------------------------------------------------- */

static int compare_records(const void *a, const void *b)
{
    const struct archive_record *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int read_record(struct archive *archive, uint64_t index, struct archive_record *record,
                       struct err *err)
{
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
                                ZIP_STAT_ENCRYPTION_METHOD;
    const char *source_name = archive->source->name;
    zip_stat_t status;
    if (zip_stat_index(archive->zip, index, ZIP_FL_ENC_RAW, &status) != 0 ||
        (status.valid & needed) != needed)
        return err_set(err, ERR_FORMAT, "%s: record %" PRIu64 " cannot be described", source_name, index);
    const char *slash = strchr(status.name, '/');
    if (!file_is_safe_relative(status.name) || !slash)
        return err_set(err, ERR_FORMAT, "%s: the record \"%.200s\" lies outside of the archive's folder",
                       source_name, status.name);
    if (status.encryption_method != ZIP_EM_NONE)
        return err_set(err, ERR_UNSUPPORTED, "%s: the record %.200s is encrypted", source_name, status.name);
    if (status.comp_method != ZIP_CM_STORE || status.comp_size != status.size)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: the record %.200s is compressed, which torch.save never does", source_name,
                       status.name);
    record->path = strdup(status.name);
    if (!record->path)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source_name);
    record->name = record->path + (slash - status.name) + 1;
    record->size_bytes = status.size;
    record->index = index;
    return 0;
}

/* The records' own headers and bytes must fit into the file side by side, so that no overlap can make a small
 * file claim a large content. */
static int check_records(struct archive *archive, struct err *err)
{
    const struct archive_record *first = archive->records;
    uint64_t total = 0;
    for (size_t i = 0; i < archive->record_count; i++) {
        const struct archive_record *record = &archive->records[i];
        size_t folder_size = (size_t)(record->name - record->path);
        if (folder_size != (size_t)(first->name - first->path) ||
            memcmp(record->path, first->path, folder_size) != 0)
            return err_set(err, ERR_FORMAT, "%s: a second folder beside that of %.100s: %.200s",
                           archive->source->name, first->path, record->path);
        if (checked_add_u64(total, record->size_bytes, &total) ||
            checked_add_u64(total, LOCAL_HEADER_BYTES + strlen(record->path), &total) ||
            total > archive->end.directory_begin)
            return err_set(err, ERR_FORMAT, "%s: the records overlap: together they exceed the file",
                           archive->source->name);
    }
    qsort(archive->records, archive->record_count, sizeof *archive->records, compare_records);
    for (size_t i = 1; i < archive->record_count; i++) {
        if (compare_records(&archive->records[i - 1], &archive->records[i]) == 0)
            return err_set(err, ERR_FORMAT, "%s: the record %.200s occurs twice", archive->source->name,
                           archive->records[i].path);
    }
    return 0;
}

static int read_records(struct archive *archive, struct err *err)
{
    zip_int64_t count = zip_get_num_entries(archive->zip, 0);
    if (count <= 0 || count > LIMIT_ZIP_ENTRIES || (uint64_t)count != archive->end.record_count)
        return err_set(err, ERR_FORMAT, "%s: a zip archive of %" PRId64 " records, its end says %" PRIu64,
                       archive->source->name, (int64_t)count, archive->end.record_count);
    archive->records = calloc((size_t)count, sizeof *archive->records);
    archive->located = calloc((size_t)count, sizeof *archive->located);
    if (!archive->records || !archive->located)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", archive->source->name);
    for (uint64_t i = 0; i < (uint64_t)count; i++) {
        int code = read_record(archive, i, &archive->records[i], err);
        if (code)
            return code;
        archive->record_count++;
    }
    return check_records(archive, err);
}

int archive_open(struct source *source, struct archive **ret_archive, struct err *err)
{
    size_t tail_size = source->size_bytes < TAIL_BYTES ? (size_t)source->size_bytes : TAIL_BYTES;
    struct archive *archive = calloc(1, sizeof *archive);
    if (!archive)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    archive->source = source;
    archive->header_offset = UINT64_MAX;
    int code = window_fill(&archive->tail, source, source->size_bytes - tail_size, tail_size, err);
    if (code)
        goto out;
    if (archive_end_parse(archive->tail.data, tail_size, source->size_bytes, &archive->end, err)) {
        code = err_wrap(err, "%s", source->name);
        goto out;
    }
    if (archive->end.directory_begin < archive->tail.begin) {
        uint64_t size = source->size_bytes - archive->end.directory_begin; /* LIMIT_ZIP_DIRECTORY_BYTES + */
        code = window_fill(&archive->tail, source, archive->end.directory_begin, (size_t)size, err);
        if (code)
            goto out;
    }
    code = open_zip(archive, err);
    if (!code)
        code = read_records(archive, err);
    if (code)
        goto out;
    *ret_archive = archive;
    archive = NULL;
out:
    archive_close(archive);
    return code;
}

void archive_close(struct archive *archive)
{
    if (!archive)
        return;
    if (archive->zip)
        zip_discard(archive->zip);
    for (size_t i = 0; i < archive->record_count; i++)
        free(archive->records[i].path);
    free(archive->records);
    free(archive->located);
    window_done(&archive->tail);
    window_done(&archive->near);
    free(archive);
}

struct archive_record *archive_find(struct archive *archive, const char *name)
{
    const struct archive_record key = {.name = name};
    return bsearch(&key, archive->records, archive->record_count, sizeof *archive->records, compare_records);
}

/* -- Finding a record's bytes -------------------------------------------------------------------------- */

/* Lets libzip find the local header: it reads it when it opens the record, and nothing else. */
static int find_header(struct archive *archive, const struct archive_record *record, struct err *err)
{
    archive->is_finding = 1;
    archive->read_err = (struct err)ERR_INIT;
    zip_file_t *file = zip_fopen_index(archive->zip, record->index, ZIP_FL_COMPRESSED);
    if (!file || archive->is_finding) {
        if (file)
            (void)zip_fclose(file);
        return zip_failure(archive, zip_get_error(archive->zip), record->path, err);
    }
    (void)zip_fclose(file);
    return 0;
}

/* Adds [begin, end) to the intervals in use, which must be free. */
static int claim_interval(struct archive *archive, const struct archive_record *record, uint64_t begin,
                          uint64_t end, struct err *err)
{
    size_t low = 0, high = archive->located_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (archive->located[middle].begin < begin)
            low = middle + 1;
        else
            high = middle;
    }
    if ((low < archive->located_count && archive->located[low].begin < end) ||
        (low > 0 && archive->located[low - 1].end > begin))
        return err_set(err, ERR_FORMAT, "%s: the record %.200s overlaps another one", archive->source->name,
                       record->path);
    memmove(archive->located + low + 1, archive->located + low,
            (archive->located_count - low) * sizeof *archive->located);
    archive->located[low] = (struct interval){.begin = begin, .end = end};
    archive->located_count++;
    return 0;
}

int archive_locate(struct archive *archive, struct archive_record *record, struct err *err)
{
    const char *source_name = archive->source->name;
    unsigned char header[LOCAL_HEADER_BYTES];
    char name[LIMIT_FILE_NAME_BYTES];
    if (record->offset)
        return 0;
    if (record->size_bytes == 0)
        return err_set(err, ERR_FORMAT, "%s: the record %.200s is empty", source_name, record->path);
    int code = find_header(archive, record, err);
    if (code)
        return code;
    uint64_t begin = archive->header_offset;
    code = archive_read(archive, begin, header, sizeof header, err);
    if (code)
        return code;
    size_t name_size = little_endian_16(header + LOCAL_HEADER_NAME_SIZE);
    uint64_t offset = begin + sizeof header + name_size + little_endian_16(header + LOCAL_HEADER_EXTRA_SIZE);
    if (memcmp(header, "PK\3\4", 4) != 0)
        return err_set(err, ERR_FORMAT, "%s: the record %.200s has no local header", source_name,
                       record->path);
    if (!checked_range_within(offset, record->size_bytes, archive->end.directory_begin))
        return err_set(err, ERR_FORMAT, "%s: the record %.200s reaches into the directory", source_name,
                       record->path);
    if ((little_endian_16(header + LOCAL_HEADER_FLAGS) & 1) != 0 ||
        little_endian_16(header + LOCAL_HEADER_METHOD) != ZIP_CM_STORE)
        return err_set(err, ERR_FORMAT, "%s: the local header of %.200s contradicts the directory",
                       source_name, record->path);
    if (name_size == strlen(record->path) && name_size <= sizeof name)
        code = archive_read(archive, begin + sizeof header, name, name_size, err);
    if (code)
        return code;
    if (name_size != strlen(record->path) || memcmp(name, record->path, name_size) != 0)
        return err_set(err, ERR_FORMAT, "%s: the local header of %.200s bears another name", source_name,
                       record->path);
    code = claim_interval(archive, record, begin, offset + record->size_bytes, err);
    if (!code)
        record->offset = offset;
    return code;
}
