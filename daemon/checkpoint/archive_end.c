#include "daemon/checkpoint/archive_end.h"

#include "daemon/base/limits.h"

#include <inttypes.h>
#include <string.h>

#define END_BYTES 22
#define LOCATOR64_BYTES 20
#define END64_BYTES 56

/* Offsets in the end record and in its ZIP64 form. */
#define END_DISK 4
#define END_DIRECTORY_DISK 6
#define END_DISK_RECORDS 8
#define END_RECORDS 10
#define END_DIRECTORY_SIZE 12
#define END_DIRECTORY_OFFSET 16
#define END_COMMENT_SIZE 20
#define LOCATOR64_DISK 4
#define LOCATOR64_END_OFFSET 8
#define LOCATOR64_DISKS 16
#define END64_SIZE 4
#define END64_DISK 16
#define END64_DIRECTORY_DISK 20
#define END64_DISK_RECORDS 24
#define END64_RECORDS 32
#define END64_DIRECTORY_SIZE 40
#define END64_DIRECTORY_OFFSET 48

static uint64_t number_at(const unsigned char *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = size; i-- > 0;)
        number = number << 8 | bytes[i];
    return number;
}

struct fields {
    uint64_t disks; /* all disk numbers or-ed: 0 for one disk */
    uint64_t disk_records, records;
    uint64_t directory_size, directory_offset;
    uint64_t end_offset; /* of the first end record */
};

/* The ZIP64 records, if there is a locator before the end record. */
static int read_zip64(const unsigned char *tail, size_t size, uint64_t file_size, struct fields *fields,
                      struct err *err)
{
    if (size < END_BYTES + LOCATOR64_BYTES)
        return 0;
    const unsigned char *locator = tail + size - END_BYTES - LOCATOR64_BYTES;
    if (memcmp(locator, "PK\6\7", 4) != 0)
        return 0;
    uint64_t offset = number_at(locator + LOCATOR64_END_OFFSET, 8);
    if (size < END_BYTES + LOCATOR64_BYTES + END64_BYTES ||
        offset != file_size - END_BYTES - LOCATOR64_BYTES - END64_BYTES)
        return err_set(err, ERR_FORMAT, "the ZIP64 end record is not where its locator says");
    const unsigned char *end = locator - END64_BYTES;
    if (memcmp(end, "PK\6\6", 4) != 0 || number_at(end + END64_SIZE, 8) != END64_BYTES - 12)
        return err_set(err, ERR_FORMAT, "the ZIP64 end record is malformed");
    fields->disks = number_at(end + END64_DISK, 4) | number_at(end + END64_DIRECTORY_DISK, 4) |
                    number_at(locator + LOCATOR64_DISK, 4) | number_at(locator + LOCATOR64_DISKS, 4) >> 1;
    fields->disk_records = number_at(end + END64_DISK_RECORDS, 8);
    fields->records = number_at(end + END64_RECORDS, 8);
    fields->directory_size = number_at(end + END64_DIRECTORY_SIZE, 8);
    fields->directory_offset = number_at(end + END64_DIRECTORY_OFFSET, 8);
    fields->end_offset = offset;
    return 0;
}

int archive_end_parse(const unsigned char *tail, size_t size, uint64_t file_size, struct archive_end *ret_end,
                      struct err *err)
{
    if (size < END_BYTES || memcmp(tail + size - END_BYTES, "PK\5\6", 4) != 0)
        return err_set(
            err, ERR_FORMAT,
            "no zip archive, or a truncated one, or one with a comment or other bytes behind it: its "
            "end record is missing");
    const unsigned char *end = tail + size - END_BYTES;
    struct fields fields = {
        .disks = number_at(end + END_DISK, 2) | number_at(end + END_DIRECTORY_DISK, 2),
        .disk_records = number_at(end + END_DISK_RECORDS, 2),
        .records = number_at(end + END_RECORDS, 2),
        .directory_size = number_at(end + END_DIRECTORY_SIZE, 4),
        .directory_offset = number_at(end + END_DIRECTORY_OFFSET, 4),
        .end_offset = file_size - END_BYTES,
    };
    if (number_at(end + END_COMMENT_SIZE, 2) != 0)
        return err_set(err, ERR_FORMAT, "the zip archive's end record is malformed");
    int code = read_zip64(tail, size, file_size, &fields, err);
    if (code)
        return code;
    if (fields.disks != 0 || fields.disk_records != fields.records)
        return err_set(err, ERR_UNSUPPORTED, "the zip archive is split over several disks");
    if (fields.records > LIMIT_ZIP_ENTRIES || fields.directory_size > LIMIT_ZIP_DIRECTORY_BYTES)
        return err_set(err, ERR_LIMIT,
                       "a zip directory of %" PRIu64 " records and %" PRIu64
                       " bytes; the limits are %d and %zu",
                       fields.records, fields.directory_size, LIMIT_ZIP_ENTRIES, LIMIT_ZIP_DIRECTORY_BYTES);
    if (fields.directory_size > fields.end_offset ||
        fields.directory_offset != fields.end_offset - fields.directory_size)
        return err_set(err, ERR_FORMAT, "the zip directory does not end where the end record begins");
    ret_end->directory_begin = fields.directory_offset;
    ret_end->record_count = fields.records;
    return 0;
}
