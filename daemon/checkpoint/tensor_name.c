#include "daemon/checkpoint/tensor_name.h"

#include "daemon/base/limits.h"
#include "daemon/base/utf8.h"

int tensor_name_check(const char *name, size_t size, struct err *err)
{
    if (size == 0)
        return err_set(err, ERR_FORMAT, "a tensor has an empty name");
    if (size > LIMIT_TENSOR_NAME_BYTES)
        return err_set(err, ERR_LIMIT, "a tensor's name of %zu bytes exceeds the limit of %d", size,
                       LIMIT_TENSOR_NAME_BYTES);
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(name + i, size - i);
        if (length == 0)
            return err_set(err, ERR_FORMAT, "a tensor's name is not UTF-8");
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return err_set(err, ERR_FORMAT, "a tensor's name holds a control character");
        i += length;
    }
    return 0;
}
