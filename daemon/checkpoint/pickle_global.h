/*
 * The names that a pickled state dict may use, and what each means. Private to the unpickler.
 */
#ifndef BIFURCATED_CHECKPOINT_PICKLE_GLOBAL_H
#define BIFURCATED_CHECKPOINT_PICKLE_GLOBAL_H

#include "daemon/base/err.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

enum pickle_global_kind {
    PICKLE_GLOBAL_KIND_ORDERED_DICT,         /* () -> an empty dict */
    PICKLE_GLOBAL_KIND_SIZE,                 /* (tuple) -> the tuple */
    PICKLE_GLOBAL_KIND_REBUILD_TENSOR,       /* (storage, offset, size, stride, grad, hooks[, metadata]) */
    PICKLE_GLOBAL_KIND_REBUILD_TENSOR_DTYPE, /* the same with a dtype after hooks */
    PICKLE_GLOBAL_KIND_REBUILD_PARAMETER,    /* (tensor, grad, hooks[, state]) -> the tensor */
    PICKLE_GLOBAL_KIND_REBUILD_FOREIGN,      /* (anything) -> a tensor that is known by its name alone */
    PICKLE_GLOBAL_KIND_REBUILD_FROM_TYPE,    /* (one of the four above, class, its arguments, state) */
    PICKLE_GLOBAL_KIND_CLASS,                /* names a class whose tensors are plain ones */
    PICKLE_GLOBAL_KIND_STORAGE,              /* names a typed storage */
    PICKLE_GLOBAL_KIND_UNTYPED_STORAGE,      /* names a storage of bytes */
    PICKLE_GLOBAL_KIND_DTYPE,                /* names a dtype */
    PICKLE_GLOBAL_KIND_OPAQUE,               /* (anything) -> a value that concerns no tensor */
    PICKLE_GLOBAL_KIND_RECORD,               /* a class whose instances are kept, with their fields */
};

struct pickle_global {
    const char *module;
    const char *name;
    enum pickle_global_kind kind;
    enum tensor_dtype dtype; /* of STORAGE and DTYPE */
    const char *foreign;     /* of these two: a dtype that is not known here, so that the one before means
                              * nothing; of REBUILD_FOREIGN: the form of its tensors; else NULL */
};

/* Finds a name, given as bytes without a final 0; ERR_UNSUPPORTED names it if it is not allowed. */
int pickle_global_find(const char *module, size_t module_size, const char *name, size_t name_size,
                       uint32_t *ret_index, struct err *err);

/* The same where other names may stand: they are a row of their own, an OPAQUE one without a name. */
uint32_t pickle_global_find_any(const char *module, size_t module_size, const char *name, size_t name_size);

/* The table's row; `index` comes from either. */
const struct pickle_global *pickle_global_at(uint32_t index);

#endif
