#include "api/client/table.h"

#include <stdlib.h>
#include <string.h>

static const json_t *value_at(const json_t *row, const char *key)
{
    char part[64];
    const char *dot;
    while ((dot = strchr(key, '.'))) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(dot - key), key);
        row = json_object_get(row, part);
        key = dot + 1;
    }
    return json_object_get(row, key);
}

void client_table_format(const json_t *value, char text[CLIENT_CELL_SIZE])
{
    if (json_is_string(value)) {
        (void)snprintf(text, CLIENT_CELL_SIZE, "%s", json_string_value(value));
        for (char *c = text; *c; c++) { /* a foreign name must not steer the terminal */
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        }
    } else if (json_is_integer(value)) {
        (void)snprintf(text, CLIENT_CELL_SIZE, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        (void)snprintf(text, CLIENT_CELL_SIZE, "%.6g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        (void)snprintf(text, CLIENT_CELL_SIZE, "%s", json_is_true(value) ? "yes" : "no");
    } else {
        (void)snprintf(text, CLIENT_CELL_SIZE, "-");
    }
}

/* Characters, not bytes: continuation bytes of UTF-8 take no room. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(const char *text, size_t width, int is_right, int is_last, FILE *stream)
{
    size_t own = width_of(text);
    size_t gap = width > own ? width - own : 0;
    if (is_right)
        (void)fprintf(stream, "%*s%s%s", (int)gap, "", text, is_last ? "\n" : "  ");
    else
        (void)fprintf(stream, "%s%*s%s", text, is_last ? 0 : (int)gap, "", is_last ? "\n" : "  ");
}

static const char *title_of(const struct client_column *column)
{
    return column->title ? column->title : column->key;
}

int client_table_print(const json_t *array, const struct client_column *columns, size_t column_count,
                       FILE *stream, struct err *err)
{
    char text[CLIENT_CELL_SIZE];
    size_t *widths = calloc(column_count ? column_count : 1, sizeof *widths);
    unsigned char *is_right = calloc(column_count ? column_count : 1, 1);
    if (!widths || !is_right) {
        free(widths);
        free(is_right);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    size_t row_count = json_array_size(array);
    for (size_t c = 0; c < column_count; c++) {
        widths[c] = width_of(title_of(&columns[c]));
        for (size_t r = 0; r < row_count; r++) {
            const json_t *value = value_at(json_array_get(array, r), columns[c].key);
            client_table_format(value, text);
            if (width_of(text) > widths[c])
                widths[c] = width_of(text);
            is_right[c] |= json_is_number(value);
        }
    }
    for (size_t c = 0; c < column_count; c++)
        print_cell(title_of(&columns[c]), widths[c], is_right[c], c + 1 == column_count, stream);
    for (size_t r = 0; r < row_count; r++) {
        for (size_t c = 0; c < column_count; c++) {
            client_table_format(value_at(json_array_get(array, r), columns[c].key), text);
            print_cell(text, widths[c], is_right[c], c + 1 == column_count, stream);
        }
    }
    free(widths);
    free(is_right);
    return 0;
}

/* The fewest digits that read back as the same number. */
static void print_csv_real(double value, FILE *stream)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (back == value)
            break;
    }
    (void)fputs(text, stream);
}

static void print_csv_text(const char *text, FILE *stream)
{
    if (!strpbrk(text, "\",\r\n")) {
        (void)fputs(text, stream);
        return;
    }
    (void)fputc('"', stream);
    for (; *text; text++) {
        if (*text == '"')
            (void)fputc('"', stream);
        (void)fputc(*text, stream);
    }
    (void)fputc('"', stream);
}

void client_table_print_csv(const json_t *array, const struct client_column *columns, size_t column_count,
                            FILE *stream)
{
    for (size_t c = 0; c < column_count; c++)
        (void)fprintf(stream, "%s%s", c ? "," : "", columns[c].key);
    (void)fputs("\r\n", stream);
    for (size_t r = 0; r < json_array_size(array); r++) {
        for (size_t c = 0; c < column_count; c++) {
            const json_t *value = value_at(json_array_get(array, r), columns[c].key);
            if (c)
                (void)fputc(',', stream);
            if (json_is_string(value))
                print_csv_text(json_string_value(value), stream);
            else if (json_is_integer(value))
                (void)fprintf(stream, "%lld", (long long)json_integer_value(value));
            else if (json_is_real(value))
                print_csv_real(json_real_value(value), stream);
            else if (json_is_boolean(value))
                (void)fputs(json_is_true(value) ? "true" : "false", stream);
        }
        (void)fputs("\r\n", stream);
    }
}
