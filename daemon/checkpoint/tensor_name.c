#include "daemon/checkpoint/tensor_name.h"

#include "daemon/base/limits.h"

#include <stdint.h>

/* The length of the UTF-8 sequence at `text`, 0 if it is none: overlong forms, surrogates and what lies above
 * U+10FFFF are refused. */
static size_t sequence_length(const unsigned char *text, size_t size)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t lowest;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t length = 1; length <= 4; length++) {
        if ((text[0] & forms[length - 1].mask) != forms[length - 1].lead)
            continue;
        if (length > size)
            return 0;
        uint32_t point = text[0] & (unsigned)(unsigned char)~forms[length - 1].mask;
        for (size_t i = 1; i < length; i++) {
            if ((text[i] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (text[i] & 0x3f);
        }
        int is_surrogate = point >= 0xd800 && point <= 0xdfff;
        return point >= forms[length - 1].lowest && point <= 0x10ffff && !is_surrogate ? length : 0;
    }
    return 0;
}

int tensor_name_check(const char *name, size_t size, struct err *err)
{
    const unsigned char *text = (const unsigned char *)name;
    if (size == 0)
        return err_set(err, ERR_FORMAT, "a tensor has an empty name");
    if (size > LIMIT_TENSOR_NAME_BYTES)
        return err_set(err, ERR_LIMIT, "a tensor's name of %zu bytes exceeds the limit of %d", size,
                       LIMIT_TENSOR_NAME_BYTES);
    for (size_t i = 0; i < size;) {
        size_t length = sequence_length(text + i, size - i);
        if (length == 0)
            return err_set(err, ERR_FORMAT, "a tensor's name is not UTF-8");
        if (text[i] < 0x20 || text[i] == 0x7f)
            return err_set(err, ERR_FORMAT, "a tensor's name holds a control character");
        i += length;
    }
    return 0;
}
