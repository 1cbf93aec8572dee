/*
 * A restricted unpickler: it builds the plain data of a state dict and can do nothing else.
 *
 * What trainers write to go on from holds more than tensors: their options, the state of random numbers,
 * plans of libraries. There (PICKLE_DIALECT_TRAINER) other names stand for opaque values, of which nothing is
 * known, pickle's later protocols are read, too, and instances of the classes that describe a distributed
 * checkpoint are records.
 *
 * No class is looked up and nothing is called. A short table says which names may occur (OrderedDict,
 * storages and dtypes, the functions that describe a tensor, harmless values such as sets and devices) and
 * what each stands for; everything else is refused by its name, and so is every opcode that torch.save does
 * not write with its default protocol 2. Stack, memo, objects and their items are bounded (base/limits.h);
 * nothing recurses on the input. The list follows torch/_weights_only_unpickler.py, cut down to what state
 * dicts hold.
 *
 * Tensors of a dtype or form that is not read here, such as quantized ones, are foreign: they have a name, so
 * that whoever asks for one is told, and do not keep the others from being read.
 */
#ifndef BIFURCATED_CHECKPOINT_PICKLE_H
#define BIFURCATED_CHECKPOINT_PICKLE_H

#include "daemon/base/err.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

enum pickle_kind {
    PICKLE_KIND_NONE,
    PICKLE_KIND_BOOL,
    PICKLE_KIND_INTEGER,
    PICKLE_KIND_REAL,
    PICKLE_KIND_TEXT,
    PICKLE_KIND_TUPLE,
    PICKLE_KIND_LIST,
    PICKLE_KIND_DICT,
    PICKLE_KIND_GLOBAL,
    PICKLE_KIND_STORAGE,
    PICKLE_KIND_TENSOR,
    PICKLE_KIND_FOREIGN, /* a tensor that is not read */
    PICKLE_KIND_OPAQUE,  /* a value of which nothing is known but that it is no tensor */
    PICKLE_KIND_RECORD,  /* an instance of a class that is known */
};

enum pickle_dialect {
    PICKLE_DIALECT_PLAIN,   /* only what torch.save writes for plain state dicts; all else is refused */
    PICKLE_DIALECT_TRAINER, /* whatever else there is, is passed over */
};

struct pickle_text {
    uint32_t offset, size; /* in the pickle's bytes */
};

struct pickle_value {
    enum pickle_kind kind;
    union {
        int64_t integer; /* also of a bool */
        double real;
        struct pickle_text text;
        const char *foreign; /* its dtype or form, in words that stay */
        uint32_t index;      /* into objects (tuple, list, dict, record), globals, storages or tensors */
    };
};

/* The values of a tuple or list; of a dict, keys and values in turn, in the order of insertion; of a record
 * its class, a global, and its state, if it has one. */
struct pickle_object {
    struct pickle_value *items;
    uint32_t count, capacity;
};

struct pickle_storage {
    struct pickle_text key; /* of the record that holds its bytes */
    int is_typed;           /* 0: `dtype` is unset and `element_count` counts bytes */
    const char *foreign;    /* its dtype, if that is not known here; else NULL */
    enum tensor_dtype dtype;
    uint64_t element_count;
};

struct pickle_tensor {
    uint32_t storage;
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t stride[LIMIT_TENSOR_DIMS]; /* in elements */
    uint64_t offset;                    /* of its first element in the storage, in elements */
};

struct pickle {
    const char *data; /* borrowed: the texts lie in it */
    struct pickle_value root;
    struct pickle_object *objects;
    struct pickle_storage *storages;
    struct pickle_tensor *tensors;
    size_t object_count, object_capacity;
    size_t storage_count, storage_capacity;
    size_t tensor_count, tensor_capacity;
    size_t item_count; /* of all objects */
};

/* Reads a pickle of at most LIMIT_PICKLE_BYTES. Each tensor is checked to lie inside of its storage.
 * ERR_UNSUPPORTED names what is not allowed; ERR_FORMAT says where the bytes are wrong; ERR_LIMIT. `data`
 * must outlive *ret_pickle, which the caller frees. */
int pickle_load(const void *data, size_t size, enum pickle_dialect dialect, struct pickle **ret_pickle,
                struct err *err);

/* NULL is allowed. */
void pickle_free(struct pickle *pickle);

#endif
