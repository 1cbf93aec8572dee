#include "daemon/options/options.h"

#include "daemon/base/file.h"
#include "daemon/options/option_value.h"
#include "daemon/options/options_file.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int options_has(const char *name)
{
    return option_find(name) != NULL;
}

int options_takes(const char *argument)
{
    char name[64];
    if (strncmp(argument, "--", 2) != 0)
        return 0;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
    return strcmp(name, "config") == 0 || options_has(name);
}

/* What a word is meant for that stands where an option does. */
static const char *ask_word(const char *name, char question[GUESS_QUESTION_SIZE])
{
    const char *text = option_ask(name, "--", question);
    return text == question ? text : "; a command comes before its options: bifurcated check --config FILE";
}

static int set_defaults(struct options *options, struct err *err)
{
    int code = 0;
    *options = (struct options){0};
    for (size_t i = 0; i < option_row_count && !code; i++)
        code = option_set(options, &option_rows[i], option_rows[i].standard, option_rows[i].name, err);
    return code;
}

/* -- Environment and command line -- */

static void environment_name(const struct option_row *row, char *name, size_t size)
{
    (void)snprintf(name, size, "BIFURCATED_%s", row->name);
    for (char *p = name; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

static int read_environment(struct options *options, struct err *err)
{
    int code = 0;
    for (size_t i = 0; i < option_row_count && !code; i++) {
        char name[64];
        environment_name(&option_rows[i], name, sizeof name);
        const char *value = getenv(name);
        if (value)
            code = option_set(options, &option_rows[i], value, name, err);
    }
    return code;
}

/* The value of argument `*index`, in "--name=value" or as the next argument; NULL if there is none. */
static const char *argument_value(int argc, char **argv, int *index, const char *equals)
{
    if (equals)
        return equals + 1;
    return *index + 1 < argc ? argv[++*index] : NULL;
}

/* Walks the arguments; with `options` NULL only looks for the action and --config. */
static int read_arguments(int argc, char **argv, struct options *options, enum options_action *action,
                          const char **config, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        char name[64];
        const char *equals = strchr(argv[i], '=');
        const char *shown = argv[i];
        if (strcmp(shown, "-h") == 0 || strcmp(shown, "--help") == 0) {
            *action = OPTIONS_ACTION_HELP;
            continue;
        }
        if (strcmp(shown, "-V") == 0 || strcmp(shown, "--version") == 0) {
            *action = OPTIONS_ACTION_VERSION;
            continue;
        }
        if (strcmp(shown, "--print-config") == 0) {
            *action = OPTIONS_ACTION_PRINT_CONFIG;
            continue;
        }
        if (strcmp(shown, "--print-man") == 0) {
            *action = OPTIONS_ACTION_PRINT_MAN;
            continue;
        }
        size_t length = equals ? (size_t)(equals - shown) : strlen(shown);
        (void)snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), shown);
        const struct option_row *row = strncmp(name, "--", 2) == 0 ? option_find(name + 2) : NULL;
        int is_config = strcmp(name, "--config") == 0;
        if (!row && !is_config) {
            char question[GUESS_QUESTION_SIZE];
            if (shown[0] == '-')
                return err_set(err, ERR_INVALID, "%s: there is no such option%s", shown,
                               option_ask(name + strspn(name, "-"), "--", question));
            return err_set(err, ERR_INVALID, "%s: there is no such option or command%s", shown,
                           ask_word(name, question));
        }
        const char *value = argument_value(argc, argv, &i, equals);
        if (!value)
            return err_set(err, ERR_INVALID, "%s: needs a value", name);
        if (is_config)
            *config = value;
        else if (options && option_set(options, row, value, name, err))
            return err->code;
    }
    return 0;
}

static int fill_in_state(struct options *options, struct err *err)
{
    /* Where the data are is said by somebody: HOME, and not the list of users where that is missing. */
    static const char *const places[] = {"$STATE_DIRECTORY", "$XDG_STATE_HOME/bifurcated",
                                         "$HOME/.local/state/bifurcated"};
    if (options->state && options->state[0])
        return 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *path = file_expand(places[i]);
        int code = path && path[0] == '/'
                       ? option_set_text(options, offsetof(struct options, state), path, err)
                       : -1;
        free(path);
        if (!code)
            return 0;
    }
    return err_set(err, ERR_INVALID, "no folder for the database: set --state, XDG_STATE_HOME or HOME");
}

int options_load(int argc, char **argv, struct options *options, enum options_action *ret_action,
                 struct err *err)
{
    enum options_action action = OPTIONS_ACTION_RUN;
    const char *config = getenv("BIFURCATED_CONFIG");
    char *found = NULL;
    int code = set_defaults(options, err);
    if (config && !*config) /* as if it were not set, which a unit or a script cannot always do */
        config = NULL;
    if (!code)
        code = read_arguments(argc, argv, NULL, &action, &config, err);
    if (code || action != OPTIONS_ACTION_RUN)
        goto out;
    if (!config)
        config = found = options_file_find();
    if (config)
        code = options_file_read(options, config, err);
    if (!code)
        code = read_environment(options, err);
    if (!code)
        code = read_arguments(argc, argv, options, &action, &config, err);
    if (!code)
        code = fill_in_state(options, err);
out:
    free(found);
    if (!code)
        *ret_action = action;
    return code;
}

static int values_differ(const struct options *a, const struct options *b, const struct option_row *row)
{
    const char *left = (const char *)a + row->offset, *right = (const char *)b + row->offset;
    if (row->kind == OPTION_KIND_INT || row->kind == OPTION_KIND_BOOL)
        return memcmp(left, right, sizeof(int64_t)) != 0;
    return strcmp(*(char *const *)(const void *)left, *(char *const *)(const void *)right) != 0;
}

int options_reload(int argc, char **argv, struct options *options, char *ignored, size_t ignored_size,
                   struct err *err)
{
    struct options fresh;
    enum options_action action;
    int code = options_load(argc, argv, &fresh, &action, err);
    if (ignored_size)
        ignored[0] = 0;
    for (size_t i = 0; i < option_row_count && !code; i++) {
        const struct option_row *row = &option_rows[i];
        if (!values_differ(options, &fresh, row))
            continue;
        if (row->may_change)
            code = option_set_text(options, row->offset,
                                   *(char *const *)(const void *)((const char *)&fresh + row->offset), err);
        else if (ignored_size && !ignored[0])
            (void)snprintf(ignored, ignored_size, "%s", row->name);
    }
    options_free(&fresh);
    return code;
}

void options_apply_log(const struct options *options)
{
    enum log_level level = LOG_LEVEL_INFO;
    (void)log_parse_level(options->log_level, &level);
    log_configure(level, strcmp(options->log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
}

void options_free(struct options *options)
{
    if (!options)
        return;
    for (size_t i = 0; i < option_row_count; i++) {
        if (option_rows[i].kind == OPTION_KIND_TEXT || option_rows[i].kind == OPTION_KIND_CHOICE)
            free(*(char **)(void *)((char *)options + option_rows[i].offset));
    }
    free(options->config);
    *options = (struct options){0};
} // NOLINT(clang-analyzer-unix.Malloc): it cannot see that the table has every member

int options_parse_listen(const char *listen, char *address, size_t address_size, uint16_t *ret_port,
                         struct err *err)
{
    const char *colon = strrchr(listen, ':');
    size_t length = colon ? (size_t)(colon - listen) : 0;
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    long port = digits > 0 && digits <= 5 && !colon[1 + digits] ? strtol(colon + 1, NULL, 10) : -1;
    /* The address of IPv6 has colons itself, so brackets show where it ends. */
    int has_brackets = length > 2 && listen[0] == '[' && listen[length - 1] == ']';
    const char *start = listen + has_brackets;
    length -= has_brackets ? 2 : 0;
    if (port < 0 || port > 65535 || length == 0 || (!has_brackets && memchr(start, ':', length)) ||
        memchr(start, '[', length) || memchr(start, ']', length))
        return err_set(err, ERR_INVALID,
                       "listen: \"%s\" is not ADDRESS:PORT, such as 127.0.0.1:7143 or [::1]:7143", listen);
    if (length >= address_size)
        return err_set(err, ERR_INVALID, "listen: the address is too long");
    memcpy(address, start, length);
    address[length] = 0;
    *ret_port = (uint16_t)port;
    return 0;
}
