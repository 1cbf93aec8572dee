#include "daemon/checkpoint/pickle_global.h"

#include <string.h>

#define STORAGE(name, dtype)                                                                                 \
    {                                                                                                        \
        "torch", name, PICKLE_GLOBAL_KIND_STORAGE, dtype, NULL                                               \
    }
#define DTYPE(name, dtype)                                                                                   \
    {                                                                                                        \
        "torch", name, PICKLE_GLOBAL_KIND_DTYPE, dtype, NULL                                                 \
    }
#define FOREIGN_STORAGE(name, dtype)                                                                         \
    {                                                                                                        \
        "torch", name, PICKLE_GLOBAL_KIND_STORAGE, 0, dtype                                                  \
    }
#define FOREIGN_DTYPE(name)                                                                                  \
    {                                                                                                        \
        "torch", name, PICKLE_GLOBAL_KIND_DTYPE, 0, name                                                     \
    }
#define FOREIGN_TENSOR(name, form)                                                                           \
    {                                                                                                        \
        "torch._utils", name, PICKLE_GLOBAL_KIND_REBUILD_FOREIGN, 0, form                                    \
    }
/* What stands beside tensors and would not help an attacker if it were called, as it never is. */
#define OPAQUE(module, name)                                                                                 \
    {                                                                                                        \
        module, name, PICKLE_GLOBAL_KIND_OPAQUE, 0, NULL                                                     \
    }

/* Of torch.distributed.checkpoint, and the options of Megatron. */
#define RECORD(module, name)                                                                                 \
    {                                                                                                        \
        module, name, PICKLE_GLOBAL_KIND_RECORD, 0, NULL                                                     \
    }

static const struct pickle_global globals[] = {
    {"collections", "OrderedDict", PICKLE_GLOBAL_KIND_ORDERED_DICT, 0, NULL},
    {"torch", "Size", PICKLE_GLOBAL_KIND_SIZE, 0, NULL},
    {"torch._utils", "_rebuild_tensor_v2", PICKLE_GLOBAL_KIND_REBUILD_TENSOR, 0, NULL},
    {"torch._utils", "_rebuild_tensor_v3", PICKLE_GLOBAL_KIND_REBUILD_TENSOR_DTYPE, 0, NULL},
    {"torch._utils", "_rebuild_parameter", PICKLE_GLOBAL_KIND_REBUILD_PARAMETER, 0, NULL},
    {"torch._utils", "_rebuild_parameter_with_state", PICKLE_GLOBAL_KIND_REBUILD_PARAMETER, 0, NULL},
    {"torch._tensor", "_rebuild_from_type_v2", PICKLE_GLOBAL_KIND_REBUILD_FROM_TYPE, 0, NULL},
    {"torch", "Tensor", PICKLE_GLOBAL_KIND_CLASS, 0, NULL},
    {"torch.nn.parameter", "Parameter", PICKLE_GLOBAL_KIND_CLASS, 0, NULL},
    {"torch.nn.parameter", "Buffer", PICKLE_GLOBAL_KIND_CLASS, 0, NULL},
    {"torch.storage", "UntypedStorage", PICKLE_GLOBAL_KIND_UNTYPED_STORAGE, 0, NULL},
    STORAGE("BoolStorage", TENSOR_DTYPE_BOOL),
    STORAGE("ByteStorage", TENSOR_DTYPE_U8),
    STORAGE("CharStorage", TENSOR_DTYPE_I8),
    STORAGE("ShortStorage", TENSOR_DTYPE_I16),
    STORAGE("IntStorage", TENSOR_DTYPE_I32),
    STORAGE("LongStorage", TENSOR_DTYPE_I64),
    STORAGE("HalfStorage", TENSOR_DTYPE_F16),
    STORAGE("BFloat16Storage", TENSOR_DTYPE_BF16),
    STORAGE("FloatStorage", TENSOR_DTYPE_F32),
    STORAGE("DoubleStorage", TENSOR_DTYPE_F64),
    STORAGE("ComplexFloatStorage", TENSOR_DTYPE_C64),
    DTYPE("bool", TENSOR_DTYPE_BOOL),
    DTYPE("uint8", TENSOR_DTYPE_U8),
    DTYPE("int8", TENSOR_DTYPE_I8),
    DTYPE("uint16", TENSOR_DTYPE_U16),
    DTYPE("int16", TENSOR_DTYPE_I16),
    DTYPE("uint32", TENSOR_DTYPE_U32),
    DTYPE("int32", TENSOR_DTYPE_I32),
    DTYPE("uint64", TENSOR_DTYPE_U64),
    DTYPE("int64", TENSOR_DTYPE_I64),
    DTYPE("float16", TENSOR_DTYPE_F16),
    DTYPE("bfloat16", TENSOR_DTYPE_BF16),
    DTYPE("float32", TENSOR_DTYPE_F32),
    DTYPE("float64", TENSOR_DTYPE_F64),
    DTYPE("complex64", TENSOR_DTYPE_C64),
    DTYPE("float8_e4m3fn", TENSOR_DTYPE_F8_E4M3),
    DTYPE("float8_e5m2", TENSOR_DTYPE_F8_E5M2),
    DTYPE("float8_e4m3fnuz", TENSOR_DTYPE_F8_E4M3FNUZ),
    DTYPE("float8_e5m2fnuz", TENSOR_DTYPE_F8_E5M2FNUZ),
    DTYPE("float8_e8m0fnu", TENSOR_DTYPE_F8_E8M0),
    FOREIGN_STORAGE("ComplexDoubleStorage", "complex128"),
    FOREIGN_STORAGE("QInt8Storage", "qint8"),
    FOREIGN_STORAGE("QUInt8Storage", "quint8"),
    FOREIGN_STORAGE("QInt32Storage", "qint32"),
    FOREIGN_STORAGE("QUInt4x2Storage", "quint4x2"),
    FOREIGN_STORAGE("QUInt2x4Storage", "quint2x4"),
    FOREIGN_DTYPE("complex128"),
    FOREIGN_DTYPE("complex32"),
    FOREIGN_DTYPE("float4_e2m1fn_x2"),
    FOREIGN_DTYPE("int1"),
    FOREIGN_DTYPE("int2"),
    FOREIGN_DTYPE("int3"),
    FOREIGN_DTYPE("int4"),
    FOREIGN_DTYPE("int5"),
    FOREIGN_DTYPE("int6"),
    FOREIGN_DTYPE("int7"),
    FOREIGN_DTYPE("uint1"),
    FOREIGN_DTYPE("uint2"),
    FOREIGN_DTYPE("uint3"),
    FOREIGN_DTYPE("uint4"),
    FOREIGN_DTYPE("uint5"),
    FOREIGN_DTYPE("uint6"),
    FOREIGN_DTYPE("uint7"),
    FOREIGN_DTYPE("bits1x8"),
    FOREIGN_DTYPE("bits2x4"),
    FOREIGN_DTYPE("bits4x2"),
    FOREIGN_DTYPE("bits8"),
    FOREIGN_DTYPE("bits16"),
    FOREIGN_TENSOR("_rebuild_qtensor", "quantized"),
    FOREIGN_TENSOR("_rebuild_sparse_tensor", "sparse"),
    FOREIGN_TENSOR("_rebuild_sparse_csr_tensor", "sparse"),
    FOREIGN_TENSOR("_rebuild_nested_tensor", "nested"),
    FOREIGN_TENSOR("_rebuild_meta_tensor_no_storage", "without data, on the meta device"),
    OPAQUE("torch", "device"),
    OPAQUE("torch", "per_tensor_affine"),
    OPAQUE("torch", "per_tensor_symmetric"),
    OPAQUE("torch", "per_channel_affine"),
    OPAQUE("torch", "per_channel_symmetric"),
    OPAQUE("torch", "per_channel_affine_float_qparams"),
    OPAQUE("torch.serialization", "_get_layout"),
    OPAQUE("collections", "Counter"),
    OPAQUE("_codecs", "encode"), /* bytes, in protocol 2 */
    OPAQUE("__builtin__", "bytearray"),
    OPAQUE("__builtin__", "complex"),
    OPAQUE("__builtin__", "frozenset"),
    OPAQUE("__builtin__", "set"),
    OPAQUE("builtins", "bytearray"),
    OPAQUE("builtins", "complex"),
    OPAQUE("builtins", "frozenset"),
    OPAQUE("builtins", "set"),
    RECORD("torch.distributed.checkpoint.metadata", "Metadata"),
    RECORD("torch.distributed.checkpoint.metadata", "TensorStorageMetadata"),
    RECORD("torch.distributed.checkpoint.metadata", "ChunkStorageMetadata"),
    RECORD("torch.distributed.checkpoint.metadata", "MetadataIndex"),
    RECORD("torch.distributed.checkpoint.metadata", "TensorProperties"),
    RECORD("torch.distributed._shard.sharded_tensor.metadata", "TensorProperties"), /* of older torch */
    RECORD("megatron.core.dist_checkpointing.strategies.torch", "MCoreMetadata"), /* of Megatron Core 0.15 */
    RECORD("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    RECORD("olmo_core.distributed.checkpoint.filesystem", "_StorageInfo"),
    RECORD("argparse", "Namespace"),
};

/* Any other name, where it may stand. */
static const struct pickle_global unknown = OPAQUE("", "");

#define GLOBAL_COUNT ((uint32_t)(sizeof globals / sizeof globals[0]))

static int equals(const char *text, const char *bytes, size_t size)
{
    return strlen(text) == size && memcmp(text, bytes, size) == 0;
}

uint32_t pickle_global_find_any(const char *module, size_t module_size, const char *name, size_t name_size)
{
    uint32_t i = 0;
    while (i < GLOBAL_COUNT &&
           !(equals(globals[i].module, module, module_size) && equals(globals[i].name, name, name_size)))
        i++;
    return i;
}

int pickle_global_find(const char *module, size_t module_size, const char *name, size_t name_size,
                       uint32_t *ret_index, struct err *err)
{
    *ret_index = pickle_global_find_any(module, module_size, name, name_size);
    if (*ret_index < GLOBAL_COUNT && globals[*ret_index].kind != PICKLE_GLOBAL_KIND_RECORD)
        return 0;
    int module_shown = module_size > 100 ? 100 : (int)module_size;
    int name_shown = name_size > 100 ? 100 : (int)name_size;
    return err_set(err, ERR_UNSUPPORTED,
                   "%.*s.%.*s is not allowed: only plain state dicts are read, and nothing is ever executed",
                   module_shown, module, name_shown, name);
}

const struct pickle_global *pickle_global_at(uint32_t index)
{
    return index < GLOBAL_COUNT ? &globals[index] : &unknown;
}
