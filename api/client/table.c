#include "api/client/table.h"

#include "api/client/link.h"
#include "api/client/plain.h"
#include "api/client/terminal.h"
#include "daemon/base/buf.h"
#include "daemon/base/json_text.h"

#include <stdlib.h>
#include <string.h>

size_t client_table_split(char *names, struct client_column *columns, size_t room)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *name = strtok_r(names, ",", &rest); name && count < room; name = strtok_r(NULL, ",", &rest))
        columns[count++] = (struct client_column){name, NULL};
    return count;
}

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

static int is_list_of_texts(const json_t *value)
{
    size_t i;
    const json_t *item;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item))
            return 0;
    }
    return json_array_size(value) > 0;
}

/* With spaces between; what does not fit into a cell is cut. */
static void join(const json_t *texts, char text[CLIENT_CELL_SIZE])
{
    size_t i, length = 0;
    const json_t *item;
    text[0] = '\0';
    json_array_foreach(texts, i, item)
    {
        int size =
            snprintf(text + length, CLIENT_CELL_SIZE - length, "%s%s", i ? " " : "", json_string_value(item));
        length += size < 0 ? 0 : (size_t)size;
        if (length >= CLIENT_CELL_SIZE) {
            client_plain_mark_cut(text, CLIENT_CELL_SIZE);
            return;
        }
    }
}

void client_table_format(const json_t *value, char text[CLIENT_CELL_SIZE])
{
    if (json_is_string(value)) {
        client_plain_copy(value, "", text, CLIENT_CELL_SIZE);
    } else if (json_is_integer(value)) {
        (void)snprintf(text, CLIENT_CELL_SIZE, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        (void)snprintf(text, CLIENT_CELL_SIZE, "%.6g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        (void)snprintf(text, CLIENT_CELL_SIZE, "%s", json_is_true(value) ? "yes" : "no");
    } else if (is_list_of_texts(value)) {
        join(value, text);
        client_plain_text(text);
    } else {
        (void)snprintf(text, CLIENT_CELL_SIZE, "-");
    }
}

static void print_cell(const char *text, size_t width, int is_right, int is_last, int is_terminal,
                       FILE *stream)
{
    size_t own = client_terminal_columns(text, is_terminal);
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

#define LAST_MIN 20  /* characters of a last column of words, which may break */
#define WORDS_MIN 24 /* of another one that is not the first, which loses its middle */

/* "file:/data/r…/seed3": ends tell names apart. */
static void cut_middle(char text[CLIENT_CELL_SIZE], size_t width, const char *mark)
{
    char rest[CLIENT_CELL_SIZE];
    size_t own = client_terminal_columns(text, 1), mark_width = client_terminal_columns(mark, 1);
    size_t room = width > mark_width ? width - mark_width : 0;
    if (own <= width)
        return;
    size_t end = client_terminal_fit(text, own - room / 2, 1);
    if (client_terminal_columns(text + end, 1) > room / 2)
        end += client_terminal_fit(text + end, 2, 1); /* a wide one that has no room */
    (void)snprintf(rest, sizeof rest, "%s%s", mark, text + end);
    size_t begin = client_terminal_fit(text, room - room / 2, 1);
    (void)snprintf(text + begin, CLIENT_CELL_SIZE - begin, "%s", rest);
}

/* Where a line has not room for all, the widest column of words gives some of its own, so that a long name
 * does not keep the columns after it out. The first tells the rows apart, and what the reader chose stays
 * whole. */
static void make_room(const struct client_column *columns, size_t *widths, const unsigned char *is_right,
                      size_t column_count, size_t room)
{
    size_t widest = 0, need = 0;
    for (size_t c = 0; c < column_count; c++) {
        int is_last = c + 1 == column_count && !is_right[c] && widths[c] > LAST_MIN;
        need += (c ? 2 : 0) + (is_last ? LAST_MIN : widths[c]);
        if (c && !is_last && !is_right[c] && columns[c].title && (!widest || widths[c] > widths[widest]))
            widest = c;
    }
    if (widest && need > room && widths[widest] > WORDS_MIN)
        widths[widest] =
            widths[widest] - WORDS_MIN > need - room ? widths[widest] - (need - room) : WORDS_MIN;
}

/* How many columns from the left stand in a line of `room` characters; at least one. Where the reader chose
 * the columns (they have no titles of ours), all of them. */
static size_t count_fitting(const struct client_column *columns, const size_t *widths,
                            const unsigned char *is_right, size_t column_count, size_t room)
{
    size_t used = 0;
    for (size_t c = 0; c < column_count; c++) {
        size_t need = c + 1 == column_count && !is_right[c] && widths[c] > LAST_MIN ? LAST_MIN : widths[c];
        if (c && columns[c].title && used + 2 + need > room)
            return c;
        used += (c ? 2 : 0) + need;
    }
    return column_count;
}

/* Below the table, what of it did not fit. */
static void name_rest(const struct client_column *columns, size_t from, size_t column_count, FILE *stream)
{
    (void)fputs("too narrow for", stream);
    for (size_t c = from; c < column_count; c++)
        (void)fprintf(stream, "%s %s", c > from ? "," : "", title_of(&columns[c]));
    (void)fputs("; --fields, --csv or --json show all\n", stream);
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
    const size_t row_count = json_array_size(array), room = client_terminal_width(stream);
    const int is_terminal = room > 0;
    for (size_t c = 0; c < column_count; c++) {
        widths[c] = client_terminal_columns(title_of(&columns[c]), is_terminal);
        for (size_t r = 0; r < row_count; r++) {
            const json_t *value = value_at(json_array_get(array, r), columns[c].key);
            client_table_format(value, text);
            const size_t width = client_terminal_columns(text, is_terminal);
            widths[c] = width > widths[c] ? width : widths[c];
            is_right[c] |= json_is_number(value);
        }
    }
    const char *mark = client_terminal_shows_utf8(stream) ? "\xe2\x80\xa6" : "...";
    if (room)
        make_room(columns, widths, is_right, column_count, room);
    size_t shown = room ? count_fitting(columns, widths, is_right, column_count, room) : column_count;
    for (size_t c = 0; c < shown; c++)
        print_cell(title_of(&columns[c]), widths[c], is_right[c], c + 1 == shown, is_terminal, stream);
    for (size_t r = 0; r < row_count; r++) {
        for (size_t c = 0; c < shown; c++) {
            client_table_format(value_at(json_array_get(array, r), columns[c].key), text);
            if (room && c && c + 1 < column_count)
                cut_middle(text, widths[c], mark);
            print_cell(text, widths[c], is_right[c], c + 1 == shown, is_terminal, stream);
        }
    }
    if (shown < column_count)
        name_rest(columns, shown, column_count, stderr);
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

void client_table_print_csv_text(const char *text, FILE *stream)
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

/* A list of texts with spaces between, anything else as its JSON: whole, as the daemon's own CSV has it. */
static void print_csv_compound(const json_t *value, FILE *stream)
{
    struct buf texts;
    size_t i;
    const json_t *item;
    buf_init(&texts, CLIENT_BODY_BYTES_MAX);
    if (is_list_of_texts(value)) {
        json_array_foreach(value, i, item)
        {
            buf_appendf(&texts, "%s%s", i ? " " : "", json_string_value(item));
        }
    } else if (json_is_object(value) || json_array_size(value)) {
        char *text = json_text_dump(value, JSON_COMPACT);
        buf_append_text(&texts, text ? text : "");
        free(text);
    }
    client_table_print_csv_text(buf_text(&texts), stream);
    buf_free(&texts);
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
                client_table_print_csv_text(json_string_value(value), stream);
            else if (json_is_integer(value))
                (void)fprintf(stream, "%lld", (long long)json_integer_value(value));
            else if (json_is_real(value))
                print_csv_real(json_real_value(value), stream);
            else if (json_is_boolean(value))
                (void)fputs(json_is_true(value) ? "true" : "false", stream);
            else if (json_is_array(value) || json_is_object(value))
                print_csv_compound(value, stream);
        }
        (void)fputs("\r\n", stream);
    }
}
