#include "api/client/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

size_t client_terminal_width(FILE *stream)
{
    struct winsize size;
    int file = fileno(stream);
    return isatty(file) && ioctl(file, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
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
