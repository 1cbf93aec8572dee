/*
 * What the calls in a pickled state dict mean: storages, tensors, parameters, dictionaries.
 */
#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/pickle_global.h"
#include "daemon/checkpoint/pickle_machine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct pickle_global *global_of(struct pickle_value value)
{
    return value.kind == PICKLE_KIND_GLOBAL ? pickle_global_at(value.index) : NULL;
}

static int is_object(struct pickle_value value)
{
    return value.kind == PICKLE_KIND_TUPLE || value.kind == PICKLE_KIND_LIST ||
           value.kind == PICKLE_KIND_DICT;
}

/* Makes room for one more element of `size` bytes; returns the array, or NULL with the error set. */
static void *grow(struct pickle_machine *machine, void *array, size_t count, size_t *capacity, size_t size)
{
    if (count == LIMIT_TENSORS) {
        (void)err_set(machine->err, ERR_LIMIT, "more than the limit of %d tensors", LIMIT_TENSORS);
        return NULL;
    }
    if (count < *capacity)
        return array;
    size_t larger = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(array, larger * size);
    if (!grown)
        (void)err_set(machine->err, ERR_NO_MEMORY, "out of memory");
    else
        *capacity = larger;
    return grown;
}

/* A storage's key names a record "data/<key>": digits, so that it cannot name anything else. */
static int is_storage_key(const struct pickle *pickle, struct pickle_text text)
{
    if (text.size == 0 || text.size > 20)
        return 0;
    for (uint32_t i = 0; i < text.size; i++) {
        char c = pickle->data[text.offset + i];
        if (c < '0' || c > '9')
            return 0;
    }
    return 1;
}

int pickle_call_persistent_id(struct pickle_machine *machine)
{
    struct pickle *pickle = machine->pickle;
    struct pickle_value tuple;
    int code = pickle_machine_pop(machine, &tuple);
    if (code)
        return code;
    if (tuple.kind != PICKLE_KIND_TUPLE || pickle->objects[tuple.index].count != 5)
        return err_set(machine->err, ERR_FORMAT, "a persistent id is not a tuple of five");
    const struct pickle_value *items = pickle->objects[tuple.index].items;
    const struct pickle_global *global = global_of(items[1]);
    if (items[0].kind != PICKLE_KIND_TEXT || items[0].text.size != 7 ||
        memcmp(pickle->data + items[0].text.offset, "storage", 7) != 0)
        return err_set(machine->err, ERR_UNSUPPORTED, "a persistent id names something else than a storage");
    if (!global ||
        (global->kind != PICKLE_GLOBAL_KIND_STORAGE && global->kind != PICKLE_GLOBAL_KIND_UNTYPED_STORAGE))
        return err_set(machine->err, ERR_FORMAT, "a storage's class is not one that is known");
    if (items[2].kind != PICKLE_KIND_TEXT || !is_storage_key(pickle, items[2].text))
        return err_set(machine->err, ERR_FORMAT, "a storage's key is not a number in text");
    /* items[3], the device, does not matter. */
    if (items[4].kind != PICKLE_KIND_INTEGER || items[4].integer < 0)
        return err_set(machine->err, ERR_FORMAT, "a storage's number of elements is not a number");
    struct pickle_storage *storages = grow(machine, pickle->storages, pickle->storage_count,
                                           &pickle->storage_capacity, sizeof *pickle->storages);
    if (!storages)
        return machine->err->code;
    pickle->storages = storages;
    uint32_t index = (uint32_t)pickle->storage_count++;
    storages[index] = (struct pickle_storage){
        .key = items[2].text,
        .is_typed = global->kind == PICKLE_GLOBAL_KIND_STORAGE,
        .foreign = global->foreign,
        .dtype = global->dtype,
        .element_count = (uint64_t)items[4].integer,
    };
    return pickle_machine_push(machine, (struct pickle_value){.kind = PICKLE_KIND_STORAGE, .index = index});
}

/* Reads a tuple of sizes or strides. */
static int read_numbers(struct pickle_machine *machine, struct pickle_value tuple, const char *what,
                        uint64_t *numbers, int *count)
{
    if (tuple.kind != PICKLE_KIND_TUPLE)
        return err_set(machine->err, ERR_FORMAT, "a tensor's %s is not a tuple", what);
    const struct pickle_object *object = &machine->pickle->objects[tuple.index];
    if (object->count > LIMIT_TENSOR_DIMS)
        return err_set(machine->err, ERR_LIMIT, "a tensor of %" PRIu32 " dimensions, the limit is %d",
                       object->count, LIMIT_TENSOR_DIMS);
    for (uint32_t i = 0; i < object->count; i++) {
        if (object->items[i].kind != PICKLE_KIND_INTEGER || object->items[i].integer < 0)
            return err_set(machine->err, ERR_FORMAT, "a tensor's %s holds something else than sizes", what);
        numbers[i] = (uint64_t)object->items[i].integer;
    }
    *count = (int)object->count;
    return 0;
}

/* Checks that every element of the tensor lies in its storage. */
static int check_inside(struct pickle_machine *machine, struct pickle_tensor *tensor,
                        uint64_t storage_elements)
{
    uint64_t elements = 0, size_bytes = 0, last = tensor->offset;
    int code = tensor_shape_elements(&tensor->shape, &elements, machine->err);
    if (!code)
        code = tensor_size_bytes(tensor->dtype, &tensor->shape, &size_bytes, machine->err);
    if (code)
        return code;
    if (elements == 0) {
        tensor->offset = 0;
        return 0;
    }
    for (int i = 0; i < tensor->shape.ndim; i++) {
        uint64_t reach = 0;
        if (checked_mul_u64(tensor->shape.dim[i] - 1, tensor->stride[i], &reach) ||
            checked_add_u64(last, reach, &last))
            return err_set(machine->err, ERR_FORMAT, "the strides of a tensor overflow");
    }
    if (last >= storage_elements)
        return err_set(machine->err, ERR_FORMAT,
                       "a tensor's last element is number %" PRIu64 " of a storage of %" PRIu64, last,
                       storage_elements);
    return 0;
}

/* Of a tensor over a storage; `named` is what its arguments say, NULL if they leave it to the storage. */
static int read_dtype(struct pickle_machine *machine, const struct pickle_storage *storage,
                      const struct pickle_value *named, enum tensor_dtype *ret_dtype)
{
    const struct pickle_global *global = named ? global_of(*named) : NULL;
    if (named ? !global || global->kind != PICKLE_GLOBAL_KIND_DTYPE : !storage->is_typed)
        return err_set(machine->err, ERR_FORMAT, "a tensor has no dtype");
    *ret_dtype = global ? global->dtype : storage->dtype;
    if (storage->is_typed && storage->dtype != *ret_dtype)
        return err_set(machine->err, ERR_FORMAT, "a tensor's dtype differs from its storage's");
    return 0;
}

/* What makes a tensor over this storage foreign; NULL: nothing. */
static const char *foreign_of(const struct pickle_storage *storage, const struct pickle_value *named)
{
    const struct pickle_global *global = named ? global_of(*named) : NULL;
    if (global && global->kind == PICKLE_GLOBAL_KIND_DTYPE && global->foreign)
        return global->foreign;
    return storage->foreign;
}

static int push_foreign(struct pickle_machine *machine, const char *foreign)
{
    return pickle_machine_push(machine,
                               (struct pickle_value){.kind = PICKLE_KIND_FOREIGN, .foreign = foreign});
}

/* Whether the metadata of a tensor says that its elements are not what its storage holds. */
static int is_transformed(const struct pickle *pickle, struct pickle_value metadata)
{
    return metadata.kind != PICKLE_KIND_NONE &&
           (metadata.kind != PICKLE_KIND_DICT || pickle->objects[metadata.index].count != 0);
}

static int read_size_and_stride(struct pickle_machine *machine, const struct pickle_value *items,
                                struct pickle_tensor *tensor)
{
    int strides = 0;
    int code = read_numbers(machine, items[0], "size", tensor->shape.dim, &tensor->shape.ndim);
    if (!code)
        code = read_numbers(machine, items[1], "stride", tensor->stride, &strides);
    if (!code && strides != tensor->shape.ndim)
        code = err_set(machine->err, ERR_FORMAT, "a tensor has %d sizes but %d strides", tensor->shape.ndim,
                       strides);
    return code;
}

static int push_tensor(struct pickle_machine *machine, const struct pickle_tensor *tensor)
{
    struct pickle *pickle = machine->pickle;
    struct pickle_tensor *tensors = grow(machine, pickle->tensors, pickle->tensor_count,
                                         &pickle->tensor_capacity, sizeof *pickle->tensors);
    if (!tensors)
        return machine->err->code;
    pickle->tensors = tensors;
    uint32_t index = (uint32_t)pickle->tensor_count++;
    tensors[index] = *tensor;
    return pickle_machine_push(machine, (struct pickle_value){.kind = PICKLE_KIND_TENSOR, .index = index});
}

/* args: storage, offset, size, stride, requires_grad, hooks, then `dtype` if is_explicit, then metadata. */
static int rebuild_tensor(struct pickle_machine *machine, const struct pickle_object *args, int is_explicit)
{
    struct pickle *pickle = machine->pickle;
    uint32_t least = is_explicit ? 7 : 6;
    struct pickle_tensor tensor = {0};
    if (args->count != least && args->count != least + 1)
        return err_set(machine->err, ERR_FORMAT, "a tensor is described by %" PRIu32 " values", args->count);
    const struct pickle_value *items = args->items;
    if (items[0].kind != PICKLE_KIND_STORAGE)
        return err_set(machine->err, ERR_FORMAT, "a tensor has no storage");
    const struct pickle_storage *storage = &pickle->storages[items[0].index];
    const char *foreign = foreign_of(storage, is_explicit ? &items[6] : NULL);
    if (foreign)
        return push_foreign(machine, foreign);
    int code = read_dtype(machine, storage, is_explicit ? &items[6] : NULL, &tensor.dtype);
    if (code)
        return code;
    if (args->count > least && is_transformed(pickle, items[least]))
        return push_foreign(machine, "a conjugated or negated view");
    if (items[1].kind != PICKLE_KIND_INTEGER || items[1].integer < 0)
        return err_set(machine->err, ERR_FORMAT, "a tensor's offset is not a number");
    tensor.storage = items[0].index;
    tensor.offset = (uint64_t)items[1].integer;
    uint64_t elements = storage->element_count;
    if (!storage->is_typed)
        elements /= tensor_dtype_bits(tensor.dtype) / 8; /* it counts bytes */
    code = read_size_and_stride(machine, items + 2, &tensor);
    if (!code)
        code = check_inside(machine, &tensor, elements);
    return code ? code : push_tensor(machine, &tensor);
}

static int call(struct pickle_machine *machine, const struct pickle_global *global, struct pickle_value args);

/* A tensor with attributes that somebody has set on it, which do not concern its numbers. */
static int rebuild_from_type(struct pickle_machine *machine, const struct pickle_object *args)
{
    const struct pickle_global *function = args->count == 4 ? global_of(args->items[0]) : NULL;
    const struct pickle_global *class = function ? global_of(args->items[1]) : NULL;
    if (!class || class->kind != PICKLE_GLOBAL_KIND_CLASS ||
        (function->kind != PICKLE_GLOBAL_KIND_REBUILD_TENSOR &&
         function->kind != PICKLE_GLOBAL_KIND_REBUILD_TENSOR_DTYPE &&
         function->kind != PICKLE_GLOBAL_KIND_REBUILD_FOREIGN &&
         function->kind != PICKLE_GLOBAL_KIND_REBUILD_PARAMETER))
        return err_set(machine->err, ERR_UNSUPPORTED, "a tensor is not made from a plain one");
    return call(machine, function, args->items[2]);
}

/* Calls a function and pushes what it returns. */
static int call(struct pickle_machine *machine, const struct pickle_global *global, struct pickle_value args)
{
    if (args.kind != PICKLE_KIND_TUPLE)
        return err_set(machine->err, ERR_FORMAT, "%s.%s is called with something else than a tuple",
                       global->module, global->name);
    const struct pickle_object *object = &machine->pickle->objects[args.index];
    switch (global->kind) {
    case PICKLE_GLOBAL_KIND_ORDERED_DICT:
        if (object->count != 0)
            return err_set(machine->err, ERR_UNSUPPORTED, "an OrderedDict is made from values");
        return pickle_machine_push_object(machine, PICKLE_KIND_DICT, NULL, 0);
    case PICKLE_GLOBAL_KIND_SIZE:
        if (object->count != 1 || object->items[0].kind != PICKLE_KIND_TUPLE)
            return err_set(machine->err, ERR_FORMAT, "torch.Size is not made from a tuple");
        return pickle_machine_push(machine, object->items[0]);
    case PICKLE_GLOBAL_KIND_REBUILD_TENSOR:
        return rebuild_tensor(machine, object, 0);
    case PICKLE_GLOBAL_KIND_REBUILD_TENSOR_DTYPE:
        return rebuild_tensor(machine, object, 1);
    case PICKLE_GLOBAL_KIND_REBUILD_PARAMETER:
        if (object->count < 3 || object->count > 4 ||
            (object->items[0].kind != PICKLE_KIND_TENSOR && object->items[0].kind != PICKLE_KIND_FOREIGN))
            return err_set(machine->err, ERR_FORMAT, "a parameter is not made from a tensor");
        return pickle_machine_push(machine, object->items[0]);
    case PICKLE_GLOBAL_KIND_REBUILD_FOREIGN:
        return push_foreign(machine, global->foreign);
    case PICKLE_GLOBAL_KIND_OPAQUE:
        return pickle_machine_push_opaque(machine);
    case PICKLE_GLOBAL_KIND_REBUILD_FROM_TYPE:
        return rebuild_from_type(machine, object);
    case PICKLE_GLOBAL_KIND_CLASS:
    case PICKLE_GLOBAL_KIND_STORAGE:
    case PICKLE_GLOBAL_KIND_UNTYPED_STORAGE:
    case PICKLE_GLOBAL_KIND_DTYPE:
    case PICKLE_GLOBAL_KIND_RECORD:
        break;
    }
    return err_set(machine->err, ERR_UNSUPPORTED, "%s.%s is called, which is not allowed", global->module,
                   global->name);
}

int pickle_call_reduce(struct pickle_machine *machine)
{
    struct pickle_value args, callee;
    int code = pickle_machine_pop(machine, &args);
    if (!code)
        code = pickle_machine_pop(machine, &callee);
    if (code)
        return code;
    const struct pickle_global *global = global_of(callee);
    if (!global && callee.kind == PICKLE_KIND_OPAQUE && machine->dialect == PICKLE_DIALECT_TRAINER)
        return pickle_machine_push_opaque(machine);
    if (!global)
        return err_set(machine->err, ERR_FORMAT, "a value is called that is not a function");
    return call(machine, global, args);
}

int pickle_call_build(struct pickle_machine *machine)
{
    struct pickle_value state;
    int code = pickle_machine_pop(machine, &state);
    if (code)
        return code;
    const struct pickle_value *target = pickle_machine_top(machine);
    if (!target)
        return machine->err->code;
    if (target->kind == PICKLE_KIND_RECORD && machine->pickle->objects[target->index].count == 1)
        return pickle_machine_extend(machine, target->index, &state, 1);
    if (machine->dialect == PICKLE_DIALECT_TRAINER && target->kind != PICKLE_KIND_RECORD)
        return 0;
    /* Module.state_dict() hangs its "_metadata" on the OrderedDict; nothing of that concerns the tensors. */
    if (target->kind != PICKLE_KIND_DICT || !is_object(state))
        return err_set(machine->err, ERR_UNSUPPORTED, "attributes are set on something else than a dict");
    return 0;
}
