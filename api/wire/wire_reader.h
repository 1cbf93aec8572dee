/*
 * For wire*.c only: reads members of JSON objects one by one. The first fault stays in the reader (`code`,
 * and its words in *err), and later reads return zeros; so code that reads a struct has no `if` per member.
 */
#ifndef BIFURCATED_API_WIRE_WIRE_READER_H
#define BIFURCATED_API_WIRE_WIRE_READER_H

#include "api/wire/wire.h"

#include <jansson.h>

#define WIRE_PATH_SIZE 160

struct wire_reader {
    struct err *err;
    int code;
    char path[WIRE_PATH_SIZE]; /* of the object at hand: "tensors/0" */
    struct wire_memory *memory;
    const char *rest; /* large values that were not taken yet */
    size_t rest_size;
};

/* Sets the first fault: "path/key: reason". */
void wire_refuse(struct wire_reader *reader, const char *key, enum err_code code, const char *reason);

#define WIRE_NO_INDEX SIZE_MAX

/* Goes to an element of a member, or to the member; returns where the path ended, for wire_leave(). */
size_t wire_enter(struct wire_reader *reader, const char *key, size_t index);
void wire_leave(struct wire_reader *reader, size_t before);

/* Refuses members that are not in `known`, each between spaces. */
void wire_check_members(struct wire_reader *reader, const json_t *object, const char *known);

int64_t wire_int(struct wire_reader *reader, const json_t *object, const char *key, int64_t min, int64_t max);
double wire_real(struct wire_reader *reader, const json_t *object, const char *key);
int wire_bool(struct wire_reader *reader, const json_t *object, const char *key);

/* Text without control characters of less than `size` bytes; an absent member is "". */
void wire_text(struct wire_reader *reader, const json_t *object, const char *key, char *text, size_t size);

/* As above; must be there and not be empty. */
void wire_text_needed(struct wire_reader *reader, const json_t *object, const char *key, char *text,
                      size_t size);

/* 64 (or, with is_git_allowed, also 40) lower-case hexadecimal digits. */
void wire_digest(struct wire_reader *reader, const json_t *object, const char *key, char *text,
                 int is_git_allowed);

/* A list of at most `max`; NULL if it is absent, which counts as empty. */
const json_t *wire_list(struct wire_reader *reader, const json_t *object, const char *key, size_t max);

/* Zeroed room in the reader's memory, or a fault. */
void *wire_new(struct wire_reader *reader, size_t count, size_t size);

/* The tensors under `key` of `object`; without_values: large values are not allowed. */
struct task_tensor *wire_read_tensors(struct wire_reader *reader, const json_t *object, const char *key,
                                      int without_values, size_t *ret_count);

#endif
