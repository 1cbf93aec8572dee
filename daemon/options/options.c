#include "daemon/options/options.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/guess.h"
#include "daemon/base/limits.h"
#include "daemon/options/options_table.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define INI_BYTES_MAX (1 * MIB)
#define INI_LINE_BYTES_MAX 197 /* INI_MAX_LINE less the end of the line */

static const struct option_row *find_row(const char *name)
{
    for (size_t i = 0; i < option_row_count; i++) {
        if (strcmp(option_rows[i].name, name) == 0)
            return &option_rows[i];
    }
    return NULL;
}

int options_has(const char *name)
{
    return find_row(name) != NULL;
}

int options_takes(const char *argument)
{
    char name[64];
    if (strncmp(argument, "--", 2) != 0)
        return 0;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
    return strcmp(name, "config") == 0 || options_has(name);
}

/* What the name of an option that does not exist is meant for, else where the names are. */
static const char *ask_name(const char *name, const char *prefix, char question[GUESS_QUESTION_SIZE])
{
    struct guess guess;
    guess_init(&guess, name);
    for (size_t i = 0; i < option_row_count; i++)
        guess_offer(&guess, option_rows[i].name);
    return guess.name ? guess_ask(&guess, prefix, question) : "; see bifurcated --help";
}

/* The same of a word that stands where an option does. */
static const char *ask_word(const char *name, char question[GUESS_QUESTION_SIZE])
{
    const char *text = ask_name(name, "--", question);
    return text == question ? text : "; a command comes before its options: bifurcated check --config FILE";
}

static int is_choice(const char *choices, const char *value)
{
    size_t size = strlen(value);
    for (const char *p = choices; size;) {
        size_t length = strcspn(p, "|");
        if (length == size && strncmp(p, value, size) == 0)
            return 1;
        if (!p[length])
            return 0;
        p += length + 1;
    }
    return 0;
}

static int parse_bool(const char *value, int64_t *ret_value)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0", ""};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(value, yes[i]) == 0) {
            *ret_value = 1;
            return 1;
        }
    }
    for (size_t i = 0; i < 5; i++) {
        if (strcasecmp(value, no[i]) == 0) {
            *ret_value = 0;
            return 1;
        }
    }
    return 0;
}

static int set_text(struct options *options, size_t offset, const char *value, struct err *err)
{
    char **member = (char **)(void *)((char *)options + offset);
    char *copy = strdup(value);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "options: out of memory");
    free(*member);
    *member = copy;
    return 0;
}

/* Where no shell reads the value (a configuration, docker --env-file), quotes would be part of it: of the
 * name of a folder. */
static int is_quoted(const char *value)
{
    const size_t size = strlen(value);
    return size > 1 && (value[0] == '"' || value[0] == '\'') && value[size - 1] == value[0];
}

/* Checks and stores one value; `where` says who gave it ("--listen", "BIFURCATED_LISTEN", "file.conf:12"). */
static int set_value(struct options *options, const struct option_row *row, const char *value,
                     const char *where, struct err *err)
{
    int64_t number = 0;
    char *end = NULL;
    if (strlen(value) > LIMIT_OPTION_VALUE_BYTES)
        return err_set(err, ERR_LIMIT, "%s: longer than %d bytes", where, LIMIT_OPTION_VALUE_BYTES);
    if (is_quoted(value))
        return err_set(err, ERR_INVALID, "%s: %s: write it without the quotes", where, value);
    switch (row->kind) {
    case OPTION_KIND_CHOICE:
        if (!is_choice(row->choices, value))
            return err_set(err, ERR_INVALID, "%s: \"%s\" is not one of %s", where, value, row->choices);
        return set_text(options, row->offset, value, err);
    case OPTION_KIND_TEXT:
        if (row->check && row->check(value, err))
            return err_wrap(err, "%s", where);
        return set_text(options, row->offset, value, err);
    case OPTION_KIND_BOOL:
        if (!parse_bool(value, &number))
            return err_set(err, ERR_INVALID, "%s: \"%s\" is neither yes nor no", where, value);
        break;
    case OPTION_KIND_INT:
        errno = 0;
        number = strtoll(value, &end, 10);
        if (end == value || *end || errno || number < row->minimum || number > row->maximum)
            return err_set(err, ERR_INVALID, "%s: \"%s\" is not a number from %" PRId64 " to %" PRId64, where,
                           value, row->minimum, row->maximum);
        break;
    }
    *(int64_t *)(void *)((char *)options + row->offset) = number;
    return 0;
}

static int set_defaults(struct options *options, struct err *err)
{
    int code = 0;
    *options = (struct options){0};
    for (size_t i = 0; i < option_row_count && !code; i++)
        code = set_value(options, &option_rows[i], option_rows[i].standard, option_rows[i].name, err);
    return code;
}

/* -- The INI file -- */

struct ini_context {
    struct options *options;
    const char *path;
    const char *rest;  /* of the text */
    int line;          /* the one that was handed out last */
    int failed_line;   /* of the first bad value */
    int too_long_line; /* the first one that is too long */
    struct err *err;
};

static int take_ini_value(void *context, const char *section, const char *name, const char *value)
{
    struct ini_context *ini = context;
    const struct option_row *row = find_row(name);
    char where[512], question[GUESS_QUESTION_SIZE];
    if (ini->err->code)
        return 1; /* the first error counts; inih goes on to the end */
    (void)snprintf(where, sizeof where, "%s:%d: %s%s%s%s", ini->path, ini->line, section[0] ? "[" : "",
                   section, section[0] ? "] " : "", name);
    if (!row)
        (void)err_set(ini->err, ERR_INVALID, "%s: there is no such option%s", where,
                      ask_name(name, "", question));
    else if (strcmp(row->section, section) != 0)
        (void)err_set(ini->err, ERR_INVALID, "%s: this option belongs below [%s]", where, row->section);
    else
        (void)set_value(ini->options, row, value, where, ini->err);
    if (ini->err->code)
        ini->failed_line = ini->line;
    return 1;
}

/* Hands inih a line as fgets does, without the blanks before it: inih takes an indented line for more of the
 * value before it, but here every option has its own line. A line that does not fit is not handed on in
 * pieces. */
static char *read_ini_line(char *line, int size, void *stream)
{
    struct ini_context *ini = stream;
    if (!*ini->rest)
        return NULL;
    ini->line++;
    ini->rest += strspn(ini->rest, " \t");
    size_t length = strcspn(ini->rest, "\n");
    size_t taken = length;
    if (length > INI_LINE_BYTES_MAX || length + 2 > (size_t)size) {
        if (!ini->too_long_line)
            ini->too_long_line = ini->line;
        taken = 0;
    }
    memcpy(line, ini->rest, taken);
    memcpy(line + taken, "\n", 2);
    ini->rest += length + (ini->rest[length] == '\n');
    return line;
}

static int read_file(struct options *options, const char *path, struct err *err)
{
    struct ini_context ini = {.options = options, .path = path, .err = err};
    struct buf text;
    buf_init(&text, INI_BYTES_MAX);
    int code = file_read_any(path, &text, err);
    if (!code && memchr(buf_text(&text), 0, text.size))
        code = err_set(err, ERR_INVALID, "%s: is not text", path);
    if (code) {
        buf_free(&text);
        return err_wrap(err, "configuration");
    }
    ini.rest = buf_text(&text);
    int bad_line = ini_parse_stream(read_ini_line, &ini, take_ini_value, &ini);
    buf_free(&text);
    if (bad_line < 0)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
    if (ini.too_long_line && (!ini.failed_line || ini.too_long_line < ini.failed_line))
        return err_set(err, ERR_INVALID, "%s:%d: the line is longer than %d bytes", path, ini.too_long_line,
                       INI_LINE_BYTES_MAX);
    if (bad_line > 0 && (!ini.failed_line || bad_line < ini.failed_line))
        return err_set(err, ERR_INVALID, "%s:%d: neither [section], name = value nor a comment", path,
                       bad_line);
    if (err->code)
        return err->code;
    return set_text(options, offsetof(struct options, config), path, err);
}

/* The file that is read without being named: the system's, or the user's. NULL if there is none. */
static char *find_file(void)
{
    static const char *const places[] = {"$XDG_CONFIG_HOME/bifurcated/bifurcated.conf",
                                         "~/.config/bifurcated/bifurcated.conf",
                                         "/etc/bifurcated/bifurcated.conf"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *path = file_expand(places[i]);
        if (path && path[0] == '/' && file_exists(path))
            return path;
        free(path);
    }
    return NULL;
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
            code = set_value(options, &option_rows[i], value, name, err);
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
        const struct option_row *row = strncmp(name, "--", 2) == 0 ? find_row(name + 2) : NULL;
        int is_config = strcmp(name, "--config") == 0;
        if (!row && !is_config) {
            char question[GUESS_QUESTION_SIZE];
            if (shown[0] == '-')
                return err_set(err, ERR_INVALID, "%s: there is no such option%s", shown,
                               ask_name(name + strspn(name, "-"), "--", question));
            return err_set(err, ERR_INVALID, "%s: there is no such option or command%s", shown,
                           ask_word(name, question));
        }
        const char *value = argument_value(argc, argv, &i, equals);
        if (!value)
            return err_set(err, ERR_INVALID, "%s: needs a value", name);
        if (is_config)
            *config = value;
        else if (options && set_value(options, row, value, name, err))
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
        int code =
            path && path[0] == '/' ? set_text(options, offsetof(struct options, state), path, err) : -1;
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
    if (!code)
        code = read_arguments(argc, argv, NULL, &action, &config, err);
    if (code || action != OPTIONS_ACTION_RUN)
        goto out;
    if (!config)
        config = found = find_file();
    if (config)
        code = read_file(options, config, err);
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
            code = set_text(options, row->offset,
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
