/*
 * The stack machine inside the unpickler: its state, and the opcodes' access to it. Private to pickle*.c.
 */
#ifndef BIFURCATED_CHECKPOINT_PICKLE_MACHINE_H
#define BIFURCATED_CHECKPOINT_PICKLE_MACHINE_H

#include "daemon/checkpoint/pickle.h"

struct pickle_machine {
    const unsigned char *data;
    size_t size, at;            /* the bytes, and the next one */
    struct pickle_value *stack; /* at most LIMIT_PICKLE_STACK */
    uint32_t depth, stack_capacity;
    uint32_t *marks; /* stack depths of the open MARKs; as many */
    uint32_t mark_count, mark_capacity;
    struct pickle_value *memo;
    unsigned char *memo_is_set;
    size_t memo_capacity, memo_count; /* room, and entries that are set */
    enum pickle_dialect dialect;
    struct pickle *pickle; /* what is built */
    int is_stopped;
    struct err *err;
};

void pickle_machine_init(struct pickle_machine *machine, const void *data, size_t size, struct pickle *pickle,
                         struct err *err);
/* Leaves machine->pickle to the caller. */
void pickle_machine_done(struct pickle_machine *machine);

/* The next `size` bytes, or NULL with ERR_FORMAT set where they are cut off. */
const unsigned char *pickle_machine_take(struct pickle_machine *machine, size_t size);

int pickle_machine_push(struct pickle_machine *machine, struct pickle_value value);

/* Opens a MARK. */
int pickle_machine_push_mark(struct pickle_machine *machine);

/* Pops the top value. What lies below the newest MARK cannot be popped; ERR_FORMAT. */
int pickle_machine_pop(struct pickle_machine *machine, struct pickle_value *ret_value);

/* The top value without popping it, or NULL with the error set. */
const struct pickle_value *pickle_machine_top(struct pickle_machine *machine);

/* Pops everything above the newest MARK and the MARK; the values stay readable at *ret_values until the next
 * push. */
int pickle_machine_pop_mark(struct pickle_machine *machine, const struct pickle_value **ret_values,
                            uint32_t *ret_count);

int pickle_machine_memo_set(struct pickle_machine *machine, size_t index);
int pickle_machine_memo_get(struct pickle_machine *machine, size_t index);

/* Makes an object of copies of `values` and pushes it. */
int pickle_machine_push_object(struct pickle_machine *machine, enum pickle_kind kind,
                               const struct pickle_value *values, uint32_t count);

/* Appends copies of `values` to an existing object. */
int pickle_machine_extend(struct pickle_machine *machine, uint32_t object, const struct pickle_value *values,
                          uint32_t count);

/* Pushes a value of which nothing is known. */
int pickle_machine_push_opaque(struct pickle_machine *machine);

/* What runs an opcode that only PICKLE_DIALECT_TRAINER has, of protocols 2 to 5; NULL: it has no such. */
int (*pickle_later_find(unsigned char opcode))(struct pickle_machine *machine);

/* The value that a name of a module stands for, where both are known or the dialect allows others. */
int pickle_machine_push_global(struct pickle_machine *machine, const char *module, size_t module_size,
                               const char *name, size_t name_size);

/* The opcodes that stand for Python calls; in pickle_call.c. BINPERSID turns the tuple on top of the stack
 * into a storage; REDUCE applies a global to a tuple; BUILD drops the attributes of a dict. */
int pickle_call_persistent_id(struct pickle_machine *machine);
int pickle_call_reduce(struct pickle_machine *machine);
int pickle_call_build(struct pickle_machine *machine);

#endif
