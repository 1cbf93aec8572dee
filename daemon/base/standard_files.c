#include "daemon/base/standard_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int standard_files_reserve(void)
{
    /* The wrong way round, so that using them is an error still: what cannot be shown is not lost in silence.
     */
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (open("/dev/null", modes[fd]) != fd) /* the lowest number that is free, so this one */
            return -1;
    }
    return 0;
}

int standard_files_lost_output(void)
{
    int is_flushed = fflush(stdout) == 0;
    return !is_flushed || ferror(stdout);
}
