/* Text of the daemon for a terminal. */
#include "tests/unit/store/fixture.h"

#include "api/client/plain.h"
#include "api/client/progress.h"
#include "api/client/table.h"

#include <stdlib.h>
#include <string.h>

static void test_text(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"", ""},
        {"step512 of garden/neox-tiny \xc3\xa9 \xe2\x80\xa6 \xf0\x9f\xa6\x99", /* é, …, a llama: as they are
                                                                                */
         "step512 of garden/neox-tiny \xc3\xa9 \xe2\x80\xa6 \xf0\x9f\xa6\x99"},
        {"\033[2J\033]0;title\007", "?[2J?]0;title?"},
        {"a\r\nb\tc\177", "a??b?c?"},
        {"\xc2\x9b"
         "31m\xc2\x80\xc2\x9f\xc2\xa0",
         "?31m??\xc2\xa0"}, /* CSI in one byte; a space stays */
        {"\xe2\x80\xae"
         "cba\xe2\x80\xac\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8e",
         "?cba????"}, /* turned around */
        {"\xe2\x80\xa9\xe2\x81\xaa", "\xe2\x80\xa9\xe2\x81\xaa"},
        {"\xc2", "\xc2"}, /* cut off */
        {"\xe2\x80", "\xe2\x80"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = strdup(cases[i].from);
        client_plain_text(text);
        assert_string_equal(text, cases[i].to);
        free(text);
    }
}

static void test_document(void **state)
{
    (void)state;
    json_t *document = json_loads(
        "{\"a\\u001b[0m\": [\"\\u009b2J\", {\"b\": \"\\n\"}], \"c\": 5, \"d\": \"fine\"}", 0, NULL);
    json_t *want = json_loads("{\"a?[0m\": [\"?2J\", {\"b\": \"?\"}], \"c\": 5, \"d\": \"fine\"}", 0, NULL);
    client_plain_document(document);
    assert_true(json_equal(document, want));
    json_decref(document);
    json_decref(want);
    client_plain_document(NULL);
}

/* What --json prints is the same document, and does nothing to a terminal. */
static void test_json(void **state)
{
    static const char text[] =
        "{\"a\\u001b\": \"\\u009b\\u007f\\u202e\\u2066\\u0085 \\u00e9 \\u2026\", \"b\": [0.1, 7, null]}";
    char *printed = NULL;
    size_t size = 0;
    (void)state;
    json_t *document = json_loads(text, 0, NULL);
    FILE *stream = open_memstream(&printed, &size);
    client_plain_print_json(document, stream);
    (void)fclose(stream);
    for (size_t i = 0; i < size; i++)
        assert_true(printed[i] == '\n' || ((unsigned char)printed[i] >= 0x20 && printed[i] != 0x7f));
    assert_null(strstr(printed, "\xc2\x9b"));
    assert_null(strstr(printed, "\xe2\x80\xae"));
    assert_non_null(strstr(printed, "\xc3\xa9 \xe2\x80\xa6"));
    json_t *again = json_loads(printed, 0, NULL);
    assert_true(json_equal(document, again));
    json_decref(document);
    json_decref(again);
    free(printed);
}

static void test_cells_and_progress(void **state)
{
    char text[CLIENT_CELL_SIZE];
    struct client_progress progress;
    (void)state;
    json_t *row =
        json_loads("{\"model\": \"a/\\u001b[31m\", \"state\": \"\\u009bdone and much more than fits\","
                   "\"list\": [\"read\", \"\\u001b\"], \"none\": [], \"object\": {}}",
                   0, NULL);
    client_table_format(json_object_get(row, "model"), text);
    assert_string_equal(text, "a/?[31m");
    client_table_format(json_object_get(row, "list"), text);
    assert_string_equal(text, "read ?");
    client_table_format(json_object_get(row, "none"), text);
    assert_string_equal(text, "-");
    client_table_format(json_object_get(row, "object"), text);
    assert_string_equal(text, "-");
    client_progress_read(row, &progress);
    assert_string_equal(progress.model, "a/?[31m");
    assert_memory_equal(progress.state, "?done", 5);
    client_progress_read(NULL, &progress);
    assert_string_equal(progress.model, "");
    client_progress_format(&progress, sizeof text - 1, 0, text, sizeof text); /* no bytes that nobody knows */
    assert_string_equal(text, "0/0 revisions");
    json_decref(row);
}

/* A cut is seen, and lies between characters. */
static void test_cuts(void **state)
{
    char text[CLIENT_CELL_SIZE], small[16];
    (void)state;
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:[s, s]}", "whole", "fifteen bytes ..", "accents",
                  "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "odd",
                  "a\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "list",
                  "0123456789012345678901234567890123456789012345678901234567890123456789012345678",
                  "0123456789012345678901234567890123456789012345678901234567890123456789012345678");
    client_plain_copy(json_object_get(row, "whole"), "", small, sizeof small);
    assert_string_equal(small, "fifteen byte\xe2\x80\xa6");
    client_plain_copy(json_object_get(row, "whole"), "", text, 17);
    assert_string_equal(text, "fifteen bytes ..");
    client_plain_copy(json_object_get(row, "accents"), "", small, sizeof small);
    assert_string_equal(small, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xe2\x80\xa6");
    client_plain_copy(json_object_get(row, "odd"), "", small, sizeof small);
    assert_string_equal(small, "a\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xe2\x80\xa6");
    client_table_format(json_object_get(row, "list"), text);
    assert_int_equal(strlen(text), CLIENT_CELL_SIZE - 1);
    assert_string_equal(text + CLIENT_CELL_SIZE - 4, "\xe2\x80\xa6");
    json_decref(row);
}

/* Numbers that no daemon can mean are counted with as far as that goes. */
static void test_impossible_counts(void **state)
{
    char line[256];
    struct client_progress progress;
    (void)state;
    json_t *sweep =
        json_loads("{\"model\": \"a/b\", \"state\": \"running\", \"progress\": {\"revisions_total\": 5,"
                   "\"done\": 9223372036854775807, \"failed\": 9223372036854775807,"
                   "\"cancelled\": -9223372036854775808}}",
                   0, NULL);
    client_progress_read(sweep, &progress);
    client_progress_format(&progress, sizeof line - 1, 1, line, sizeof line);
    assert_non_null(strstr(line, "2000000000000/5 revisions"));
    json_decref(sweep);
}

/* What lies in a folder is not fetched: there are no bytes to tell of, but for texts of the hub. */
static void test_folder(void **state)
{
    char line[256];
    struct client_progress progress;
    (void)state;
    json_t *sweep = json_loads(
        "{\"model\": \"file:/run\", \"state\": \"running\", \"progress\": {\"revisions_total\": 24,"
        "\"done\": 12, \"bytes_fetched\": 0, \"bytes_expected\": 3400000,"
        "\"rate_bytes_per_s\": 0, \"seconds_left\": 12}}",
        0, NULL);
    client_progress_read(sweep, &progress);
    client_progress_format(&progress, sizeof line - 1, 0, line, sizeof line);
    assert_string_equal(line, "12/24 revisions, 12 s left");
    (void)json_object_set_new(json_object_get(sweep, "progress"), "bytes_fetched", json_integer(1700000));
    client_progress_read(sweep, &progress);
    client_progress_format(&progress, sizeof line - 1, 0, line, sizeof line);
    assert_string_equal(line, "12/24 revisions, 1.7 MB of 3.4 MB, 0 B/s, 12 s left");
    json_decref(sweep);
}

/* A sweep that waits for the hub says so in place of a rate that would mean nothing. */
static void test_waiting(void **state)
{
    char line[256];
    struct client_progress progress;
    (void)state;
    json_t *sweep =
        json_loads("{\"model\": \"a/b\", \"state\": \"running\", \"progress\": {\"revisions_total\": 24,"
                   "\"done\": 12, \"bytes_fetched\": 1200000, \"bytes_expected\": 3400000,"
                   "\"rate_bytes_per_s\": 850e3, \"seconds_left\": 12}, \"hub_wait\": {\"reason\":"
                   "\"request_budget\", \"seconds_left\": 42.2}}",
                   0, NULL);
    client_progress_read(sweep, &progress);
    client_progress_format(&progress, sizeof line - 1, 0, line, sizeof line);
    assert_string_equal(line, "12/24 revisions, 1.2 MB of 3.4 MB, waits for the hub: 42 s, request budget");
    (void)json_object_set_new(sweep, "state", json_string("planning"));
    client_progress_read(sweep, &progress);
    progress.wait_seconds = -1.0; /* late by the client's clock */
    client_progress_format(&progress, sizeof line - 1, 0, line, sizeof line);
    assert_string_equal(line,
                        "planning: listing the revisions of a/b, waits for the hub: 0 s, request budget");
    (void)json_object_set_new(sweep, "state", json_string("done"));
    client_progress_read(sweep, &progress);
    client_progress_format(&progress, sizeof line - 1, 0, line, sizeof line);
    assert_null(strstr(line, "waits"));
    (void)json_object_set_new(sweep, "state", json_string("running"));
    (void)json_object_set_new(sweep, "hub_wait", json_null());
    client_progress_read(sweep, &progress);
    client_progress_format(&progress, sizeof line - 1, 0, line, sizeof line);
    assert_string_equal(line, "12/24 revisions, 1.2 MB of 3.4 MB, 850 kB/s, 12 s left");
    progress.bytes_fetched = 3500000; /* more than was estimated */
    client_progress_format(&progress, sizeof line - 1, 0, line, sizeof line);
    assert_string_equal(line, "12/24 revisions, 3.5 MB, 850 kB/s, 12 s left");
    json_decref(sweep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),   cmocka_unit_test(test_document),
        cmocka_unit_test(test_json),   cmocka_unit_test(test_cells_and_progress),
        cmocka_unit_test(test_folder), cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_cuts),   cmocka_unit_test(test_impossible_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
