#include "daemon/checkpoint/pickle_machine.h"

#include "daemon/base/limits.h"
#include "daemon/checkpoint/pickle_global.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64 /* of stack and marks: most pickles need no more, and few come near the limit */

void pickle_machine_init(struct pickle_machine *machine, const void *data, size_t size, struct pickle *pickle,
                         struct err *err)
{
    *machine = (struct pickle_machine){.data = data, .size = size, .pickle = pickle, .err = err};
}

void pickle_machine_done(struct pickle_machine *machine)
{
    free(machine->stack);
    free(machine->marks);
    free(machine->memo);
    free(machine->memo_is_set);
}

const unsigned char *pickle_machine_take(struct pickle_machine *machine, size_t size)
{
    if (size > machine->size - machine->at) {
        (void)err_set(machine->err, ERR_FORMAT, "truncated: %zu bytes are needed at byte %zu of %zu", size,
                      machine->at, machine->size);
        return NULL;
    }
    const unsigned char *bytes = machine->data + machine->at;
    machine->at += size;
    return bytes;
}

/* Makes room for one more element; `what` begins the message where there may be none. */
static int make_room(struct pickle_machine *machine, void **array, uint32_t *capacity, uint32_t count,
                     size_t element_size, const char *what)
{
    if (count < *capacity)
        return 0;
    if (count == LIMIT_PICKLE_STACK)
        return err_set(machine->err, ERR_LIMIT, "%s the limit of %d", what, LIMIT_PICKLE_STACK);
    uint32_t grown = *capacity ? *capacity * 2 : FIRST_ROOM;
    void *moved = reallocarray(*array, grown, element_size);
    if (!moved)
        return err_set(machine->err, ERR_NO_MEMORY, "out of memory");
    *array = moved;
    *capacity = grown;
    return 0;
}

int pickle_machine_push(struct pickle_machine *machine, struct pickle_value value)
{
    void *stack = machine->stack;
    int code = make_room(machine, &stack, &machine->stack_capacity, machine->depth, sizeof value,
                         "the stack exceeds");
    machine->stack = stack;
    if (!code)
        machine->stack[machine->depth++] = value;
    return code;
}

int pickle_machine_push_opaque(struct pickle_machine *machine)
{
    return pickle_machine_push(machine, (struct pickle_value){.kind = PICKLE_KIND_OPAQUE});
}

int pickle_machine_push_global(struct pickle_machine *machine, const char *module, size_t module_size,
                               const char *name, size_t name_size)
{
    struct pickle_value value = {.kind = PICKLE_KIND_GLOBAL};
    if (machine->dialect == PICKLE_DIALECT_TRAINER)
        value.index = pickle_global_find_any(module, module_size, name, name_size);
    else if (pickle_global_find(module, module_size, name, name_size, &value.index, machine->err))
        return machine->err->code;
    return pickle_machine_push(machine, value);
}

int pickle_machine_push_mark(struct pickle_machine *machine)
{
    void *marks = machine->marks;
    int code = make_room(machine, &marks, &machine->mark_capacity, machine->mark_count,
                         sizeof *machine->marks, "open marks exceed");
    machine->marks = marks;
    if (!code)
        machine->marks[machine->mark_count++] = machine->depth;
    return code;
}

const struct pickle_value *pickle_machine_top(struct pickle_machine *machine)
{
    uint32_t floor = machine->mark_count ? machine->marks[machine->mark_count - 1] : 0;
    if (machine->depth > floor)
        return &machine->stack[machine->depth - 1];
    (void)err_set(machine->err, ERR_FORMAT, "the stack is empty where a value is needed");
    return NULL;
}

int pickle_machine_pop(struct pickle_machine *machine, struct pickle_value *ret_value)
{
    const struct pickle_value *top = pickle_machine_top(machine);
    if (!top)
        return machine->err->code;
    *ret_value = *top;
    machine->depth--;
    return 0;
}

int pickle_machine_pop_mark(struct pickle_machine *machine, const struct pickle_value **ret_values,
                            uint32_t *ret_count)
{
    if (machine->mark_count == 0)
        return err_set(machine->err, ERR_FORMAT, "there is no mark on the stack");
    uint32_t mark = machine->marks[--machine->mark_count];
    *ret_values = machine->stack ? machine->stack + mark : NULL;
    *ret_count = machine->depth - mark;
    machine->depth = mark;
    return 0;
}

int pickle_machine_memo_set(struct pickle_machine *machine, size_t index)
{
    const struct pickle_value *top = pickle_machine_top(machine);
    if (!top)
        return machine->err->code;
    /* Picklers number their entries one after the other, so that each takes bytes of the file. */
    size_t limit = machine->size < LIMIT_PICKLE_MEMO ? machine->size : LIMIT_PICKLE_MEMO;
    if (index >= limit)
        return err_set(machine->err, ERR_LIMIT, "memo entry %zu exceeds the limit of %zu for %zu bytes",
                       index, limit, machine->size);
    if (index >= machine->memo_capacity) {
        size_t capacity = machine->memo_capacity ? machine->memo_capacity : 256;
        while (capacity <= index)
            capacity *= 2;
        struct pickle_value *memo = realloc(machine->memo, capacity * sizeof *memo);
        if (memo)
            machine->memo = memo;
        unsigned char *is_set = realloc(machine->memo_is_set, capacity);
        if (is_set)
            machine->memo_is_set = is_set;
        if (!memo || !is_set)
            return err_set(machine->err, ERR_NO_MEMORY, "out of memory");
        memset(is_set + machine->memo_capacity, 0, capacity - machine->memo_capacity);
        machine->memo_capacity = capacity;
    }
    machine->memo[index] = *top;
    machine->memo_count += !machine->memo_is_set[index];
    machine->memo_is_set[index] = 1;
    return 0;
}

int pickle_machine_memo_get(struct pickle_machine *machine, size_t index)
{
    if (index >= machine->memo_capacity || !machine->memo_is_set[index])
        return err_set(machine->err, ERR_FORMAT, "memo entry %zu was never set", index);
    return pickle_machine_push(machine, machine->memo[index]);
}

int pickle_machine_push_object(struct pickle_machine *machine, enum pickle_kind kind,
                               const struct pickle_value *values, uint32_t count)
{
    struct pickle *pickle = machine->pickle;
    if (pickle->object_count == LIMIT_PICKLE_OBJECTS)
        return err_set(machine->err, ERR_LIMIT, "more than the limit of %d objects", LIMIT_PICKLE_OBJECTS);
    if (pickle->object_count == pickle->object_capacity) {
        size_t capacity = pickle->object_capacity ? pickle->object_capacity * 2 : 256;
        struct pickle_object *objects = realloc(pickle->objects, capacity * sizeof *objects);
        if (!objects)
            return err_set(machine->err, ERR_NO_MEMORY, "out of memory");
        pickle->objects = objects;
        pickle->object_capacity = capacity;
    }
    uint32_t index = (uint32_t)pickle->object_count++;
    pickle->objects[index] = (struct pickle_object){0};
    int code = pickle_machine_extend(machine, index, values, count);
    if (code)
        return code;
    return pickle_machine_push(machine, (struct pickle_value){.kind = kind, .index = index});
}

int pickle_machine_extend(struct pickle_machine *machine, uint32_t object, const struct pickle_value *values,
                          uint32_t count)
{
    struct pickle_object *target = &machine->pickle->objects[object];
    if (count == 0)
        return 0;
    if (machine->pickle->item_count + count > LIMIT_PICKLE_ITEMS)
        return err_set(machine->err, ERR_LIMIT, "more than the limit of %d items", LIMIT_PICKLE_ITEMS);
    if (count > target->capacity - target->count) {
        /* An object that grows at all, a list or dict, grows by doubling; a tuple is made once. */
        uint32_t capacity = target->count ? (target->count + count) * 2 : count;
        struct pickle_value *items = realloc(target->items, capacity * sizeof *items);
        if (!items)
            return err_set(machine->err, ERR_NO_MEMORY, "out of memory");
        target->items = items;
        target->capacity = capacity;
    }
    memcpy(target->items + target->count, values, count * sizeof *values);
    target->count += count;
    machine->pickle->item_count += count;
    return 0;
}
