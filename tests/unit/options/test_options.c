#include "tests/unit/base/fixture.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/command/help.h"
#include "daemon/options/options.h"
#include "daemon/options/options_table.h"

#include <ctype.h>
#include <sys/stat.h>

/* Nothing of the user's environment or files takes part. */
static int make_clean(void **state)
{
    if (fixture_make_folder(state))
        return -1;
    for (size_t i = 0; i < option_row_count; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "BIFURCATED_%s", option_rows[i].name);
        for (char *p = name; *p; p++)
            *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
        (void)unsetenv(name);
    }
    (void)unsetenv("BIFURCATED_CONFIG");
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("XDG_STATE_HOME");
    (void)unsetenv("XDG_CONFIG_HOME");
    return setenv("HOME", *state, 1);
}

#define ARGUMENTS_MAX 16

/* options_load with the arguments up to NULL. */
static int load(struct options *options, enum options_action *action, struct err *err, const char *first, ...)
{
    char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t) "bifurcated"};
    int argc = 1;
    va_list rest;
    va_start(rest, first);
    for (const char *text = first; text; text = va_arg(rest, const char *)) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = (char *)(uintptr_t)text;
    }
    va_end(rest);
    return options_load(argc, argv, options, action, err);
}

#define LOAD(options, ...)                                                                                   \
    do {                                                                                                     \
        enum options_action action_ = OPTIONS_ACTION_HELP;                                                   \
        OK(load(options, &action_, &err, __VA_ARGS__));                                                      \
        assert_int_equal(action_, OPTIONS_ACTION_RUN);                                                       \
    } while (0)

#define LOAD_FAILS(words, ...)                                                                               \
    do {                                                                                                     \
        struct options options_;                                                                             \
        enum options_action action_ = OPTIONS_ACTION_RUN;                                                    \
        FAILS(ERR_INVALID, words, load(&options_, &action_, &err, __VA_ARGS__));                             \
        options_free(&options_);                                                                             \
    } while (0)

static void test_defaults(void **state)
{
    struct options options;
    LOAD(&options, NULL);
    assert_string_equal(options.listen, "127.0.0.1:7143");
    assert_string_equal(options.keep, "nothing");
    assert_string_equal(options.device, "auto");
    assert_string_equal(options.log_level, "info");
    assert_int_equal(options.fetchers, 3);
    assert_int_equal(options.offline, 0);
    assert_int_equal(options.request_budget, 2500);
    assert_null(options.config);
    assert_string_equal(options.state, fixture_path(*state, ".local/state/bifurcated"));
    options_free(&options);
    options_free(&options);
    options_free(NULL);
}

static void test_precedence(void **state)
{
    const char *path = fixture_path(*state, "b.conf");
    struct options options;
    fixture_write_text(path, "[queue]\nfetchers = 5\nattempts = 6\nmemory-mb = 7\n");
    assert_int_equal(setenv("BIFURCATED_ATTEMPTS", "16", 1), 0);
    assert_int_equal(setenv("BIFURCATED_MEMORY_MB", "17", 1), 0);
    LOAD(&options, "--config", path, "--memory-mb", "27", NULL);
    assert_int_equal(options.retry_delay_s, 5); /* default */
    assert_int_equal(options.fetchers, 5);      /* file */
    assert_int_equal(options.attempts, 16);     /* environment over file */
    assert_int_equal(options.memory_mb, 27);    /* command line over environment and file */
    assert_string_equal(options.config, path);
    options_free(&options);
}

static void test_forms_of_arguments(void **state)
{
    (void)state;
    struct options options;
    LOAD(&options, "--fetchers=7", "--keep", "files", "--offline", "yes", "--endpoint=http://h/?a=b",
         "--fetchers", "8", "--token-file=", NULL);
    assert_int_equal(options.fetchers, 8); /* the last one counts */
    assert_string_equal(options.keep, "files");
    assert_int_equal(options.offline, 1);
    assert_string_equal(options.endpoint, "http://h/?a=b");
    assert_string_equal(options.token_file, "");
    options_free(&options);
}

static void test_booleans(void **state)
{
    (void)state;
    static const char *const yes[] = {"yes", "true", "on", "1", "YES", "True"};
    static const char *const no[] = {"no", "false", "off", "0", ""};
    struct options options;
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        LOAD(&options, "--offline", yes[i], NULL);
        assert_int_equal(options.offline, 1);
        options_free(&options);
    }
    for (size_t i = 0; i < COUNT_OF(no); i++) {
        LOAD(&options, "--offline", no[i], NULL);
        assert_int_equal(options.offline, 0);
        options_free(&options);
    }
    LOAD_FAILS("--offline: \"maybe\" is neither yes nor no", "--offline", "maybe", NULL);
}

static void test_actions(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        enum options_action action;
    } cases[] = {
        {"--help", OPTIONS_ACTION_HELP},
        {"-h", OPTIONS_ACTION_HELP},
        {"--version", OPTIONS_ACTION_VERSION},
        {"-V", OPTIONS_ACTION_VERSION},
        {"--print-config", OPTIONS_ACTION_PRINT_CONFIG},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        enum options_action action = OPTIONS_ACTION_RUN;
        OK(load(&options, &action, &err, "--fetchers", "9", cases[i].argument, NULL));
        assert_int_equal(action, cases[i].action);
        options_free(&options);
    }
}

static void test_bad_arguments_are_named(void **state)
{
    (void)state;
    char value[LIMIT_OPTION_VALUE_BYTES + 2];
    struct options options;
    enum options_action action;
    LOAD_FAILS("--nonsense: there is no such option", "--nonsense", "1", NULL);
    LOAD_FAILS("--nonsense=1: there is no such option", "--nonsense=1", NULL);
    LOAD_FAILS("fetchers: there is no such option or command; did you mean \"--fetchers\"?", "fetchers", "1",
               NULL);
    LOAD_FAILS("--fetcher=1: there is no such option; did you mean \"--fetchers\"?", "--fetcher=1", NULL);
    LOAD_FAILS("--nonsense: there is no such option; see bifurcated --help", "--nonsense", NULL);
    LOAD_FAILS("-f: there is no such option", "-f", NULL);
    LOAD_FAILS("there is no such option", "--", NULL);
    LOAD_FAILS("there is no such option", "", NULL);
    LOAD_FAILS("there is no such option", "--Fetchers", "3", NULL);
    LOAD_FAILS("--fetchers: needs a value", "--fetchers", NULL);
    LOAD_FAILS("--config: needs a value", "--config", NULL);
    LOAD_FAILS("--attempts: \"0\" is not a number from 1 to 100", "--attempts", "0", NULL);
    LOAD_FAILS("--fetchers: \"65\" is not a number from 0 to 64", "--fetchers", "65", NULL);
    LOAD_FAILS("--fetchers: \"-1\" is not", "--fetchers", "-1", NULL);
    LOAD_FAILS("--fetchers: \"3x\" is not", "--fetchers", "3x", NULL);
    LOAD_FAILS("--fetchers: \"3.0\" is not", "--fetchers=3.0", NULL);
    LOAD_FAILS("--fetchers: \"\" is not", "--fetchers=", NULL);
    LOAD_FAILS("--fetchers: \"99999999999999999999\" is not", "--fetchers", "99999999999999999999", NULL);
    LOAD_FAILS("--keep: \"all\" is not one of nothing|ranges|files", "--keep", "all", NULL);
    LOAD_FAILS("--keep: \"\" is not one of", "--keep=", NULL);
    LOAD_FAILS("--keep: \"noth\" is not one of", "--keep", "noth", NULL);
    LOAD_FAILS("--keep: \"nothing|files\" is not one of", "--keep", "nothing|files", NULL);
    LOAD_FAILS("--cors-origin: \"a.example\" is the origin of no page: write https://HOST", "--cors-origin",
               "https://b.example, a.example", NULL);
    LOAD_FAILS("--cors-origin: \"https://a.example/\" is the origin", "--cors-origin=https://a.example/",
               NULL);
    LOAD_FAILS("--cors-origin: \"null\" is the origin", "--cors-origin=null", NULL);
    LOAD_FAILS("--cors-origin: * stands for all origins, and alone", "--cors-origin", "https://a.example *",
               NULL);
    LOAD(&options, "--cors-origin", " https://a.example,https://b.example:8443 ", NULL);
    options_free(&options);
    LOAD(&options, "--cors-origin=*", NULL);
    options_free(&options);
    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = 0;
    FAILS(ERR_LIMIT, "--state: longer than", load(&options, &action, &err, "--state", value, NULL));
    options_free(&options);
    value[LIMIT_OPTION_VALUE_BYTES] = 0;
    LOAD(&options, "--state", value, NULL);
    options_free(&options);
}

static void test_bad_environment_is_named(void **state)
{
    (void)state;
    assert_int_equal(setenv("BIFURCATED_LOG_LEVEL", "loud", 1), 0);
    LOAD_FAILS("BIFURCATED_LOG_LEVEL: \"loud\" is not one of debug|info|warning|error", NULL);
    /* A bad value is bad also where the command line sets another. */
    LOAD_FAILS("BIFURCATED_LOG_LEVEL", "--log-level", "info", NULL);
}

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
        {"fetchers = 1\n", "b.conf:1: [] fetchers: this option belongs below [queue]"},
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
}

static void test_state_folder(void **state)
{
    (void)state;
    struct options options;
    assert_int_equal(setenv("XDG_STATE_HOME", "/xdg", 1), 0);
    LOAD(&options, NULL);
    assert_string_equal(options.state, "/xdg/bifurcated");
    options_free(&options);
    assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/bifurcated", 1), 0);
    LOAD(&options, NULL);
    assert_string_equal(options.state, "/var/lib/bifurcated");
    options_free(&options);
    LOAD(&options, "--state", "relative", NULL);
    assert_string_equal(options.state, "relative");
    options_free(&options);
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("XDG_STATE_HOME");
    (void)unsetenv("HOME");
    LOAD_FAILS("set --state", NULL);
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

static void test_help_names_every_option(void **state)
{
    const char *path = fixture_path(*state, "help");
    struct buf text;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    help_print(file);
    assert_int_equal(fclose(file), 0);
    buf_init(&text, 1 * MIB);
    OK(file_read(path, &text, &err));
    for (size_t i = 0; i < option_row_count; i++) {
        char words[128];
        (void)snprintf(words, sizeof words, "  --%s %s", option_rows[i].name, option_rows[i].value_name);
        if (!strstr(buf_text(&text), words))
            fail_msg("--help lacks %s", words);
    }
    buf_free(&text);
}

/* Two rows for one member, or one name twice, would be a slip of the table. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_row_count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(option_rows[i].name, option_rows[j].name);
            assert_int_not_equal(option_rows[i].offset, option_rows[j].offset);
        }
    }
}

static int reload(const char *path, struct options *options, char *ignored, struct err *err)
{
    char *argv[] = {(char *)(uintptr_t) "bifurcated", (char *)(uintptr_t) "--config",
                    (char *)(uintptr_t)path};
    return options_reload(3, argv, options, ignored, 64, err);
}

static void test_reload(void **state)
{
    const char *path = fixture_path(*state, "b.conf");
    struct options options;
    char ignored[64];
    fixture_write_text(path, "[log]\nlog-level = info\n[queue]\nfetchers = 5\n");
    LOAD(&options, "--config", path, NULL);
    OK(reload(path, &options, ignored, &err));
    assert_string_equal(ignored, "");

    fixture_write_text(path, "[log]\nlog-level = debug\nlog-format = json\n[queue]\nfetchers = 5\n");
    OK(reload(path, &options, ignored, &err));
    assert_string_equal(options.log_level, "debug");
    assert_string_equal(options.log_format, "json");
    assert_string_equal(ignored, "");

    fixture_write_text(path,
                       "[log]\nlog-level = warning\n[queue]\nfetchers = 6\n[server]\nlisten = [::1]:1\n");
    OK(reload(path, &options, ignored, &err));
    assert_string_equal(options.log_level, "warning");
    assert_string_equal(options.log_format, "text");
    assert_int_equal(options.fetchers, 5); /* needs a restart, and is named: */
    assert_string_equal(options.listen, "127.0.0.1:7143");
    assert_string_equal(ignored, "listen");

    fixture_write_text(path, "[log]\nlog-level = loud\n");
    FAILS(ERR_INVALID, "log-level", reload(path, &options, ignored, &err));
    assert_string_equal(options.log_level, "warning");
    assert_int_equal(remove(path), 0);
    FAILS(ERR_NOT_FOUND, "b.conf", reload(path, &options, ignored, &err));
    assert_string_equal(options.log_level, "warning");
    options_free(&options);
}

static void test_listen(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *address;
        uint16_t port;
    } good[] = {
        {"127.0.0.1:7143", "127.0.0.1", 7143}, {"127.0.0.1:0", "127.0.0.1", 0}, {"[::1]:65535", "::1", 65535},
        {"localhost:80", "localhost", 80},     {"0.0.0.0:1", "0.0.0.0", 1},
    };
    static const char *const bad[] = {
        "",      "7143",  ":7143", "127.0.0.1", "127.0.0.1:", "a:65536", "a:-1",    "a: 80",
        "a:80x", "a:+80", "[]:80", "::1:80",    "[::1]",      "[::1:80", "::1]:80", "a:99999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        char address[64];
        uint16_t port = 1;
        OK(options_parse_listen(good[i].listen, address, sizeof address, &port, &err));
        assert_string_equal(address, good[i].address);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char address[64] = "kept";
        uint16_t port = 1;
        struct err err = ERR_INIT;
        if (options_parse_listen(bad[i], address, sizeof address, &port, &err) != ERR_INVALID)
            fail_msg("\"%s\" is taken: address %s port %d", bad[i], address, port);
        assert_string_equal(address, "kept");
    }
    char address[8];
    uint16_t port = 0;
    OK(options_parse_listen("1234567:1", address, sizeof address, &port, &err));
    FAILS(ERR_INVALID, "too long", options_parse_listen("12345678:1", address, sizeof address, &port, &err));
}

#define CLEAN(test) cmocka_unit_test_setup_teardown(test, make_clean, fixture_remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAN(test_defaults),
        CLEAN(test_precedence),
        CLEAN(test_forms_of_arguments),
        CLEAN(test_booleans),
        CLEAN(test_actions),
        CLEAN(test_bad_arguments_are_named),
        CLEAN(test_bad_environment_is_named),
        CLEAN(test_bad_files_are_named),
        CLEAN(test_ways_to_write_a_file),
        CLEAN(test_long_lines),
        CLEAN(test_which_file),
        CLEAN(test_state_folder),
        CLEAN(test_printed_file_gives_the_defaults),
        CLEAN(test_shipped_file_is_the_printed_one),
        CLEAN(test_help_names_every_option),
        CLEAN(test_table),
        CLEAN(test_reload),
        CLEAN(test_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
