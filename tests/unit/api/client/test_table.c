/* Tables and lines of progress on a terminal whose characters are not all as wide, and in a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/client/progress.h"
#include "api/client/table.h"
#include "api/client/terminal.h"

#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define JAPANESE "\xe6\x97\xa5\xe6\x9c\xac" /* two characters, four columns */
#define ACCENTED "e\xcc\x81"                /* two characters, one column */
#define EMOJI "\xf0\x9f\x94\xa5"            /* one character, two columns */
#define MARK "\xe2\x80\xa6"

static const struct client_column columns[] = {{"id", "ID"}, {"model", "MODEL"}, {"state", "STATE"}};

/* What is printed to a terminal of so many columns. */
static void print_on_terminal(const json_t *rows, unsigned short width, char *text, size_t size)
{
    struct winsize window = {.ws_row = 24, .ws_col = width};
    struct termios modes;
    struct err err = ERR_INIT;
    int ours = posix_openpt(O_RDWR | O_NOCTTY), theirs;
    assert_true(ours >= 0);
    assert_int_equal(grantpt(ours) | unlockpt(ours), 0);
    theirs = open(ptsname(ours), O_RDWR | O_NOCTTY);
    assert_true(theirs >= 0);
    assert_int_equal(tcgetattr(theirs, &modes), 0);
    modes.c_oflag &= ~(tcflag_t)OPOST;
    assert_int_equal(tcsetattr(theirs, TCSANOW, &modes), 0);
    assert_int_equal(ioctl(theirs, TIOCSWINSZ, &window), 0);
    FILE *stream = fdopen(theirs, "w");
    assert_non_null(stream);
    assert_int_equal(client_table_print(rows, columns, 3, stream, &err), 0);
    assert_int_equal(fclose(stream), 0); /* far less than a terminal holds back */
    size_t length = 0;
    for (ssize_t got; (got = read(ours, text + length, size - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    (void)close(ours);
}

static json_t *rows_of(const char *const *models, size_t count)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(
            rows, json_pack("{s:i, s:s, s:s}", "id", (int)i + 1, "model", models[i], "state", "done"));
    return rows;
}

static void test_columns_stand_below_each_other(void **state)
{
    static const char *const models[] = {"file:/" JAPANESE, "file:/" ACCENTED, "file:/" EMOJI "x"};
    char text[4096];
    (void)state;
    json_t *rows = rows_of(models, 3);
    print_on_terminal(rows, 80, text, sizeof text);
    assert_string_equal(text, "ID  MODEL       STATE\n"
                              " 1  file:/" JAPANESE "  done\n"
                              " 2  file:/" ACCENTED "     done\n"
                              " 3  file:/" EMOJI "x   done\n");
    json_decref(rows);
}

/* Each row fits, and neither end of a name is lost. */
static void test_a_name_of_wide_characters_loses_its_middle(void **state)
{
    static const char *const models[] = {
        "file:/" JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE "/x",
        "file:/a" JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE};
    char text[4096];
    (void)state;
    json_t *rows = rows_of(models, 2);
    print_on_terminal(rows, 36, text, sizeof text);
    size_t lines = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) && *line; lines++) {
        assert_true(client_terminal_columns(line, 1) <= 36);
        if (!lines)
            continue;
        assert_int_equal(client_terminal_fit(line, SIZE_MAX, 1), strlen(line)); /* whole characters */
        assert_non_null(strstr(line, MARK));
        assert_non_null(strstr(line, "file:/"));
        assert_non_null(strstr(line, "  done"));
    }
    assert_int_equal(lines, 3);
    json_decref(rows);
}

static void test_a_file_gets_the_same_whatever_the_locale(void **state)
{
    static const char *const models[] = {"file:/" JAPANESE, "file:/abc"};
    char *texts[2] = {NULL, NULL};
    size_t size;
    (void)state;
    json_t *rows = rows_of(models, 2);
    for (int i = 0; i < 2; i++) {
        struct err err = ERR_INIT;
        (void)setlocale(LC_CTYPE, i ? "C" : "C.UTF-8");
        FILE *stream = open_memstream(&texts[i], &size);
        assert_int_equal(client_table_print(rows, columns, 3, stream, &err), 0);
        (void)fclose(stream);
    }
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    assert_string_equal(texts[0], "ID  MODEL      STATE\n"
                                  " 1  file:/" JAPANESE "   done\n"
                                  " 2  file:/abc  done\n");
    assert_string_equal(texts[1], texts[0]);
    free(texts[0]);
    free(texts[1]);
    json_decref(rows);
}

/* A line that is rewritten must not be longer than the terminal, nor end inside of a character. */
static void test_progress_is_cut_between_characters(void **state)
{
    struct client_progress progress = {.state = "planning"};
    char text[512];
    (void)state;
    size_t length = (size_t)snprintf(progress.model, sizeof progress.model, "file:/");
    for (int i = 0; i < 40; i++)
        length += (size_t)snprintf(progress.model + length, sizeof progress.model - length, "%s", JAPANESE);
    for (size_t width = 1; width < 130; width++) {
        client_progress_format(&progress, width, 1, text, sizeof text);
        assert_true(client_terminal_columns(text, 1) <= width);
        assert_int_equal(client_terminal_fit(text, SIZE_MAX, 1), strlen(text));
    }
    client_progress_format(&progress, sizeof text - 1, 0, text, sizeof text);
    assert_int_equal(client_terminal_fit(text, SIZE_MAX, 0), strlen(text));
    (void)snprintf(progress.wait_reason, sizeof progress.wait_reason, "request budget");
    client_progress_format(&progress, sizeof text - 1, 0, text, sizeof text);
    assert_non_null(strstr(text, ", waits for the hub: 0 s, request budget"));
    assert_int_equal(client_terminal_fit(text, SIZE_MAX, 0), strlen(text));
}

static int set_locale(void **state)
{
    (void)state;
    return setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

/* Six digits for readers; in CSV as many as give the same number back, and what else has to be quoted. */
static void numbers_are_whole_in_csv(void **state)
{
    (void)state;
    char cell[CLIENT_CELL_SIZE], *text = NULL;
    size_t size = 0;
    static const struct client_column shown[] = {{"value", NULL}, {"name", NULL}};
    json_t *rows = json_pack("[{s:f, s:s}]", "value", -1000.1 - 0.2, "name", "a \"b\"");
    client_table_format(json_object_get(json_array_get(rows, 0), "value"), cell);
    assert_string_equal(cell, "-1000.3");
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    client_table_print_csv(rows, shown, 2, stream);
    assert_int_equal(fclose(stream), 0);
    assert_string_equal(text, "value,name\r\n-1000.3000000000001,\"a \"\"b\"\"\"\r\n");
    free(text);
    json_decref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_whole_in_csv),
        cmocka_unit_test(test_columns_stand_below_each_other),
        cmocka_unit_test(test_a_name_of_wide_characters_loses_its_middle),
        cmocka_unit_test(test_a_file_gets_the_same_whatever_the_locale),
        cmocka_unit_test(test_progress_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, set_locale, NULL);
}
