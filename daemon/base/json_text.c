#include "daemon/base/json_text.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local unsigned long refusals; /* allocations for jansson that failed */

/*
 * jansson's lexer aborts (lex_unget_unsave) where its buffer, which doubles from 16 bytes on, cannot grow for
 * what ends a number or a word, or may not be in a string. So the first allocation that fails gets the spare
 * memory, if it may be such a one (an array's elements may be as many); the text is refused all the same, and
 * ends for jansson after at most 8 bytes, since 16 more could make it ask again. A number or word that the
 * spare memory would not suffice for is no use to anybody, and is refused.
 */
#define SPARE_BYTES 4096
#define BUFFER_MIN 32
#define CHUNK_BYTES 8
#define TOKEN_MAX 4000
static _Thread_local _Alignas(max_align_t) unsigned char spare[SPARE_BYTES];
static _Thread_local int has_spare; /* while a text is being read, before the first failure */

void *json_text_take_spare(size_t size)
{
    const int is_fitting = size >= BUFFER_MIN && !(size & (size - 1)) && size <= SPARE_BYTES;
    void *memory = has_spare && is_fitting ? spare : NULL;
    refusals++;
    has_spare = 0;
    return memory;
}

unsigned long json_text_refusals(void)
{
    return refusals;
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
    if (memory != spare)
        free(memory);
}

/* Before there are threads: jansson's functions for memory are variables of the whole process. */
static __attribute__((constructor)) void watch_memory(void)
{
    json_set_alloc_funcs(take, give);
}

/* What jansson has been given of a text. */
struct feed {
    const char *text;
    size_t size, at;
    unsigned long refusals; /* before it */
    size_t token_bytes;     /* of the number, word or string that was begun */
    int is_string, is_escaped;
    const char *fault; /* NULL, or why no more is read */
};

/* Whether the byte may be read: not if it makes a number or word longer than TOKEN_MAX, or ends a string of
 * that length in a wrong way. */
static int is_read(struct feed *feed, unsigned char c)
{
    if (feed->is_string) {
        feed->token_bytes++;
        if (c == '"' && !feed->is_escaped)
            feed->is_string = 0;
        feed->is_escaped = c == '\\' && !feed->is_escaped;
        if (c < ' ' && feed->token_bytes > TOKEN_MAX)
            feed->fault = "a control character in a string";
        return !feed->fault;
    }
    const int is_of_token =
        c > ' ' && c != ',' && c != ':' && c != '"' && c != '[' && c != ']' && c != '{' && c != '}';
    feed->token_bytes = is_of_token ? feed->token_bytes + 1 : 0;
    feed->is_string = c == '"';
    if (feed->token_bytes > TOKEN_MAX)
        feed->fault = "a number or word longer than 4,000 characters";
    return !feed->fault;
}

static size_t feed_chunk(void *buffer, size_t size, void *context)
{
    struct feed *feed = context;
    unsigned char *chunk = buffer;
    size_t count = 0;
    if (refusals != feed->refusals || feed->fault)
        return 0;
    while (count < CHUNK_BYTES && count < size && feed->at < feed->size) {
        const unsigned char c = (unsigned char)feed->text[feed->at];
        if (!is_read(feed, c))
            break;
        chunk[count++] = c;
        feed->at++;
    }
    return count;
}

json_t *json_text_load(const char *text, size_t size, size_t flags, json_error_t *ret_fault)
{
    json_error_t fault;
    struct feed feed = {.text = text, .size = size, .refusals = refusals};
    has_spare = 1;
    json_t *root = json_load_callback(feed_chunk, &feed, flags, &fault);
    has_spare = 0;
    if (refusals != feed.refusals) {
        json_decref(root); /* what is in the spare memory, with the rest */
        root = NULL;
        (void)snprintf(fault.text, sizeof fault.text, "out of memory");
        fault.text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory; /* as json_error_code() reads it */
    } else if (feed.fault) {
        json_decref(root); /* a text that was whole before it */
        root = NULL;
        (void)snprintf(fault.text, sizeof fault.text - 1, "%s", feed.fault);
        fault.text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_invalid_syntax;
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
