/*
 * The fields of a message in protobuf's wire format, one after the other.
 * (protobuf.dev/programming-guides/encoding)
 */
#ifndef BIFURCATED_BASE_PROTOBUF_H
#define BIFURCATED_BASE_PROTOBUF_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* As the wire has them; groups (3, 4) are refused. */
enum protobuf_wire {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2,
    PROTOBUF_FIXED32 = 5,
};

struct protobuf_field {
    uint32_t number;
    enum protobuf_wire wire;
    uint64_t value;            /* of a number; of FIXED32 its bits */
    const unsigned char *data; /* of BYTES, borrowed */
    size_t size;
};

/* What is left of a message; a nested one is the data of a field. */
struct protobuf_reader {
    const unsigned char *data;
    size_t size, position;
};

/* Reads the next field: 1, or 0 at the end. -1 with ERR_FORMAT for a number that does not end or has more
 * than 64 bits, a field without a number, a length beyond the message, or a kind that is not known; the
 * message names the byte, counted from the beginning of this reader's. */
int protobuf_next(struct protobuf_reader *reader, struct protobuf_field *ret_field, struct err *err);

/* The bits as a float. */
float protobuf_float(const struct protobuf_field *field);

#endif
