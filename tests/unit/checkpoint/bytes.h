/*
 * Hand-made bytes for the tests of the readers: pickles, and zip archives that may lie.
 */
#ifndef BIFURCATED_TESTS_UNIT_CHECKPOINT_BYTES_H
#define BIFURCATED_TESTS_UNIT_CHECKPOINT_BYTES_H

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void bytes_number(struct buf *buf, uint64_t number, int size)
{
    for (int i = 0; i < size; i++)
        (void)buf_append_char(buf, (char)(i < 8 ? number >> (8 * i) : 0));
}

/* -- Pickles (protocol 2, as torch.save writes them) --------------------------------------------------- */

static inline void pickle_op(struct buf *buf, const char *ops)
{
    (void)buf_append_text(buf, ops);
}

static inline void pickle_text(struct buf *buf, const char *text)
{
    (void)buf_append_char(buf, 'X');
    bytes_number(buf, strlen(text), 4);
    (void)buf_append_text(buf, text);
}

static inline void pickle_integer(struct buf *buf, int64_t integer)
{
    (void)buf_append(buf, "\x8a\x08", 2);
    bytes_number(buf, (uint64_t)integer, 8);
}

static inline void pickle_tuple(struct buf *buf, const int64_t *integers, int count)
{
    pickle_op(buf, "(");
    for (int i = 0; i < count; i++)
        pickle_integer(buf, integers[i]);
    pickle_op(buf, "t");
}

/* PROTO 2 and a dict that is open for items. */
static inline void pickle_begin(struct buf *buf)
{
    (void)buf_append(buf, "\x80\x02}(", 4);
}

static inline void pickle_end(struct buf *buf)
{
    pickle_op(buf, "u.");
}

struct bytes_tensor {
    const char *name;
    const char *storage; /* "HalfStorage" */
    const char *key;
    int64_t storage_elements;
    int64_t offset;
    int ndim;
    int64_t shape[9], stride[9];
};

static inline void pickle_tensor_alone(struct buf *buf, const struct bytes_tensor *tensor)
{
    pickle_op(buf, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(buf, "storage");
    (void)buf_appendf(buf, "ctorch\n%s\n", tensor->storage);
    pickle_text(buf, tensor->key);
    pickle_text(buf, "cpu");
    pickle_integer(buf, tensor->storage_elements);
    pickle_op(buf, "tQ");
    pickle_integer(buf, tensor->offset);
    pickle_tuple(buf, tensor->shape, tensor->ndim);
    pickle_tuple(buf, tensor->stride, tensor->ndim);
    pickle_op(buf, "\x89"
                   "ccollections\nOrderedDict\n)RtR");
}

/* key: tensor, inside of an open dict */
static inline void pickle_tensor(struct buf *buf, const struct bytes_tensor *tensor)
{
    pickle_text(buf, tensor->name);
    pickle_tensor_alone(buf, tensor);
}

/* -- Zip archives --------------------------------------------------------------------------------------- */

struct bytes_record {
    const char *name;
    const void *data;
    size_t size;
    /* Lies; 0 or NULL for the truth. */
    const char *local_name;
    unsigned method, flags;
    int64_t central_size;    /* both sizes in the directory */
    int64_t compressed_size; /* only that one */
    int64_t header_offset;   /* 1 + where the directory says that the local header is */
};

struct bytes_zip {
    const char *comment;
    const char *trailing;
    int is_zip64;
    int disk;
    int64_t extra_records;   /* added to the number of records */
    int64_t directory_shift; /* added to the directory's offset */
    uint64_t place;          /* of the buffer in the file */
};

static inline void bytes_zip_end(struct buf *buf, const struct bytes_zip *zip, uint64_t begin, uint64_t count)
{
    uint64_t size = buf->size - begin, end64 = zip->place + buf->size;
    begin += zip->place + (uint64_t)zip->directory_shift;
    count += (uint64_t)zip->extra_records;
    if (zip->is_zip64) {
        (void)buf_append(buf, "PK\6\6", 4);
        bytes_number(buf, 44, 8);
        bytes_number(buf, 45, 2);
        bytes_number(buf, 45, 2);
        bytes_number(buf, (uint64_t)zip->disk, 4);
        bytes_number(buf, 0, 4);
        bytes_number(buf, count, 8);
        bytes_number(buf, count, 8);
        bytes_number(buf, size, 8);
        bytes_number(buf, begin, 8);
        (void)buf_append(buf, "PK\6\7", 4);
        bytes_number(buf, 0, 4);
        bytes_number(buf, end64, 8);
        bytes_number(buf, 1, 4);
    }
    (void)buf_append(buf, "PK\5\6", 4);
    bytes_number(buf, (uint64_t)zip->disk, 2);
    bytes_number(buf, 0, 2);
    bytes_number(buf, zip->is_zip64 ? 0xffff : count, 2);
    bytes_number(buf, zip->is_zip64 ? 0xffff : count, 2);
    bytes_number(buf, zip->is_zip64 ? 0xffffffff : size, 4);
    bytes_number(buf, zip->is_zip64 ? 0xffffffff : begin, 4);
    bytes_number(buf, zip->comment ? strlen(zip->comment) : 0, 2);
    (void)buf_append_text(buf, zip->comment ? zip->comment : "");
    (void)buf_append_text(buf, zip->trailing ? zip->trailing : "");
}

/* Writes an archive of stored records; `zip` may be NULL. */
static inline void bytes_zip_build(struct buf *buf, const struct bytes_record *records, size_t count,
                                   const struct bytes_zip *zip)
{
    static const struct bytes_zip plain = {0};
    uint64_t *headers = calloc(count + 1, sizeof *headers);
    if (!headers)
        abort();
    for (size_t i = 0; i < count; i++) {
        const char *name = records[i].local_name ? records[i].local_name : records[i].name;
        headers[i] = buf->size;
        (void)buf_append(buf, "PK\3\4", 4);
        bytes_number(buf, 20, 2);
        bytes_number(buf, 0x0808 | records[i].flags, 2);
        bytes_number(buf, records[i].method, 2);
        bytes_number(buf, 0, 4 + 4 + 4 + 4); /* time, CRC and sizes: torch leaves them to the directory */
        bytes_number(buf, strlen(name), 2);
        bytes_number(buf, 7, 2);
        (void)buf_append_text(buf, name);
        (void)buf_append(buf, "FB\3\0ZZZ", 7); /* torch's padding for alignment */
        (void)buf_append(buf, records[i].data, records[i].size);
    }
    uint64_t begin = buf->size;
    for (size_t i = 0; i < count; i++) {
        uint64_t size = records[i].central_size ? (uint64_t)records[i].central_size : records[i].size;
        uint64_t compressed = records[i].compressed_size ? (uint64_t)records[i].compressed_size : size;
        uint64_t header = records[i].header_offset ? (uint64_t)records[i].header_offset - 1 : headers[i];
        (void)buf_append(buf, "PK\1\2", 4);
        bytes_number(buf, 20, 2);
        bytes_number(buf, 20, 2);
        bytes_number(buf, 0x0808 | records[i].flags, 2);
        bytes_number(buf, records[i].method, 2);
        bytes_number(buf, 0, 4 + 4); /* time, CRC */
        bytes_number(buf, compressed, 4);
        bytes_number(buf, size, 4);
        bytes_number(buf, strlen(records[i].name), 2);
        bytes_number(buf, 0, 2 + 2 + 2 + 2 + 4); /* extra, comment, disk, attributes */
        bytes_number(buf, header, 4);
        (void)buf_append_text(buf, records[i].name);
    }
    bytes_zip_end(buf, zip ? zip : &plain, begin, count);
    free(headers);
}

#endif
