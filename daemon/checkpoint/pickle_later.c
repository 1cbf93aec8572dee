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
static int run_frame(struct pickle_machine *machine)
{
    uint64_t ignored = 0;
    return take_size(machine, 8, &ignored);
}

static int run_memoize(struct pickle_machine *machine)
{
    return pickle_machine_memo_set(machine, machine->memo_count);
}

static int run_short_text(struct pickle_machine *machine)
{
    return push_text(machine, 1);
}

static int run_long_text(struct pickle_machine *machine)
{
    return push_text(machine, 8);
}

static int run_stack_global(struct pickle_machine *machine)
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

static int run_new_object(struct pickle_machine *machine)
{
    return new_object(machine, 1);
}

static int run_new_object_with_names(struct pickle_machine *machine)
{
    return new_object(machine, 2);
}

static int run_bytes1(struct pickle_machine *machine)
{
    return push_bytes(machine, 1);
}

static int run_bytes4(struct pickle_machine *machine)
{
    return push_bytes(machine, 4);
}

static int run_bytes8(struct pickle_machine *machine)
{
    return push_bytes(machine, 8);
}

static int run_empty_set(struct pickle_machine *machine)
{
    return pickle_machine_push_opaque(machine);
}

static int run_add_items(struct pickle_machine *machine)
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

static int run_frozen_set(struct pickle_machine *machine)
{
    const struct pickle_value *values = NULL;
    uint32_t count = 0;
    int code = pickle_machine_pop_mark(machine, &values, &count);
    return code ? code : pickle_machine_push_opaque(machine);
}

static int run_pop(struct pickle_machine *machine)
{
    struct pickle_value ignored;
    return pickle_machine_pop(machine, &ignored);
}

static int run_pop_mark(struct pickle_machine *machine)
{
    const struct pickle_value *values = NULL;
    uint32_t count = 0;
    return pickle_machine_pop_mark(machine, &values, &count);
}

int (*pickle_later_find(unsigned char opcode))(struct pickle_machine *machine)
{
    static int (*const opcodes[256])(struct pickle_machine *) = {
        ['0'] = run_pop,           ['1'] = run_pop_mark,    [0x81] = run_new_object,
        [0x8b] = run_bytes4, /* LONG4: an integer that is too large for us */
        ['B'] = run_bytes4,        ['C'] = run_bytes1,      [0x8c] = run_short_text,
        [0x8d] = run_long_text,    [0x8e] = run_bytes8,     [0x8f] = run_empty_set,
        [0x90] = run_add_items,    [0x91] = run_frozen_set, [0x92] = run_new_object_with_names,
        [0x93] = run_stack_global, [0x94] = run_memoize,    [0x95] = run_frame,
        [0x96] = run_bytes8, /* BYTEARRAY8 */
    };
    return opcodes[opcode];
}
