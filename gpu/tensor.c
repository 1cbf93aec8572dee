#include "gpu/tensor.h"

#include "daemon/base/checked.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *safetensors;
    const char *name;
    unsigned bits;
} dtypes[TENSOR_DTYPE_COUNT] = {
#define X(symbol, safetensors, name, bits) [symbol] = {safetensors, name, bits},
    TENSOR_DTYPES(X)
#undef X
};

const char *tensor_dtype_name(enum tensor_dtype dtype)
{
    return (unsigned)dtype < TENSOR_DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

const char *tensor_dtype_safetensors_name(enum tensor_dtype dtype)
{
    return (unsigned)dtype < TENSOR_DTYPE_COUNT ? dtypes[dtype].safetensors : "unknown";
}

unsigned tensor_dtype_bits(enum tensor_dtype dtype)
{
    return (unsigned)dtype < TENSOR_DTYPE_COUNT ? dtypes[dtype].bits : 0;
}

int tensor_dtype_parse(const char *name, enum tensor_dtype *ret_dtype, struct err *err)
{
    for (int i = 0; i < TENSOR_DTYPE_COUNT; i++) {
        if (strcmp(name, dtypes[i].safetensors) == 0 || strcmp(name, dtypes[i].name) == 0) {
            *ret_dtype = (enum tensor_dtype)i;
            return 0;
        }
    }
    return err_set(err, ERR_UNSUPPORTED, "unknown dtype \"%.40s\"", name);
}

int tensor_shape_elements(const struct tensor_shape *shape, uint64_t *ret_elements, struct err *err)
{
    uint64_t elements = 1;
    for (int i = 0; i < shape->ndim; i++) {
        if (checked_mul_u64(elements, shape->dim[i], &elements))
            return err_set(err, ERR_LIMIT, "the product of the shape overflows");
    }
    *ret_elements = elements;
    return 0;
}

int tensor_size_bytes(enum tensor_dtype dtype, const struct tensor_shape *shape, uint64_t *ret_size_bytes,
                      struct err *err)
{
    uint64_t elements = 0, bits = 0;
    int code = tensor_shape_elements(shape, &elements, err);
    if (code)
        return code;
    if (checked_mul_u64(elements, tensor_dtype_bits(dtype), &bits))
        return err_set(err, ERR_LIMIT, "the size of the tensor overflows");
    if (bits % 8 != 0)
        return err_set(err, ERR_FORMAT, "%" PRIu64 " elements of %u bits are not a whole number of bytes",
                       elements, tensor_dtype_bits(dtype));
    *ret_size_bytes = bits / 8;
    return 0;
}

void tensor_matrix(const struct tensor_shape *shape, uint64_t *ret_rows, uint64_t *ret_columns)
{
    uint64_t rows = 1;
    for (int i = 0; i + 1 < shape->ndim; i++)
        rows *= shape->dim[i];
    *ret_rows = rows;
    *ret_columns = shape->ndim ? shape->dim[shape->ndim - 1] : 1;
}

int tensor_is_of_form(enum tensor_dtype dtype, const struct tensor_shape *shape,
                      enum tensor_dtype other_dtype, const struct tensor_shape *other_shape)
{
    uint64_t rows, columns, other_rows, other_columns;
    tensor_matrix(shape, &rows, &columns);
    tensor_matrix(other_shape, &other_rows, &other_columns);
    return dtype == other_dtype && rows == other_rows && columns == other_columns;
}

int tensor_is_finite(const struct tensor_view *view)
{
    /* Of float32, the upper half is a bfloat16. An exponent of all ones is NaN or Inf. */
    const uint16_t exponent = view->dtype == TENSOR_DTYPE_F16 ? 0x7c00U : 0x7f80U;
    const size_t width = view->dtype == TENSOR_DTYPE_F32 ? 4 : 2;
    const unsigned char *end = view->data;
    struct err ignored = ERR_INIT;
    uint64_t elements = 0;
    if (tensor_shape_elements(&view->shape, &elements, &ignored))
        return 0;
    for (uint64_t i = 0; i < elements; i++) {
        uint16_t upper;
        end += width;
        memcpy(&upper, end - sizeof(upper), sizeof(upper));
        if ((upper & exponent) == exponent)
            return 0;
    }
    return 1;
}

char *tensor_shape_format(const struct tensor_shape *shape, char *text, size_t size)
{
    size_t used = 0;
    (void)snprintf(text, size, "[");
    for (int i = 0; i < shape->ndim; i++) {
        used = strlen(text);
        (void)snprintf(text + used, size - used, "%s%" PRIu64, i ? ", " : "", shape->dim[i]);
    }
    used = strlen(text);
    (void)snprintf(text + used, size - used, "]");
    return text;
}
