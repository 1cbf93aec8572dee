#include "daemon/checkpoint/pickle.h"

#include "daemon/base/limits.h"
#include "daemon/checkpoint/pickle_global.h"
#include "daemon/checkpoint/pickle_machine.h"

#include <stdlib.h>
#include <string.h>

static uint64_t little_endian(const unsigned char *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = size; i-- > 0;)
        number = number << 8 | bytes[i];
    return number;
}

static int push_integer(struct pickle_machine *machine, int64_t integer)
{
    return pickle_machine_push(machine,
                               (struct pickle_value){.kind = PICKLE_KIND_INTEGER, .integer = integer});
}

/* -- One function per opcode, or per family of them -------------------------------------------------- */

static int run_proto(struct pickle_machine *machine)
{
    const unsigned char *version = pickle_machine_take(machine, 1);
    if (!version)
        return machine->err->code;
    if (*version < 2 || *version > (machine->dialect == PICKLE_DIALECT_TRAINER ? 5 : 3))
        return err_set(machine->err, ERR_UNSUPPORTED,
                       "pickle protocol %d: only torch.save's default protocol is read", *version);
    return 0;
}

static int run_stop(struct pickle_machine *machine)
{
    machine->is_stopped = 1;
    return 0;
}

static int run_none(struct pickle_machine *machine)
{
    return pickle_machine_push(machine, (struct pickle_value){.kind = PICKLE_KIND_NONE});
}

static int run_true(struct pickle_machine *machine)
{
    return pickle_machine_push(machine, (struct pickle_value){.kind = PICKLE_KIND_BOOL, .integer = 1});
}

static int run_false(struct pickle_machine *machine)
{
    return pickle_machine_push(machine, (struct pickle_value){.kind = PICKLE_KIND_BOOL, .integer = 0});
}

static int run_integer(struct pickle_machine *machine, size_t size)
{
    const unsigned char *bytes = pickle_machine_take(machine, size);
    return bytes ? push_integer(machine, (int64_t)little_endian(bytes, size)) : machine->err->code;
}

static int run_binint1(struct pickle_machine *machine)
{
    return run_integer(machine, 1);
}

static int run_binint2(struct pickle_machine *machine)
{
    return run_integer(machine, 2);
}

static int run_binint(struct pickle_machine *machine)
{
    const unsigned char *bytes = pickle_machine_take(machine, 4);
    return bytes ? push_integer(machine, (int32_t)(uint32_t)little_endian(bytes, 4)) : machine->err->code;
}

static int run_long1(struct pickle_machine *machine)
{
    const unsigned char *size = pickle_machine_take(machine, 1);
    const unsigned char *bytes = size ? pickle_machine_take(machine, *size) : NULL;
    if (!bytes)
        return machine->err->code;
    if (*size > 8 && machine->dialect == PICKLE_DIALECT_TRAINER)
        return pickle_machine_push_opaque(machine); /* of a generator of random numbers */
    if (*size > 8)
        return err_set(machine->err, ERR_LIMIT, "an integer of %d bytes is too large", *size);
    uint64_t number = little_endian(bytes, *size);
    if (*size > 0 && *size < 8 && bytes[*size - 1] & 0x80)
        number |= UINT64_MAX << (8 * *size);
    return push_integer(machine, (int64_t)number);
}

static int run_binfloat(struct pickle_machine *machine)
{
    const unsigned char *bytes = pickle_machine_take(machine, 8);
    struct pickle_value value = {.kind = PICKLE_KIND_REAL};
    if (!bytes)
        return machine->err->code;
    uint64_t bits = __builtin_bswap64(little_endian(bytes, 8));
    memcpy(&value.real, &bits, sizeof bits);
    return pickle_machine_push(machine, value);
}

static int run_binunicode(struct pickle_machine *machine)
{
    const unsigned char *length = pickle_machine_take(machine, 4);
    if (!length)
        return machine->err->code;
    uint32_t size = (uint32_t)little_endian(length, 4);
    uint32_t offset = (uint32_t)machine->at; /* LIMIT_PICKLE_BYTES fits */
    if (!pickle_machine_take(machine, size))
        return machine->err->code;
    return pickle_machine_push(machine,
                               (struct pickle_value){.kind = PICKLE_KIND_TEXT, .text = {offset, size}});
}

/* A line of GLOBAL; without its end. */
static const char *take_line(struct pickle_machine *machine, size_t *ret_size)
{
    const unsigned char *start = machine->data + machine->at;
    const unsigned char *end = memchr(start, '\n', machine->size - machine->at);
    if (!end) {
        (void)err_set(machine->err, ERR_FORMAT, "truncated inside of a name");
        return NULL;
    }
    *ret_size = (size_t)(end - start);
    machine->at += *ret_size + 1;
    return (const char *)start;
}

static int run_global(struct pickle_machine *machine)
{
    size_t module_size = 0, name_size = 0;
    const char *module = take_line(machine, &module_size);
    const char *name = module ? take_line(machine, &name_size) : NULL;
    return name ? pickle_machine_push_global(machine, module, module_size, name, name_size)
                : machine->err->code;
}

static int run_tuple(struct pickle_machine *machine)
{
    const struct pickle_value *values = NULL;
    uint32_t count = 0;
    int code = pickle_machine_pop_mark(machine, &values, &count);
    return code ? code : pickle_machine_push_object(machine, PICKLE_KIND_TUPLE, values, count);
}

static int run_short_tuple(struct pickle_machine *machine, uint32_t count)
{
    struct pickle_value values[3];
    for (uint32_t i = count; i-- > 0;) {
        int code = pickle_machine_pop(machine, &values[i]);
        if (code)
            return code;
    }
    return pickle_machine_push_object(machine, PICKLE_KIND_TUPLE, values, count);
}

static int run_tuple1(struct pickle_machine *machine)
{
    return run_short_tuple(machine, 1);
}

static int run_tuple2(struct pickle_machine *machine)
{
    return run_short_tuple(machine, 2);
}

static int run_tuple3(struct pickle_machine *machine)
{
    return run_short_tuple(machine, 3);
}

static int run_empty_tuple(struct pickle_machine *machine)
{
    return pickle_machine_push_object(machine, PICKLE_KIND_TUPLE, NULL, 0);
}

static int run_empty_list(struct pickle_machine *machine)
{
    return pickle_machine_push_object(machine, PICKLE_KIND_LIST, NULL, 0);
}

static int run_empty_dict(struct pickle_machine *machine)
{
    return pickle_machine_push_object(machine, PICKLE_KIND_DICT, NULL, 0);
}

/* Appends values to the list or dict on top of the stack. */
static int extend_top(struct pickle_machine *machine, enum pickle_kind kind,
                      const struct pickle_value *values, uint32_t count)
{
    const struct pickle_value *top = pickle_machine_top(machine);
    if (!top)
        return machine->err->code;
    if (top->kind == PICKLE_KIND_OPAQUE && machine->dialect == PICKLE_DIALECT_TRAINER)
        return 0;
    if (top->kind != kind)
        return err_set(machine->err, ERR_FORMAT, "items are put into something else than a %s",
                       kind == PICKLE_KIND_LIST ? "list" : "dict");
    if (kind == PICKLE_KIND_DICT && count % 2 != 0)
        return err_set(machine->err, ERR_FORMAT, "a dict gets a key without a value");
    return pickle_machine_extend(machine, top->index, values, count);
}

static int run_append(struct pickle_machine *machine)
{
    struct pickle_value value;
    int code = pickle_machine_pop(machine, &value);
    return code ? code : extend_top(machine, PICKLE_KIND_LIST, &value, 1);
}

static int run_appends(struct pickle_machine *machine)
{
    const struct pickle_value *values = NULL;
    uint32_t count = 0;
    int code = pickle_machine_pop_mark(machine, &values, &count);
    return code ? code : extend_top(machine, PICKLE_KIND_LIST, values, count);
}

static int run_setitem(struct pickle_machine *machine)
{
    struct pickle_value pair[2];
    int code = pickle_machine_pop(machine, &pair[1]);
    if (!code)
        code = pickle_machine_pop(machine, &pair[0]);
    return code ? code : extend_top(machine, PICKLE_KIND_DICT, pair, 2);
}

static int run_setitems(struct pickle_machine *machine)
{
    const struct pickle_value *values = NULL;
    uint32_t count = 0;
    int code = pickle_machine_pop_mark(machine, &values, &count);
    return code ? code : extend_top(machine, PICKLE_KIND_DICT, values, count);
}

static int run_memo(struct pickle_machine *machine, size_t size,
                    int (*access)(struct pickle_machine *machine, size_t index))
{
    const unsigned char *bytes = pickle_machine_take(machine, size);
    return bytes ? access(machine, (size_t)little_endian(bytes, size)) : machine->err->code;
}

static int run_binput(struct pickle_machine *machine)
{
    return run_memo(machine, 1, pickle_machine_memo_set);
}

static int run_long_binput(struct pickle_machine *machine)
{
    return run_memo(machine, 4, pickle_machine_memo_set);
}

static int run_binget(struct pickle_machine *machine)
{
    return run_memo(machine, 1, pickle_machine_memo_get);
}

static int run_long_binget(struct pickle_machine *machine)
{
    return run_memo(machine, 4, pickle_machine_memo_get);
}

/* -- The table: an opcode without a function is refused by its name -------------------------------- */

static const struct {
    const char *name;
    int (*run)(struct pickle_machine *machine);
} opcodes[256] = {
    [0x80] = {"PROTO", run_proto},
    ['.'] = {"STOP", run_stop},
    ['('] = {"MARK", pickle_machine_push_mark},
    ['N'] = {"NONE", run_none},
    [0x88] = {"NEWTRUE", run_true},
    [0x89] = {"NEWFALSE", run_false},
    ['K'] = {"BININT1", run_binint1},
    ['M'] = {"BININT2", run_binint2},
    ['J'] = {"BININT", run_binint},
    [0x8a] = {"LONG1", run_long1},
    ['G'] = {"BINFLOAT", run_binfloat},
    ['X'] = {"BINUNICODE", run_binunicode},
    ['c'] = {"GLOBAL", run_global},
    ['t'] = {"TUPLE", run_tuple},
    [')'] = {"EMPTY_TUPLE", run_empty_tuple},
    [0x85] = {"TUPLE1", run_tuple1},
    [0x86] = {"TUPLE2", run_tuple2},
    [0x87] = {"TUPLE3", run_tuple3},
    [']'] = {"EMPTY_LIST", run_empty_list},
    ['}'] = {"EMPTY_DICT", run_empty_dict},
    ['a'] = {"APPEND", run_append},
    ['e'] = {"APPENDS", run_appends},
    ['s'] = {"SETITEM", run_setitem},
    ['u'] = {"SETITEMS", run_setitems},
    ['q'] = {"BINPUT", run_binput},
    ['r'] = {"LONG_BINPUT", run_long_binput},
    ['h'] = {"BINGET", run_binget},
    ['j'] = {"LONG_BINGET", run_long_binget},
    ['Q'] = {"BINPERSID", pickle_call_persistent_id},
    ['R'] = {"REDUCE", pickle_call_reduce},
    ['b'] = {"BUILD", pickle_call_build},
    /* The rest of pickle's protocols 0 to 5: what trainers write has some (pickle_later.c); refused
       otherwise. */
    ['0'] = {"POP", NULL},
    ['1'] = {"POP_MARK", NULL},
    ['2'] = {"DUP", NULL},
    ['F'] = {"FLOAT", NULL},
    ['I'] = {"INT", NULL},
    ['L'] = {"LONG", NULL},
    ['P'] = {"PERSID", NULL},
    ['S'] = {"STRING", NULL},
    ['T'] = {"BINSTRING", NULL},
    ['U'] = {"SHORT_BINSTRING", NULL},
    ['V'] = {"UNICODE", NULL},
    ['d'] = {"DICT", NULL},
    ['g'] = {"GET", NULL},
    ['i'] = {"INST", NULL},
    ['l'] = {"LIST", NULL},
    ['o'] = {"OBJ", NULL},
    ['p'] = {"PUT", NULL},
    [0x81] = {"NEWOBJ", NULL},
    [0x82] = {"EXT1", NULL},
    [0x83] = {"EXT2", NULL},
    [0x84] = {"EXT4", NULL},
    [0x8b] = {"LONG4", NULL},
    ['B'] = {"BINBYTES", NULL},
    ['C'] = {"SHORT_BINBYTES", NULL},
    [0x8c] = {"SHORT_BINUNICODE", NULL},
    [0x8d] = {"BINUNICODE8", NULL},
    [0x8e] = {"BINBYTES8", NULL},
    [0x8f] = {"EMPTY_SET", NULL},
    [0x90] = {"ADDITEMS", NULL},
    [0x91] = {"FROZENSET", NULL},
    [0x92] = {"NEWOBJ_EX", NULL},
    [0x93] = {"STACK_GLOBAL", NULL},
    [0x94] = {"MEMOIZE", NULL},
    [0x95] = {"FRAME", NULL},
    [0x96] = {"BYTEARRAY8", NULL},
    [0x97] = {"NEXT_BUFFER", NULL},
    [0x98] = {"READONLY_BUFFER", NULL},
};

static int run(struct pickle_machine *machine)
{
    while (!machine->is_stopped) {
        size_t place = machine->at;
        const unsigned char *opcode = pickle_machine_take(machine, 1);
        if (!opcode)
            return machine->err->code;
        if (!opcodes[*opcode].name)
            return err_set(machine->err, ERR_FORMAT, "no opcode at byte %zu: 0x%02x", place, *opcode);
        int (*function)(struct pickle_machine *) = opcodes[*opcode].run;
        if (!function && machine->dialect == PICKLE_DIALECT_TRAINER)
            function = pickle_later_find(*opcode);
        if (!function)
            return err_set(machine->err, ERR_UNSUPPORTED,
                           "the opcode %s at byte %zu is not allowed: only what torch.save writes for plain "
                           "state dicts is read",
                           opcodes[*opcode].name, place);
        if (function(machine))
            return err_wrap(machine->err, "%s at byte %zu", opcodes[*opcode].name, place);
    }
    return 0;
}

int pickle_load(const void *data, size_t size, enum pickle_dialect dialect, struct pickle **ret_pickle,
                struct err *err)
{
    struct pickle_machine machine = {0};
    struct pickle *pickle = NULL;
    int code;
    if (size > LIMIT_PICKLE_BYTES)
        return err_set(err, ERR_LIMIT, "a pickle of %zu bytes exceeds the limit of %zu", size,
                       LIMIT_PICKLE_BYTES);
    pickle = calloc(1, sizeof *pickle);
    if (!pickle)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    pickle->data = data;
    pickle_machine_init(&machine, data, size, pickle, err);
    machine.dialect = dialect;
    code = run(&machine);
    if (code)
        goto out;
    if (machine.depth != 1 || machine.mark_count != 0) {
        code = err_set(err, ERR_FORMAT, "%u values are left where one is expected", (unsigned)machine.depth);
        goto out;
    }
    pickle->root = machine.stack[0];
    *ret_pickle = pickle;
    pickle = NULL;
out:
    pickle_machine_done(&machine);
    pickle_free(pickle);
    return code;
}

void pickle_free(struct pickle *pickle)
{
    if (!pickle)
        return;
    for (size_t i = 0; i < pickle->object_count; i++)
        free(pickle->objects[i].items);
    free(pickle->objects);
    free(pickle->storages);
    free(pickle->tensors);
    free(pickle);
}
