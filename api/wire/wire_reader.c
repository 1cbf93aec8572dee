#include "api/wire/wire_reader.h"

#include "daemon/base/digest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All that one message may take in memory beside its own bytes. */
#define MEMORY_BYTES_MAX (256 * MIB)

void *wire_memory_new(struct wire_memory *memory, size_t count, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count ? count : 1, size, &bytes) || bytes > MEMORY_BYTES_MAX ||
        memory->bytes > MEMORY_BYTES_MAX - bytes)
        return NULL;
    if (memory->count == memory->capacity) {
        size_t capacity = memory->capacity ? 2 * memory->capacity : 64;
        void **blocks = realloc(memory->blocks, capacity * sizeof(void *));
        if (!blocks)
            return NULL;
        memory->blocks = blocks;
        memory->capacity = capacity;
    }
    void *block = calloc(1, bytes);
    if (!block)
        return NULL;
    memory->blocks[memory->count++] = block;
    memory->bytes += bytes;
    return block;
}

void wire_memory_free(struct wire_memory *memory)
{
    for (size_t i = 0; i < memory->count; i++)
        free(memory->blocks[i]);
    free(memory->blocks);
    *memory = (struct wire_memory){0};
}

void wire_refuse(struct wire_reader *reader, const char *key, enum err_code code, const char *reason)
{
    if (reader->code)
        return;
    const char *whole = reader->path[0] ? "" : "body";
    reader->code = err_set(reader->err, code, "%s%s%.64s: %s", reader->path,
                           reader->path[0] && key[0] ? "/" : "", key[0] ? key : whole, reason);
}

size_t wire_enter(struct wire_reader *reader, const char *key, size_t index)
{
    size_t before = strlen(reader->path);
    if (index == WIRE_NO_INDEX)
        (void)snprintf(reader->path + before, sizeof reader->path - before, "%s%s", before ? "/" : "", key);
    else
        (void)snprintf(reader->path + before, sizeof reader->path - before, "%s%s/%zu", before ? "/" : "",
                       key, index);
    return before;
}

void wire_leave(struct wire_reader *reader, size_t before)
{
    if (!reader->code)
        reader->path[before] = 0;
}

void wire_check_members(struct wire_reader *reader, const json_t *object, const char *known)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        wire_refuse(reader, "", ERR_INVALID, "not an object");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t length = strlen(key);
        const char *at = length && !strchr(key, ' ') ? strstr(known, key) : NULL;
        while (at && (at[-1] != ' ' || at[length] != ' '))
            at = strstr(at + 1, key);
        if (!at)
            wire_refuse(reader, key, ERR_INVALID, "no such member");
    }
}

int64_t wire_int(struct wire_reader *reader, const json_t *object, const char *key, int64_t min, int64_t max)
{
    char reason[96];
    const json_t *value = json_object_get(object, key);
    int64_t number = json_integer_value(value);
    if (json_is_integer(value) && number >= min && number <= max)
        return number;
    (void)snprintf(reason, sizeof reason, "not an integer from %lld to %lld", (long long)min, (long long)max);
    wire_refuse(reader, key, ERR_INVALID, reason);
    return min;
}

double wire_real(struct wire_reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    if (json_is_number(value))
        return json_number_value(value);
    if (json_is_null(value))
        return (double)NAN;
    if (text && strcmp(text, "inf") == 0)
        return (double)INFINITY;
    if (text && strcmp(text, "-inf") == 0)
        return -(double)INFINITY;
    wire_refuse(reader, key, ERR_INVALID, "not a number");
    return (double)NAN;
}

int wire_bool(struct wire_reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_boolean(value))
        wire_refuse(reader, key, ERR_INVALID, "neither true nor false");
    return json_is_true(value);
}

void wire_text(struct wire_reader *reader, const json_t *object, const char *key, char *text, size_t size)
{
    const json_t *value = json_object_get(object, key);
    const char *from = json_string_value(value);
    char reason[64];
    text[0] = 0;
    if (!value)
        return;
    size_t length = json_string_length(value);
    if (!from || length >= size || strlen(from) != length) {
        (void)snprintf(reason, sizeof reason, "not a string of less than %zu bytes", size);
        wire_refuse(reader, key, ERR_INVALID, reason);
        return;
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)from[i] < 0x20 || from[i] == 0x7f) {
            wire_refuse(reader, key, ERR_INVALID, "holds control characters");
            return;
        }
    }
    memcpy(text, from, length + 1);
}

void wire_text_needed(struct wire_reader *reader, const json_t *object, const char *key, char *text,
                      size_t size)
{
    wire_text(reader, object, key, text, size);
    if (!text[0])
        wire_refuse(reader, key, ERR_INVALID, "is missing or empty");
}

void wire_digest(struct wire_reader *reader, const json_t *object, const char *key, char *text,
                 int is_git_allowed)
{
    wire_text(reader, object, key, text, STORE_DIGEST_SIZE);
    if (!digest_is_hex(text, 64) && !(is_git_allowed && digest_is_hex(text, 40)))
        wire_refuse(reader, key, ERR_INVALID, "not the digits of a digest");
}

const json_t *wire_list(struct wire_reader *reader, const json_t *object, const char *key, size_t max)
{
    char reason[64];
    const json_t *value = json_object_get(object, key);
    if (!value)
        return NULL;
    if (json_is_array(value) && json_array_size(value) <= max)
        return value;
    (void)snprintf(reason, sizeof reason, "not a list of at most %zu", max);
    wire_refuse(reader, key, json_is_array(value) ? ERR_LIMIT : ERR_INVALID, reason);
    return NULL;
}

void *wire_new(struct wire_reader *reader, size_t count, size_t size)
{
    void *room = wire_memory_new(reader->memory, count, size);
    if (!room)
        wire_refuse(reader, "", ERR_NO_MEMORY, "out of memory");
    return room;
}
