/*
 * The opcodes of pickle's later protocols, and those that instances of classes need, as trainers write them.
 * Of instances only those of known classes are kept; of sets and bytes nothing but that they are there.
 */
#include "daemon/checkpoint/pickle_global.h"
#include "daemon/checkpoint/pickle_machine.h"

/* A number of `size` bytes, which counts bytes that follow. */
static int take_size(struct pickle_machine *machine, size_t size, uint64_t *ret_size)
{
    const unsigned char *bytes = pickle_machine_take(machine, size);
    *ret_size = 0;
    if (!bytes)
        return machine->err->code;
    for (size_t i = size; i-- > 0;)
        *ret_size = *ret_size << 8 | bytes[i];
    return 0;
}

/* The place of what a size precedes. */
static int take_sized(struct pickle_machine *machine, size_t size_bytes, uint32_t *ret_offset,
                      uint32_t *ret_size)
{
    uint64_t size = 0;
    int code = take_size(machine, size_bytes, &size);
    *ret_offset = (uint32_t)machine->at; /* LIMIT_PICKLE_BYTES fits */
    if (!code && !pickle_machine_take(machine, (size_t)size))
        code = machine->err->code;
    *ret_size = (uint32_t)size;
    return code;
}

static int push_text(struct pickle_machine *machine, size_t size_bytes)
{
    struct pickle_value value = {.kind = PICKLE_KIND_TEXT};
    int code = take_sized(machine, size_bytes, &value.text.offset, &value.text.size);
    return code ? code : pickle_machine_push(machine, value);
}

static int push_bytes(struct pickle_machine *machine, size_t size_bytes)
{
    uint32_t offset = 0, size = 0;
    int code = take_sized(machine, size_bytes, &offset, &size);
    return code ? code : pickle_machine_push_opaque(machine);
}

/* Frames only say how much a reader may buffer. */
int pickle_later_frame(struct pickle_machine *machine)
{
    uint64_t ignored = 0;
    return take_size(machine, 8, &ignored);
}

int pickle_later_memoize(struct pickle_machine *machine)
{
    return pickle_machine_memo_set(machine, machine->memo_count);
}

int pickle_later_short_text(struct pickle_machine *machine)
{
    return push_text(machine, 1);
}

int pickle_later_long_text(struct pickle_machine *machine)
{
    return push_text(machine, 8);
}

int pickle_later_stack_global(struct pickle_machine *machine)
{
    struct pickle_value module, name;
    const char *data = machine->pickle->data;
    int code = pickle_machine_pop(machine, &name);
    if (!code)
        code = pickle_machine_pop(machine, &module);
    if (code)
        return code;
    if (module.kind != PICKLE_KIND_TEXT || name.kind != PICKLE_KIND_TEXT)
        return err_set(machine->err, ERR_FORMAT, "a name is no text");
    return pickle_machine_push_global(machine, data + module.text.offset, module.text.size,
                                      data + name.text.offset, name.text.size);
}

/* An instance of a class that is known is kept; its arguments, which those classes do not have, are not. */
static int push_instance(struct pickle_machine *machine, struct pickle_value class)
{
    if (class.kind == PICKLE_KIND_GLOBAL && pickle_global_at(class.index)->kind == PICKLE_GLOBAL_KIND_RECORD)
        return pickle_machine_push_object(machine, PICKLE_KIND_RECORD, &class, 1);
    return pickle_machine_push_opaque(machine);
}

static int new_object(struct pickle_machine *machine, int argument_count)
{
    struct pickle_value value = {.kind = PICKLE_KIND_NONE};
    int code = 0;
    for (int i = 0; i <= argument_count && !code; i++)
        code = pickle_machine_pop(machine, &value);
    return code ? code : push_instance(machine, value);
}

int pickle_later_new_object(struct pickle_machine *machine)
{
    return new_object(machine, 1);
}

int pickle_later_new_object_with_names(struct pickle_machine *machine)
{
    return new_object(machine, 2);
}

int pickle_later_bytes1(struct pickle_machine *machine)
{
    return push_bytes(machine, 1);
}

int pickle_later_bytes4(struct pickle_machine *machine)
{
    return push_bytes(machine, 4);
}

int pickle_later_bytes8(struct pickle_machine *machine)
{
    return push_bytes(machine, 8);
}

int pickle_later_empty_set(struct pickle_machine *machine)
{
    return pickle_machine_push_opaque(machine);
}

int pickle_later_add_items(struct pickle_machine *machine)
{
    const struct pickle_value *values = NULL, *top;
    uint32_t count = 0;
    int code = pickle_machine_pop_mark(machine, &values, &count);
    if (code || !(top = pickle_machine_top(machine)))
        return machine->err->code;
    return top->kind == PICKLE_KIND_OPAQUE
               ? 0
               : err_set(machine->err, ERR_FORMAT, "items are put into something else than a set");
}

int pickle_later_frozen_set(struct pickle_machine *machine)
{
    const struct pickle_value *values = NULL;
    uint32_t count = 0;
    int code = pickle_machine_pop_mark(machine, &values, &count);
    return code ? code : pickle_machine_push_opaque(machine);
}

int pickle_later_pop(struct pickle_machine *machine)
{
    struct pickle_value ignored;
    return pickle_machine_pop(machine, &ignored);
}

int pickle_later_pop_mark(struct pickle_machine *machine)
{
    const struct pickle_value *values = NULL;
    uint32_t count = 0;
    return pickle_machine_pop_mark(machine, &values, &count);
}
