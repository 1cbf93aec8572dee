/*
 * A tensor as the readers hand it over and the backends take it: a dtype, a shape and contiguous
 * little-endian bytes in row-major order.
 */
#ifndef BIFURCATED_GPU_TENSOR_H
#define BIFURCATED_GPU_TENSOR_H

#include "daemon/base/err.h"
#include "daemon/base/limits.h"

#include <stddef.h>
#include <stdint.h>

/* symbol, safetensors name, name used by numpy and people, bits per element */
#define TENSOR_DTYPES(X)                                                                                     \
    X(TENSOR_DTYPE_BOOL, "BOOL", "bool", 8)                                                                  \
    X(TENSOR_DTYPE_U8, "U8", "uint8", 8)                                                                     \
    X(TENSOR_DTYPE_I8, "I8", "int8", 8)                                                                      \
    X(TENSOR_DTYPE_F8_E4M3, "F8_E4M3", "float8_e4m3fn", 8)                                                   \
    X(TENSOR_DTYPE_F8_E5M2, "F8_E5M2", "float8_e5m2", 8)                                                     \
    X(TENSOR_DTYPE_I16, "I16", "int16", 16)                                                                  \
    X(TENSOR_DTYPE_U16, "U16", "uint16", 16)                                                                 \
    X(TENSOR_DTYPE_F16, "F16", "float16", 16)                                                                \
    X(TENSOR_DTYPE_BF16, "BF16", "bfloat16", 16)                                                             \
    X(TENSOR_DTYPE_I32, "I32", "int32", 32)                                                                  \
    X(TENSOR_DTYPE_U32, "U32", "uint32", 32)                                                                 \
    X(TENSOR_DTYPE_F32, "F32", "float32", 32)                                                                \
    X(TENSOR_DTYPE_I64, "I64", "int64", 64)                                                                  \
    X(TENSOR_DTYPE_U64, "U64", "uint64", 64)                                                                 \
    X(TENSOR_DTYPE_F64, "F64", "float64", 64)                                                                \
    X(TENSOR_DTYPE_C64, "C64", "complex64", 64)                                                              \
    X(TENSOR_DTYPE_F4, "F4", "float4_e2m1fn", 4)                                                             \
    X(TENSOR_DTYPE_F6_E2M3, "F6_E2M3", "float6_e2m3fn", 6)                                                   \
    X(TENSOR_DTYPE_F6_E3M2, "F6_E3M2", "float6_e3m2fn", 6)                                                   \
    X(TENSOR_DTYPE_F8_E8M0, "F8_E8M0", "float8_e8m0fnu", 8)                                                  \
    X(TENSOR_DTYPE_F8_E4M3FNUZ, "F8_E4M3FNUZ", "float8_e4m3fnuz", 8)                                         \
    X(TENSOR_DTYPE_F8_E5M2FNUZ, "F8_E5M2FNUZ", "float8_e5m2fnuz", 8)

enum tensor_dtype {
#define X(symbol, safetensors, name, bits) symbol,
    TENSOR_DTYPES(X)
#undef X
        TENSOR_DTYPE_COUNT
};

struct tensor_shape {
    int ndim;                        /* 0 for a scalar */
    uint64_t dim[LIMIT_TENSOR_DIMS]; /* outermost first */
};

struct tensor_view {
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    const void *data; /* contiguous, row-major, little-endian; not necessarily aligned; borrowed */
};

/* "float16"; "unknown" for a value outside of the enum. */
const char *tensor_dtype_name(enum tensor_dtype dtype);

/* "F16", as in a safetensors header. */
const char *tensor_dtype_safetensors_name(enum tensor_dtype dtype);

/* Bits per element (4 and 6 occur). */
unsigned tensor_dtype_bits(enum tensor_dtype dtype);

/* Finds a dtype by its safetensors name ("F16") or its common name ("float16"); ERR_UNSUPPORTED if unknown.
 */
int tensor_dtype_parse(const char *name, enum tensor_dtype *ret_dtype, struct err *err);

/* Number of elements; ERR_LIMIT if the product overflows. A scalar has one. */
int tensor_shape_elements(const struct tensor_shape *shape, uint64_t *ret_elements, struct err *err);

/* Bytes of a tensor; ERR_LIMIT on overflow, ERR_FORMAT where elements * bits is no whole number of bytes. */
int tensor_size_bytes(enum tensor_dtype dtype, const struct tensor_shape *shape, uint64_t *ret_size_bytes,
                      struct err *err);

/* Rows and columns of the matrix view that statistics use: a 2-d tensor as it is, a vector as one row, more
 * dimensions folded into rows; a scalar is 1 x 1. */
void tensor_matrix(const struct tensor_shape *shape, uint64_t *ret_rows, uint64_t *ret_columns);

/* Whether two tensors have the same dtype and, as matrices, the same rows and columns. */
int tensor_is_of_form(enum tensor_dtype dtype, const struct tensor_shape *shape,
                      enum tensor_dtype other_dtype, const struct tensor_shape *other_shape);

/* Whether no element is NaN or Inf: of float16, bfloat16 or float32. */
int tensor_is_finite(const struct tensor_view *view);

/* "[50304, 512]" into text; returns text. */
char *tensor_shape_format(const struct tensor_shape *shape, char *text, size_t size);

#endif
