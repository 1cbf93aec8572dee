#include "daemon/checkpoint/gather.h"

#include <string.h>

static int is_empty(const struct tensor_shape *shape)
{
    for (int i = 0; i < shape->ndim; i++) {
        if (shape->dim[i] == 0)
            return 1;
    }
    return 0;
}

int gather_is_contiguous(const struct tensor_shape *shape, const uint64_t *stride)
{
    uint64_t expected = 1;
    if (is_empty(shape))
        return 1;
    for (int i = shape->ndim; i-- > 0;) {
        if (shape->dim[i] != 1 && stride[i] != expected)
            return 0;
        expected *= shape->dim[i];
    }
    return 1;
}

uint64_t gather_span(const struct tensor_shape *shape, const uint64_t *stride)
{
    uint64_t span = 1;
    if (is_empty(shape))
        return 0;
    for (int i = 0; i < shape->ndim; i++)
        span += (shape->dim[i] - 1) * stride[i];
    return span;
}

void gather_copy(const unsigned char *span, const struct tensor_shape *shape, const uint64_t *stride,
                 size_t element_bytes, unsigned char *out)
{
    uint64_t index[LIMIT_TENSOR_DIMS] = {0};
    int last = shape->ndim - 1;
    if (is_empty(shape))
        return;
    if (last < 0) {
        memcpy(out, span, element_bytes);
        return;
    }
    for (;;) {
        uint64_t start = 0;
        for (int i = 0; i < last; i++)
            start += index[i] * stride[i];
        for (uint64_t i = 0; i < shape->dim[last]; i++, out += element_bytes)
            memcpy(out, span + (start + i * stride[last]) * element_bytes, element_bytes);
        int axis = last - 1;
        while (axis >= 0 && ++index[axis] == shape->dim[axis])
            index[axis--] = 0;
        if (axis < 0)
            return;
    }
}
