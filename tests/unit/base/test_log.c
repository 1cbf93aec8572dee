#include "tests/unit/base/fixture.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>

/* Standard error goes into a file while a test logs. */
struct capture {
    char *folder;
    char path[128];
    int kept_fd;
    struct buf text;
};

static int begin_capture(void **state)
{
    struct capture *capture = calloc(1, sizeof *capture);
    void *folder = NULL;
    if (!capture || fixture_make_folder(&folder))
        return -1;
    capture->folder = folder;
    (void)snprintf(capture->path, sizeof capture->path, "%s/log", capture->folder);
    buf_init(&capture->text, 64 * MIB);
    capture->kept_fd = -1;
    *state = capture;
    return 0;
}

static int end_capture(void **state)
{
    struct capture *capture = *state;
    void *folder = capture->folder;
    buf_free(&capture->text);
    free(capture);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    return fixture_remove_folder(&folder);
}

static void redirect(struct capture *capture)
{
    int fd = open(capture->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)fflush(stderr);
    capture->kept_fd = dup(STDERR_FILENO);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    (void)close(fd);
}

/* What was logged since `redirect`. */
static const char *collect(struct capture *capture)
{
    assert_true(dup2(capture->kept_fd, STDERR_FILENO) >= 0);
    (void)close(capture->kept_fd);
    buf_clear(&capture->text);
    OK(file_read(capture->path, &capture->text, &err));
    return buf_text(&capture->text);
}

/* The one line without its time. */
static const char *only_line(const char *text)
{
    const char *end = strchr(text, '\n');
    assert_non_null(end);
    assert_string_equal(end, "\n");
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[23], 'Z');
    return text + 25;
}

static json_t *only_object(const char *text)
{
    json_error_t fault;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
    if (!object)
        fail_msg("%s: %s", fault.text, text);
    assert_non_null(strchr(text, '\n'));
    assert_string_equal(strchr(text, '\n'), "\n");
    return object;
}

static void test_text_line(void **state)
{
    struct capture *capture = *state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    redirect(capture);
    log_warning("sweep finished", log_text("model", "a/b"), log_int("count", -3), log_real("seconds", 0.25),
                log_text("note", "two words"), log_text("empty", ""), log_text("none", NULL), log_end);
    assert_string_equal(
        only_line(collect(capture)),
        "warning sweep finished model=a/b count=-3 seconds=0.25 note=\"two words\" empty=\"\" none=\"\"\n");
}

static void test_json_line(void **state)
{
    struct capture *capture = *state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    redirect(capture);
    log_error("it \"failed\"", log_text("model", "a/b"), log_int("big", INT64_MIN),
              log_real("nan", (double)NAN), log_real("inf", (double)-INFINITY), log_real("real", 1e300),
              log_text("controls", "\t\x01\x7f\xc2\x85"), log_end);
    json_t *object = only_object(collect(capture));
    assert_string_equal(json_string_value(json_object_get(object, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(object, "event")), "it \"failed\"");
    assert_int_equal(strlen(json_string_value(json_object_get(object, "time"))), 24);
    assert_true(json_integer_value(json_object_get(object, "big")) == INT64_MIN);
    assert_true(json_is_null(json_object_get(object, "nan")));
    assert_true(json_is_null(json_object_get(object, "inf")));
    assert_true(json_real_value(json_object_get(object, "real")) == 1e300);
    assert_string_equal(json_string_value(json_object_get(object, "controls")), "\t\x01\x7f\xc2\x85");
    json_decref(object);
}

/* Foreign text with line ends cannot pass for a line of ours, or for another field. */
static void test_lines_cannot_be_forged(void **state)
{
    struct capture *capture = *state;
    const char *foreign = "no such model\n2026-11-23T08:15:00.123Z error   all is lost reason=\"x\"\r\x1b[2J";
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    redirect(capture);
    log_info("refused", log_text("reason", foreign), log_text("name", "a=b"), log_text("quote", "\""),
             log_end);
    assert_string_equal(
        only_line(collect(capture)),
        "info    refused reason=\"no such model\\u000a2026-11-23T08:15:00.123Z error   all is "
        "lost reason=\\\"x\\\"\\u000d\\u001b[2J\" name=\"a=b\" quote=\"\\\"\"\n");
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    redirect(capture);
    log_info("refused", log_text("reason", foreign), log_end);
    json_t *object = only_object(collect(capture));
    assert_string_equal(json_string_value(json_object_get(object, "reason")), foreign);
    json_decref(object);
}

/* Bytes that are no UTF-8 must not make the line unreadable for JSON parsers. */
static void test_bad_utf8_is_replaced(void **state)
{
    struct capture *capture = *state;
    static const char *const cases[][2] = {
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb1", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb1"}, /* é€🌱 */
        {"\xc3", "\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                                 /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* a surrogate */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* past U+10FFFF */
    };
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        redirect(capture);
        log_info("x", log_text("value", cases[i][0]), log_end);
        json_t *object = only_object(collect(capture));
        assert_string_equal(json_string_value(json_object_get(object, "value")), cases[i][1]);
        json_decref(object);
    }
}

/* A value without end is cut; the line and the fields after it are there. */
static void test_long_values_are_cut(void **state)
{
    struct capture *capture = *state;
    char *text = malloc(1 * MIB);
    assert_non_null(text);
    memset(text, '\n', 1 * MIB - 1); /* the worst: six bytes for each */
    text[1 * MIB - 1] = 0;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    redirect(capture);
    log_info("x", log_text("a", text), log_text("b", text), log_text("c", text), log_int("last", 7), log_end);
    json_t *object = only_object(collect(capture));
    assert_int_equal(json_integer_value(json_object_get(object, "last")), 7);
    const char *cut = json_string_value(json_object_get(object, "a"));
    assert_string_equal(cut + strlen(cut) - 4, "\n...");
    json_decref(object);
    memset(text, 'x', 1 * MIB - 1);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    redirect(capture);
    log_info("x", log_text("a", text), log_int("last", 7), log_end);
    const char *line = only_line(collect(capture));
    assert_non_null(strstr(line, "xxx...\" last=7\n"));
    free(text);
}

static void test_levels(void **state)
{
    struct capture *capture = *state;
    static const enum log_level levels[] = {LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING,
                                            LOG_LEVEL_ERROR};
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (int i = 0; i < 4; i++) {
        enum log_level parsed = LOG_LEVEL_INFO;
        int lines = 0;
        assert_true(log_parse_level(names[i], &parsed));
        assert_int_equal(parsed, levels[i]);
        log_configure(levels[i], LOG_FORMAT_TEXT);
        redirect(capture);
        log_event(LOG_LEVEL_DEBUG, "a", log_end);
        log_info("a", log_end);
        log_warning("a", log_end);
        log_error("a", log_end);
        for (const char *p = collect(capture); (p = strchr(p, '\n')); p++)
            lines++;
        assert_int_equal(lines, 4 - i);
    }
    enum log_level level = LOG_LEVEL_ERROR;
    assert_false(log_parse_level("loud", &level));
    assert_false(log_parse_level("", &level));
    assert_false(log_parse_level("INFO", &level));
    assert_int_equal(level, LOG_LEVEL_ERROR);
}

#define THREADS 8
#define LINES 200

static void *write_lines(void *context)
{
    for (int i = 0; i < LINES; i++)
        log_info("line", log_text("by", context), log_int("number", i), log_end);
    return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
    struct capture *capture = *state;
    static char names[THREADS][16];
    pthread_t threads[THREADS];
    int lines = 0;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    redirect(capture);
    for (int i = 0; i < THREADS; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (const char *p = collect(capture); *p; p = strchr(p, '\n') + 1) {
        int length = 0, number = -1;
        assert_int_equal(sscanf(p + 24, " info line by=t%*d number=%d%n", &number, &length), 1);
        assert_int_equal(p[24 + length], '\n');
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES);
}

#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, begin_capture, end_capture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAPTURED(test_text_line),
        CAPTURED(test_json_line),
        CAPTURED(test_lines_cannot_be_forged),
        CAPTURED(test_bad_utf8_is_replaced),
        CAPTURED(test_long_values_are_cut),
        CAPTURED(test_levels),
        CAPTURED(test_threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
