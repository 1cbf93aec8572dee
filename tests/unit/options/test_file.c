/* The file of options: what may stand in it, which one is read, and the one that is shipped. */
#include "tests/unit/options/fixture.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/command/help.h"

static void test_bad_files_are_named(void **state)
{
    const char *path = fixture_path(*state, "b.conf");
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"[queue]\nattempts = 0\n", "b.conf:2: [queue] attempts: \"0\" is not a number from 1 to 100"},
        {"[queue]\nfetches = 1\n",
         "b.conf:2: [queue] fetches: there is no such option; did you mean \"fetchers\"?"},
        {"[hub]\nfetchers = 1\n", "b.conf:2: [hub] fetchers: this option belongs below [queue]"},
        {"fetchers = 1\n", "b.conf:1: fetchers: this option belongs below [queue]"},
        {"[queue]\nfetchers = 1\nwhat is this\n", "b.conf:3: neither"},
        {"[queue\nfetchers = 1\n", "b.conf:1: neither"},
        {"[queue]\nfetchers = 99\nattempts = 0\n", "fetchers"}, /* the first error counts */
        {"[queue]\n  attempts = 0\n", "[queue] attempts: \"0\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fixture_write_text(path, cases[i].text);
        LOAD_FAILS(cases[i].words, "--config", path, NULL);
    }
    fixture_write(path, "[queue]\n\0fetchers = 3\n", 22);
    LOAD_FAILS("is not text", "--config", path, NULL);
    struct options options;
    enum options_action action;
    FAILS(ERR_NOT_FOUND, "absent.conf",
          load(&options, &action, &err, "--config", fixture_path(*state, "absent.conf"), NULL));
    options_free(&options);
    FAILS(ERR_IO, "cannot read", load(&options, &action, &err, "--config", (const char *)*state, NULL));
    options_free(&options);
}

static void test_ways_to_write_a_file(void **state)
{
    const char *path = fixture_path(*state, "b.conf");
    struct options options;
    fixture_write_text(path,
                       "\xef\xbb\xbf# a comment\r\n; another\r\n\r\n[queue]\r\n  fetchers=5\r\n"
                       "\tattempts : 6\n[hub]\nendpoint = http://a:1/#b ; said aside\n[server]\nstate =\n");
    LOAD(&options, "--config", path, NULL);
    assert_int_equal(options.fetchers, 5);
    assert_int_equal(options.attempts, 6);
    assert_string_equal(options.endpoint, "http://a:1/#b");
    assert_string_equal(options.state, fixture_path(*state, ".local/state/bifurcated"));
    options_free(&options);
    fixture_write_text(path, "");
    LOAD(&options, "--config", path, NULL);
    assert_string_equal(options.config, path);
    options_free(&options);
}

/* A value that the parser of the file could not hold whole must not be taken in part. */
static void test_long_lines(void **state)
{
    const char *path = fixture_path(*state, "b.conf");
    struct options options;
    char text[600];
    for (size_t size = 150; size < 400; size++) {
        int head = snprintf(text, sizeof text, "[server]\nstate = /");
        memset(text + head, 'x', size);
        (void)snprintf(text + head + size, sizeof text - (size_t)head - size, "\n[queue]\nfetchers = 9\n");
        size_t line = strlen("state = /") + size;
        fixture_write_text(path, text);
        if (line > 197) {
            LOAD_FAILS("b.conf:2: the line is longer than 197 bytes", "--config", path, NULL);
        } else {
            LOAD(&options, "--config", path, NULL);
            assert_int_equal(strlen(options.state), size + 1);
            assert_int_equal(options.fetchers, 9);
            options_free(&options);
        }
    }
}

static void test_which_file(void **state)
{
    const char *folder = *state;
    struct options options;
    OK(file_make_folders(fixture_path(folder, ".config/bifurcated"), 0700, &err));
    OK(file_make_folders(fixture_path(folder, "xdg/bifurcated"), 0700, &err));
    fixture_write_text(fixture_path(folder, ".config/bifurcated/bifurcated.conf"),
                       "[queue]\nfetchers = 11\n");
    fixture_write_text(fixture_path(folder, "xdg/bifurcated/bifurcated.conf"), "[queue]\nfetchers = 12\n");
    fixture_write_text(fixture_path(folder, "named.conf"), "[queue]\nfetchers = 13\n");
    fixture_write_text(fixture_path(folder, "given.conf"), "[queue]\nfetchers = 14\n");
    LOAD(&options, NULL);
    assert_int_equal(options.fetchers, 11);
    options_free(&options);
    assert_int_equal(setenv("XDG_CONFIG_HOME", fixture_path(folder, "xdg"), 1), 0);
    LOAD(&options, NULL);
    assert_int_equal(options.fetchers, 12);
    options_free(&options);
    assert_int_equal(setenv("BIFURCATED_CONFIG", fixture_path(folder, "named.conf"), 1), 0);
    LOAD(&options, NULL);
    assert_int_equal(options.fetchers, 13);
    options_free(&options);
    LOAD(&options, "--config", fixture_path(folder, "given.conf"), NULL);
    assert_int_equal(options.fetchers, 14);
    options_free(&options);
    assert_int_equal(setenv("BIFURCATED_CONFIG", "", 1), 0);
    LOAD(&options, NULL);
    assert_int_equal(options.fetchers, 12); /* the one that is found */
    options_free(&options);
}

static void print_config(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    help_print_config(file);
    assert_int_equal(fclose(file), 0);
}

static int same_value(const struct options *a, const struct options *b, const struct option_row *row)
{
    const char *left = (const char *)a + row->offset, *right = (const char *)b + row->offset;
    if (row->kind == OPTION_KIND_INT || row->kind == OPTION_KIND_BOOL)
        return memcmp(left, right, sizeof(int64_t)) == 0;
    return strcmp(*(char *const *)(const void *)left, *(char *const *)(const void *)right) == 0;
}

/* The printed file is taken as it is, and with every option uncommented; both give the defaults. */
static void test_printed_file_gives_the_defaults(void **state)
{
    const char *path = fixture_path(*state, "printed.conf"), *active = fixture_path(*state, "active.conf");
    struct buf text, out;
    struct options defaults, commented, uncommented;
    size_t count = 0;
    print_config(path);
    buf_init(&text, 1 * MIB);
    buf_init(&out, 1 * MIB);
    OK(file_read(path, &text, &err));
    for (const char *line = buf_text(&text); *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n");
        assert_true(length <= 80);
        int is_option = line[0] == '#' && line[1] != ' ' && memchr(line, '=', length);
        count += is_option != 0;
        (void)buf_append(&out, line + (is_option ? 1 : 0), length + 1 - (is_option ? 1 : 0));
    }
    assert_int_equal(count, option_row_count);
    fixture_write(active, out.data, out.size);
    LOAD(&defaults, NULL);
    LOAD(&commented, "--config", path, NULL);
    LOAD(&uncommented, "--config", active, NULL);
    for (size_t i = 0; i < option_row_count; i++) {
        if (!same_value(&defaults, &commented, &option_rows[i]) ||
            !same_value(&defaults, &uncommented, &option_rows[i]))
            fail_msg("%s differs", option_rows[i].name);
    }
    options_free(&defaults);
    options_free(&commented);
    options_free(&uncommented);
    buf_free(&text);
    buf_free(&out);
}

static void test_shipped_file_is_the_printed_one(void **state)
{
    const char *path = fixture_path(*state, "printed.conf");
    struct buf printed, shipped;
    buf_init(&printed, 1 * MIB);
    buf_init(&shipped, 1 * MIB);
    print_config(path);
    OK(file_read(path, &printed, &err));
    OK(file_read("deploy/bifurcated.conf", &shipped, &err));
    assert_string_equal(buf_text(&shipped), buf_text(&printed));
    buf_free(&printed);
    buf_free(&shipped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAN(test_bad_files_are_named),
        CLEAN(test_ways_to_write_a_file),
        CLEAN(test_long_lines),
        CLEAN(test_which_file),
        CLEAN(test_printed_file_gives_the_defaults),
        CLEAN(test_shipped_file_is_the_printed_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
