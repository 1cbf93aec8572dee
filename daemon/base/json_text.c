#include "daemon/base/json_text.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local unsigned long refusals; /* allocations for jansson that failed */

/*
 * jansson's lexer aborts (lex_unget_unsave) where its buffer cannot grow within a number or a word of 16
 * characters or more. It doubles from 16 bytes on, so for what has fewer than SPARE_BYTES / 2 this suffices,
 * unless an array's elements (powers of two as well) took part of it before.
 * A text that was read with the help of it is refused afterwards all the same.
 */
#define SPARE_BYTES 4096
#define BUFFER_MIN 32
static _Thread_local _Alignas(max_align_t) unsigned char spare[SPARE_BYTES];
static _Thread_local size_t spare_used = SPARE_BYTES; /* all of it, unless a text is being read */

void *json_text_take_spare(size_t size)
{
    refusals++;
    if (size < BUFFER_MIN || (size & (size - 1)) || size > SPARE_BYTES - spare_used)
        return NULL;
    void *memory = spare + spare_used;
    spare_used += size;
    return memory;
}

static void *take(size_t size)
{
    void *memory = malloc(size);
    if (memory)
        return memory;
    return json_text_take_spare(size);
}

static void give(void *memory)
{
    const uintptr_t at = (uintptr_t)memory, from = (uintptr_t)spare;
    if (at < from || at >= from + SPARE_BYTES)
        free(memory);
}

/* Before there are threads: jansson's functions for memory are variables of the whole process. */
static __attribute__((constructor)) void watch_memory(void)
{
    json_set_alloc_funcs(take, give);
}

json_t *json_text_load(const char *text, size_t size, size_t flags, json_error_t *ret_fault)
{
    json_error_t fault;
    unsigned long before = refusals;
    spare_used = 0;
    json_t *root = json_loadb(text, size, flags, &fault);
    spare_used = SPARE_BYTES;
    if (refusals != before) {
        json_decref(root); /* what is in the spare memory, with the rest */
        root = NULL;
        (void)snprintf(fault.text, sizeof fault.text, "out of memory");
        fault.text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory; /* as json_error_code() reads it */
    }
    if (ret_fault)
        *ret_fault = fault;
    return root;
}

int json_text_lacked_memory(const json_error_t *fault)
{
    return json_error_code(fault) == json_error_out_of_memory;
}

static int is_of_number(char c)
{
    return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E';
}

/* Whether a number is an integer beyond 64 bits. */
static int is_beyond(const char *number, size_t size)
{
    static const char max[] = "9223372036854775807", min[] = "9223372036854775808";
    const int is_negative = *number == '-';
    const char *digits = number + is_negative;
    const size_t count = size - (size_t)is_negative;
    for (size_t i = 0; i < count; i++)
        if (digits[i] < '0' || digits[i] > '9')
            return 0;
    return count > sizeof max - 1 ||
           (count == sizeof max - 1 && memcmp(digits, is_negative ? min : max, count) > 0);
}

/* The last two digits of such integers become "e2": a real, of which float64 holds no more digits, and every
 * place in the text stays. */
static void make_real(char *text, size_t size)
{
    int is_string = 0;
    for (size_t i = 0, begin; i < size; i++) {
        if (text[i] == '"')
            is_string = !is_string;
        else if (is_string && text[i] == '\\')
            i++;
        if (is_string || !is_of_number(text[i]))
            continue;
        for (begin = i; i + 1 < size && is_of_number(text[i + 1]); i++)
            ;
        if (is_beyond(text + begin, i + 1 - begin)) {
            text[i - 1] = 'e';
            text[i] = '2';
        }
    }
}

static json_t *load_beyond(const char *text, size_t size, size_t flags, json_error_t *ret_fault)
{
    char *copy = malloc(size);
    if (!copy) {
        ret_fault->text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory;
        return NULL;
    }
    memcpy(copy, text, size);
    make_real(copy, size);
    json_t *root = json_text_load(copy, size, flags, ret_fault);
    free(copy);
    return root;
}

json_t *json_text_parse(const char *text, size_t size, size_t flags, struct err *err)
{
    json_error_t fault;
    json_t *root = json_text_load(text, size, flags, &fault);
    if (!root && json_error_code(&fault) == json_error_numeric_overflow)
        root = load_beyond(text, size, flags, &fault);
    if (root)
        return root;
    if (json_text_lacked_memory(&fault))
        (void)err_set(err, ERR_NO_MEMORY, "out of memory");
    else
        (void)err_set(err, ERR_FORMAT, "not JSON: %s at byte %d", fault.text, fault.position);
    return NULL;
}

char *json_text_dump(const json_t *value, size_t flags)
{
    unsigned long before = refusals;
    char *text = json_dumps(value, flags);
    if (refusals == before)
        return text;
    free(text);
    return NULL;
}
