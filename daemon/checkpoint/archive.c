#include "daemon/checkpoint/archive.h"

#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/archive_directory.h"
#include "daemon/checkpoint/archive_end.h"
#include "daemon/checkpoint/window.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_BYTES (32 * KIB)         /* holds the directory of most models */
#define HEADER_WINDOW_BYTES (4 * KIB) /* read for a local header; the rest is the record's beginning */

#define LOCAL_HEADER_FLAGS 6
#define LOCAL_HEADER_METHOD 8
#define LOCAL_HEADER_NAME_SIZE 26
#define LOCAL_HEADER_EXTRA_SIZE 28

struct archive {
    struct source *source;
    struct window tail;             /* from the directory, or before it, to the end of the file */
    struct window near;             /* what was read last: the head of the file, or around a local header */
    struct archive_record *records; /* sorted by name */
    size_t record_count;
};

static unsigned little_endian_16(const unsigned char *bytes)
{
    return (unsigned)(bytes[0] | bytes[1] << 8);
}

static int compare_names(const void *a, const void *b)
{
    const struct archive_record *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int compare_headers(const void *a, const void *b)
{
    const struct archive_record *x = a, *y = b;
    return (x->header_offset > y->header_offset) - (x->header_offset < y->header_offset);
}

/* Proves that the records lie side by side before the directory: each local header with its name, then the
 * bytes, ends before the next header begins. (Its extra field is seen in archive_locate.) */
static int check_places(struct archive *archive, uint64_t directory_begin, struct err *err)
{
    struct archive_record *records = archive->records;
    uint64_t end_max = directory_begin;
    qsort(records, archive->record_count, sizeof *records, compare_headers);
    for (size_t i = archive->record_count; i-- > 0;) {
        struct archive_record *record = &records[i];
        uint64_t needed = ARCHIVE_LOCAL_HEADER_BYTES + strlen(record->path);
        if (record->size_bytes == 0)
            continue;
        if (checked_add_u64(needed, record->size_bytes, &needed) ||
            !checked_range_within(record->header_offset, needed, end_max))
            return err_set(err, ERR_FORMAT, "the record %.200s overlaps %s", record->path,
                           end_max == directory_begin ? "the zip directory" : "another one");
        record->end_max = end_max;
        end_max = record->header_offset;
    }
    return 0;
}

static int check_names(struct archive *archive, struct err *err)
{
    const struct archive_record *records = archive->records;
    size_t folder_size = (size_t)(records[0].name - records[0].path);
    qsort(archive->records, archive->record_count, sizeof *archive->records, compare_names);
    for (size_t i = 1; i < archive->record_count; i++) {
        if ((size_t)(records[i].name - records[i].path) != folder_size ||
            memcmp(records[i].path, records[0].path, folder_size) != 0)
            return err_set(err, ERR_FORMAT, "%.200s is in a second folder, next to that of %.200s",
                           records[i].path, records[0].path);
        if (compare_names(&records[i - 1], &records[i]) == 0)
            return err_set(err, ERR_FORMAT, "the record %.200s occurs twice", records[i].path);
    }
    return 0;
}

static int read_directory(struct archive *archive, struct err *err)
{
    struct source *source = archive->source;
    struct archive_end end;
    size_t tail_size = source->size_bytes < TAIL_BYTES ? (size_t)source->size_bytes : TAIL_BYTES;
    int code = window_fill(&archive->tail, source, source->size_bytes - tail_size, tail_size, err);
    if (!code)
        code = archive_end_parse(archive->tail.data, tail_size, source->size_bytes, &end, err);
    if (code)
        return code;
    if (end.directory_begin < archive->tail.begin) {
        uint64_t size = source->size_bytes - end.directory_begin; /* archive_end bounds it */
        code = window_fill(&archive->tail, source, end.directory_begin, (size_t)size, err);
        if (code)
            return code;
    }
    code = archive_directory_read(&archive->tail, source->size_bytes, &end, &archive->records,
                                  &archive->record_count, err);
    if (!code)
        code = check_places(archive, end.directory_begin, err);
    return code ? code : check_names(archive, err);
}

int archive_open(struct source *source, struct archive **ret_archive, struct err *err)
{
    struct archive *archive = calloc(1, sizeof *archive);
    if (!archive)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    archive->source = source;
    if (read_directory(archive, err)) {
        archive_close(archive);
        return err_wrap(err, "%s", source->name);
    }
    *ret_archive = archive;
    return 0;
}

void archive_close(struct archive *archive)
{
    if (!archive)
        return;
    archive_directory_free(archive->records, archive->record_count);
    window_done(&archive->tail);
    window_done(&archive->near);
    free(archive);
}

struct archive_record *archive_find(struct archive *archive, const char *name)
{
    const struct archive_record key = {.name = name};
    return bsearch(&key, archive->records, archive->record_count, sizeof *archive->records, compare_names);
}

int archive_prefetch(struct archive *archive, const struct archive_record *record, size_t more,
                     struct err *err)
{
    uint64_t begin = record->header_offset;
    uint64_t wanted = ARCHIVE_LOCAL_HEADER_BYTES + strlen(record->path) + record->size_bytes + more;
    uint64_t left = archive->tail.begin > begin ? archive->tail.begin - begin : 0;
    return window_fill(&archive->near, archive->source, begin, (size_t)(wanted < left ? wanted : left), err);
}

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

/* Makes a window hold the local header, and with it the beginning of the record. */
static int fetch_header(struct archive *archive, const struct archive_record *record, struct err *err)
{
    uint64_t begin = record->header_offset, left = record->end_max - begin;
    size_t ahead = left < HEADER_WINDOW_BYTES ? (size_t)left : HEADER_WINDOW_BYTES;
    if (window_holds(&archive->tail, begin) || window_holds(&archive->near, begin))
        return 0;
    return window_fill(&archive->near, archive->source, begin, ahead, err);
}

int archive_locate(struct archive *archive, struct archive_record *record, struct err *err)
{
    const char *source_name = archive->source->name;
    unsigned char header[ARCHIVE_LOCAL_HEADER_BYTES];
    char path[LIMIT_FILE_NAME_BYTES];
    size_t path_size = strlen(record->path); /* at most LIMIT_FILE_NAME_BYTES, being a safe path */
    if (record->offset)
        return 0;
    if (record->size_bytes == 0)
        return err_set(err, ERR_FORMAT, "%s: the record %.200s is empty", source_name, record->path);
    int code = fetch_header(archive, record, err);
    if (!code)
        code = archive_read(archive, record->header_offset, header, sizeof header, err);
    if (!code)
        code = archive_read(archive, record->header_offset + sizeof header, path, path_size, err);
    if (code)
        return code;
    if (memcmp(header, "PK\3\4", 4) != 0)
        return err_set(err, ERR_FORMAT, "%s: the record %.200s has no local header", source_name,
                       record->path);
    if ((little_endian_16(header + LOCAL_HEADER_FLAGS) & 1) != 0 ||
        little_endian_16(header + LOCAL_HEADER_METHOD) != 0)
        return err_set(err, ERR_FORMAT, "%s: the local header of %.200s contradicts the directory",
                       source_name, record->path);
    if (little_endian_16(header + LOCAL_HEADER_NAME_SIZE) != path_size ||
        memcmp(path, record->path, path_size) != 0)
        return err_set(err, ERR_FORMAT, "%s: the local header of %.200s bears another name", source_name,
                       record->path);
    uint64_t offset = record->header_offset + sizeof header + path_size +
                      little_endian_16(header + LOCAL_HEADER_EXTRA_SIZE);
    if (!checked_range_within(offset, record->size_bytes, record->end_max))
        return err_set(err, ERR_FORMAT, "%s: the record %.200s overlaps what follows it", source_name,
                       record->path);
    record->offset = offset;
    return 0;
}
