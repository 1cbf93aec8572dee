#include "api/client/plain.h"

#include "daemon/base/json_text.h"

#include <stdlib.h>
#include <string.h>

static int is_ascii_only;

void client_plain_keep_ascii(void)
{
    is_ascii_only = 1;
}

/* The bytes of the character at `c` if it is one to be replaced, else 0. */
static size_t control_size(const unsigned char *c)
{
    if (c[0] < 0x20 || c[0] == 0x7f)
        return 1;
    if (is_ascii_only && c[0] >= 0x80) {
        size_t size = 1;
        while ((c[size] & 0xc0U) == 0x80)
            size++;
        return size;
    }
    if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) /* U+0080 to U+009F */
        return 2;
    if (c[0] != 0xe2)
        return 0;
    int is_turn = c[1] == 0x80 && ((c[2] >= 0xaa && c[2] <= 0xae) || c[2] == 0x8e || c[2] == 0x8f);
    return is_turn || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9) ? 3 : 0;
}

void client_plain_text(char *text)
{
    unsigned char *out = (unsigned char *)text;
    for (unsigned char *in = out; *in;) {
        size_t size = control_size(in);
        *out++ = size ? '?' : *in;
        in += size ? size : 1;
    }
    *out = '\0';
}

void client_plain_copy(const json_t *value, const char *standard, char *text, size_t size)
{
    const char *from = json_string_value(value);
    int length = snprintf(text, size, "%s", from ? from : standard);
    if (length > 0 && (size_t)length >= size)
        client_plain_mark_cut(text, size);
    client_plain_text(text);
}

void client_plain_mark_cut(char *text, size_t size)
{
    static const char mark[] = "\xe2\x80\xa6";
    if (size <= sizeof mark)
        return;
    size_t length = size - sizeof mark;
    while (length && ((unsigned char)text[length] & 0xc0) == 0x80) /* not inside of a character */
        length--;
    memcpy(text + length, mark, sizeof mark);
}

static int is_plain(const char *text)
{
    for (; *text; text++) {
        if (control_size((const unsigned char *)text))
            return 0;
    }
    return 1;
}

static void make_plain_string(json_t *string)
{
    if (is_plain(json_string_value(string)))
        return;
    char *copy = strdup(json_string_value(string));
    if (copy)
        client_plain_text(copy);
    (void)json_string_set(string, copy ? copy : "?");
    free(copy);
}

static void make_plain_keys(json_t *object)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, key, value)
    {
        if (is_plain(key))
            continue;
        char *copy = strdup(key);
        json_incref(value);
        (void)json_object_del(object, key);
        if (copy) {
            client_plain_text(copy);
            (void)json_object_set(object, copy, value);
        }
        json_decref(value);
        free(copy);
    }
}

/* As deep as the parser goes, which has a bound. */
void client_plain_document(json_t *document)
{
    const char *key;
    json_t *value;
    size_t index;
    if (json_is_string(document))
        make_plain_string(document);
    make_plain_keys(document);
    json_object_foreach(document, key, value)
    {
        client_plain_document(value);
    }
    json_array_foreach(document, index, value)
    {
        client_plain_document(value);
    }
}

void client_plain_print_json(const json_t *document, FILE *stream)
{
    size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(17) | (is_ascii_only ? JSON_ENSURE_ASCII : 0);
    char *text = json_text_dump(document, flags);
    if (!text) {
        (void)fputs("null\n", stream);
        return;
    }
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        size_t size = *c == '\n' ? 0 : control_size(c);
        if (size == 1)
            (void)fprintf(stream, "\\u%04x", *c);
        else if (size == 2)
            (void)fprintf(stream, "\\u%04x", c[1]);
        else if (size == 3)
            (void)fprintf(stream, "\\u%04x", 0x2000U | (c[1] & 0x3fU) << 6 | (c[2] & 0x3fU));
        else
            (void)fputc(*c, stream);
        c += size ? size - 1 : 0;
    }
    (void)fputc('\n', stream);
    free(text);
}
