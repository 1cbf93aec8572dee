#include "daemon/options/options_file.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/options/option_value.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>

#define INI_BYTES_MAX (1 * MIB)
#define INI_LINE_BYTES_MAX 197 /* INI_MAX_LINE less the end of the line */

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
    const struct option_row *row = option_find(name);
    char where[512], question[GUESS_QUESTION_SIZE];
    if (ini->err->code)
        return 1; /* the first error counts; inih goes on to the end */
    (void)snprintf(where, sizeof where, "%s:%d: %s%s%s%s", ini->path, ini->line, section[0] ? "[" : "",
                   section, section[0] ? "] " : "", name);
    if (!row)
        (void)err_set(ini->err, ERR_INVALID, "%s: there is no such option%s", where,
                      option_ask(name, "", question));
    else if (strcmp(row->section, section) != 0)
        (void)err_set(ini->err, ERR_INVALID, "%s: this option belongs below [%s]", where, row->section);
    else
        (void)option_set(ini->options, row, value, where, ini->err);
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

int options_file_read(struct options *options, const char *path, struct err *err)
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
    return option_set_text(options, offsetof(struct options, config), path, err);
}

char *options_file_find(void)
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
