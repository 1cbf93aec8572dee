/* Options from the command line and the environment, what is told of them, and what is taken anew. */
#include "tests/unit/options/fixture.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/command/help.h"

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
    LOAD_FAILS("check: there is no such option or command; a command comes before its options", "--fetchers",
               "1", "check", NULL);
    LOAD_FAILS("--state: \"/data\": write it without the quotes", "--state", "\"/data\"", NULL);
    LOAD_FAILS("--state: '/data': write it without the quotes", "--state='/data'", NULL);
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
        CLEAN(test_state_folder),
        CLEAN(test_help_names_every_option),
        CLEAN(test_table),
        CLEAN(test_reload),
        CLEAN(test_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
