#include "api/client/terminal.h"

#include "daemon/base/utf8.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

size_t client_terminal_width(FILE *stream)
{
    struct winsize size;
    int file = fileno(stream);
    return isatty(file) && ioctl(file, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Of a character of so many bytes; where the locale does not know it, one. */
static size_t columns_of(const char *text, size_t length)
{
    static const unsigned char firsts[] = {0, 0x7f, 0x1f, 0x0f, 0x07}; /* bits of the first byte */
    wchar_t character = (unsigned char)text[0] & firsts[length];
    for (size_t i = 1; i < length; i++)
        character = character << 6 | ((unsigned char)text[i] & 0x3f);
    int columns = wcwidth(character);
    return columns < 0 ? 1 : (size_t)columns;
}

size_t client_terminal_columns(const char *text, int is_terminal)
{
    size_t columns = 0;
    for (size_t left = strlen(text); left;) {
        size_t length = utf8_length(text, left);
        columns += length && is_terminal ? columns_of(text, length) : 1;
        text += length ? length : 1;
        left -= length ? length : 1;
    }
    return columns;
}

size_t client_terminal_fit(const char *text, size_t columns, int is_terminal)
{
    size_t at = 0, size = strlen(text);
    for (size_t length; (length = utf8_length(text + at, size - at)); at += length) {
        size_t own = is_terminal ? columns_of(text + at, length) : 1;
        if (own > columns)
            break;
        columns -= own;
    }
    return at;
}

int client_terminal_can_rewrite(FILE *stream)
{
    const char *kind = getenv("TERM");
    return isatty(fileno(stream)) && kind && kind[0] && strcmp(kind, "dumb") != 0;
}

int client_terminal_shows_utf8(FILE *stream)
{
    return !isatty(fileno(stream)) || strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
