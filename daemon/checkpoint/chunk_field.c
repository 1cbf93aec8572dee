/*
 * Values in the pickle of a distributed checkpoint's metadata.
 */
#include "daemon/base/limits.h"
#include "daemon/checkpoint/chunk_parts.h"
#include "daemon/checkpoint/pickle_global.h"

#include <inttypes.h>
#include <string.h>

#define FIELDS_MAX 64 /* of a record; the classes have 6 at most */

struct chunk_text chunk_field_text(const struct chunk_reader *reader, struct pickle_value value)
{
    if (value.kind != PICKLE_KIND_TEXT)
        return (struct chunk_text){.bytes = NULL};
    return (struct chunk_text){.bytes = reader->pickle->data + value.text.offset, .size = value.text.size};
}

int chunk_field_compare(struct chunk_text a, struct chunk_text b)
{
    int order = a.bytes == b.bytes ? 0 : memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int is_text(struct chunk_text text, const char *wanted)
{
    return text.bytes && text.size == strlen(wanted) && memcmp(text.bytes, wanted, text.size) == 0;
}

int chunk_field_is_record(const struct chunk_reader *reader, struct pickle_value value, const char *class)
{
    return value.kind == PICKLE_KIND_RECORD &&
           strcmp(pickle_global_at(reader->pickle->objects[value.index].items[0].index)->name, class) == 0;
}

/* One large dict may be the state of many records. */
struct pickle_value chunk_field_item(const struct chunk_reader *reader, struct pickle_value dict,
                                     const char *name)
{
    if (dict.kind == PICKLE_KIND_DICT) {
        const struct pickle_object *object = &reader->pickle->objects[dict.index];
        for (uint32_t i = 0; i + 1 < object->count && i < 2 * FIELDS_MAX; i += 2) {
            if (is_text(chunk_field_text(reader, object->items[i]), name))
                return object->items[i + 1];
        }
    }
    return (struct pickle_value){.kind = PICKLE_KIND_NONE};
}

struct pickle_value chunk_field_state(const struct chunk_reader *reader, struct pickle_value record)
{
    const struct pickle_object *object = &reader->pickle->objects[record.index];
    return object->count > 1 ? object->items[1] : (struct pickle_value){.kind = PICKLE_KIND_NONE};
}

struct pickle_value chunk_field_of(const struct chunk_reader *reader, struct pickle_value record,
                                   const char *name)
{
    return chunk_field_item(reader, chunk_field_state(reader, record), name);
}

int chunk_field_read_size(const struct chunk_reader *reader, struct pickle_value value, const char *what,
                          uint64_t *numbers, int *ret_ndim)
{
    if (value.kind != PICKLE_KIND_TUPLE && value.kind != PICKLE_KIND_LIST)
        return err_set(reader->err, ERR_FORMAT, "%s is no list of numbers", what);
    const struct pickle_object *object = &reader->pickle->objects[value.index];
    if (object->count > LIMIT_TENSOR_DIMS)
        return err_set(reader->err, ERR_LIMIT, "%s has %" PRIu32 " dimensions, the limit is %d", what,
                       object->count, LIMIT_TENSOR_DIMS);
    for (uint32_t i = 0; i < object->count; i++) {
        if (object->items[i].kind != PICKLE_KIND_INTEGER || object->items[i].integer < 0)
            return err_set(reader->err, ERR_FORMAT, "%s holds something else than sizes", what);
        numbers[i] = (uint64_t)object->items[i].integer;
    }
    *ret_ndim = (int)object->count;
    return 0;
}
