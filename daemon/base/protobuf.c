#include "daemon/base/protobuf.h"

#include <string.h>

static int fail(const char *what, size_t place, struct err *err)
{
    (void)err_set(err, ERR_FORMAT, "%s at byte %zu", what, place);
    return -1;
}

/* 1, or -1 with the error set. */
static int read_varint(struct protobuf_reader *reader, uint64_t *ret_value, struct err *err)
{
    const size_t begin = reader->position;
    uint64_t value = 0;
    for (unsigned shift = 0; reader->position < reader->size; shift += 7) {
        const unsigned char byte = reader->data[reader->position++];
        if (shift == 63 && byte > 1)
            return fail("a number of more than 64 bits", begin, err);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return 1;
        }
    }
    return fail("a number that does not end", begin, err);
}

static int read_fixed(struct protobuf_reader *reader, size_t size, uint64_t *ret_value, struct err *err)
{
    uint64_t value = 0;
    if (reader->size - reader->position < size)
        return fail("a number that does not end", reader->position, err);
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)reader->data[reader->position + i] << 8 * i;
    reader->position += size;
    *ret_value = value;
    return 1;
}

static int read_bytes(struct protobuf_reader *reader, struct protobuf_field *field, struct err *err)
{
    const size_t begin = reader->position;
    uint64_t size;
    if (read_varint(reader, &size, err) < 0)
        return -1;
    if (size > reader->size - reader->position)
        return fail("a length beyond the end", begin, err);
    field->data = reader->data + reader->position;
    field->size = (size_t)size;
    reader->position += (size_t)size;
    return 1;
}

int protobuf_next(struct protobuf_reader *reader, struct protobuf_field *ret_field, struct err *err)
{
    const size_t begin = reader->position;
    struct protobuf_field field = {.number = 0};
    uint64_t key;
    if (reader->position == reader->size)
        return 0;
    if (read_varint(reader, &key, err) < 0)
        return -1;
    if (key >> 3 == 0 || key >> 3 >= 1U << 29)
        return fail("a field without a number", begin, err);
    field.number = (uint32_t)(key >> 3);
    field.wire = (enum protobuf_wire)(key & 7);
    int code;
    switch (key & 7) {
    case PROTOBUF_VARINT:
        code = read_varint(reader, &field.value, err);
        break;
    case PROTOBUF_FIXED64:
        code = read_fixed(reader, 8, &field.value, err);
        break;
    case PROTOBUF_BYTES:
        code = read_bytes(reader, &field, err);
        break;
    case PROTOBUF_FIXED32:
        code = read_fixed(reader, 4, &field.value, err);
        break;
    default:
        return fail("a field of an unknown kind", begin, err);
    }
    if (code > 0)
        *ret_field = field;
    return code;
}

float protobuf_float(const struct protobuf_field *field)
{
    const uint32_t bits = (uint32_t)field->value;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
