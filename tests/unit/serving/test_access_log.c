/* The access log: where lines go, and that a file can be moved away beneath it. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"
#include "daemon/serving/access_log.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 4
#define LINES 500

static const struct api_access sample = {.request_id = "id1",
                                         .address = "192.0.2.7",
                                         .token = "ci",
                                         .method = "GET",
                                         .target = "/v1/models?a=\"\n\033[2J\xc2\x9b",
                                         .agent = "curl/8\r\nfake=line",
                                         .operation = "listModels",
                                         .status = 200,
                                         .body_bytes = 123,
                                         .seconds = 0.25};

static size_t read_lines(const char *path, struct buf *text)
{
    size_t count = 0;
    struct err err = ERR_INIT;
    buf_clear(text);
    assert_int_equal(file_read(path, text, &err), 0);
    for (size_t i = 0; i < text->size; i++)
        count += text->data[i] == '\n';
    return count;
}

static void test_lines(void **state)
{
    struct err err = ERR_INIT;
    struct access_log *log = NULL;
    struct buf text;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/access", (const char *)*state);
    buf_init(&text, MIB);
    assert_int_equal(access_log_new(path, &log, &err), 0);
    access_log_write(log, &sample);
    assert_int_equal(read_lines(path, &text), 1); /* whatever is in it */
    assert_non_null(strstr(
        text.data, " info    request id=id1 address=192.0.2.7 token=ci method=GET target=\"/v1/models?a="));
    assert_non_null(
        strstr(text.data, "status=200 bytes=123 seconds=0.25 operation=listModels agent=\"curl/8"));
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_JSON); /* the level is for events */
    access_log_write(log, &sample);
    assert_int_equal(read_lines(path, &text), 2);
    json_t *line = json_loads(strchr(text.data, '\n') + 1, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(line, "target")), sample.target);
    assert_string_equal(json_string_value(json_object_get(line, "agent")), sample.agent);
    assert_int_equal(json_integer_value(json_object_get(line, "status")), 200);
    json_decref(line);
    for (const char *c = text.data; *c; c++)
        assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    access_log_free(log);
    buf_free(&text);
}

/* A pipe holds nothing up: not the start where nobody reads, not an answer where nobody reads on. */
static void test_a_pipe_holds_nothing_up(void **state)
{
    struct err err = ERR_INIT;
    struct access_log *log = NULL;
    char path[256], text[4096];
    (void)snprintf(path, sizeof path, "%s/pipe", (const char *)*state);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)alarm(120); /* only what waits for a reader takes so long */
    assert_int_equal(access_log_new(path, &log, &err), ERR_IO);
    assert_non_null(strstr(err.message, "without a reader"));
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(access_log_new(path, &log, &err), 0);
    for (int i = 0; i < 4 * LINES; i++) /* more than a pipe holds */
        access_log_write(log, &sample);
    assert_int_equal(read(reader, text, sizeof text), sizeof text);
    (void)alarm(0);
    access_log_free(log);
    (void)close(reader);
}

static void *write_many(void *context)
{
    for (int i = 0; i < LINES; i++)
        access_log_write(context, &sample);
    return NULL;
}

/* Moved away and opened again while four threads write: no line is lost, and none is torn. */
static void test_moved_away(void **state)
{
    struct err err = ERR_INIT;
    struct access_log *log = NULL;
    struct buf text;
    pthread_t threads[THREADS];
    char path[256], moved[280];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/rotated", (const char *)*state);
    buf_init(&text, 16 * MIB);
    assert_int_equal(access_log_new(path, &log, &err), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, log), 0);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(moved, sizeof moved, "%s.%d", path, i);
        assert_int_equal(rename(path, moved), 0);
        assert_int_equal(access_log_set(log, path, &err), 0);
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    access_log_free(log);
    for (int i = -1; i < 5; i++) {
        (void)snprintf(moved, sizeof moved, i < 0 ? "%s" : "%s.%d", path, i);
        count += read_lines(moved, &text);
        for (char *at = text.data; at && *at; at = strchr(at, '\n') + 1)
            assert_memory_equal(at + 24, " info    request id=id1 ", 24);
    }
    assert_int_equal(count, THREADS * LINES);
    buf_free(&text);
}

static void test_settings(void **state)
{
    struct err err = ERR_INIT;
    struct access_log *log = NULL;
    char path[256];
    struct buf text;
    buf_init(&text, MIB);
    (void)snprintf(path, sizeof path, "%s/settings", (const char *)*state);
    assert_int_equal(access_log_new("relative", &log, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "access-log"));
    err = (struct err)ERR_INIT;
    assert_true(access_log_new("/nonexistent/folder/access", &log, &err) < 0);
    assert_non_null(strstr(err.message, "/nonexistent/folder/access"));
    err = (struct err)ERR_INIT;
    assert_int_equal(access_log_new("off", &log, &err), 0);
    access_log_write(log, &sample); /* below the level */
    assert_int_equal(access_log_set(log, path, &err), 0);
    access_log_write(log, &sample);
    assert_true(access_log_set(log, "/nonexistent/folder/access", &err) < 0); /* the old one stays */
    access_log_write(log, &sample);
    assert_int_equal(access_log_set(log, "off", &err), 0);
    access_log_write(log, &sample);
    assert_int_equal(read_lines(path, &text), 2);
    access_log_free(log);
    access_log_free(NULL);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_pipe_holds_nothing_up),
        cmocka_unit_test(test_moved_away),
        cmocka_unit_test(test_settings),
    };
    return cmocka_run_group_tests(tests, fixture_make_folder, fixture_remove_folder);
}
