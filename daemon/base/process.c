#include "daemon/base/process.h"

#include "daemon/base/clock.h"
#include "daemon/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLICE_MS 100 /* how late a cancellation may be noticed */
#define CHUNK_BYTES 4096

enum { PIPE_INPUT, PIPE_OUTPUT, PIPE_ERRORS, PIPE_START, PIPE_COUNT };

struct running {
    const struct process *process;
    struct process_end *end;
    pid_t child;
    int fds[PIPE_COUNT]; /* our ends; -1 once closed */
    size_t written;      /* of the input */
};

void process_end_init(struct process_end *end, size_t output_bytes_max, size_t errors_bytes_max)
{
    *end = (struct process_end){0};
    buf_init(&end->output, output_bytes_max);
    buf_init(&end->errors, errors_bytes_max);
}

void process_end_free(struct process_end *end)
{
    buf_free(&end->output);
    buf_free(&end->errors);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* -- Start ----------------------------------------------------------------------------------------------- */

static int is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* The program's path as a new string, or NULL if PATH has none. */
static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/'))
        return is_program(name) ? strdup(name) : NULL;
    for (const char *p = path ? path : "/usr/local/bin:/usr/bin:/bin"; *p;) {
        size_t length = strcspn(p, ":");
        char *folder = strndup(p, length);
        char *found = folder && length ? file_join(folder, name) : NULL;
        free(folder);
        if (found && is_program(found))
            return found;
        free(found);
        p += length + (p[length] == ':');
    }
    return NULL;
}

/* In the child, whose list of variables is its own. */
static void leave_out(const char *prefix)
{
    char **kept = environ;
    for (char **variable = environ; *variable; variable++) {
        if (strncmp(*variable, prefix, strlen(prefix)) != 0)
            *kept++ = *variable;
    }
    *kept = NULL;
}

/* In the child, between fork and exec: only calls that are safe there. */
static void become(const char *path, const struct process *process, const int *theirs, pid_t parent)
{
    char *const *arguments = (char *const *)(const void *)process->arguments;
    sigset_t none;
    if (process->without && environ)
        leave_out(process->without);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    for (int signal_number = 1; signal_number < 32; signal_number++)
        (void)signal(signal_number, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int is_ready = dup2(theirs[PIPE_INPUT], STDIN_FILENO) >= 0 &&
                   dup2(theirs[PIPE_OUTPUT], STDOUT_FILENO) >= 0 &&
                   dup2(theirs[PIPE_ERRORS], STDERR_FILENO) >= 0;
    /* Libraries open files without O_CLOEXEC: libcurl its connections. */
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    if (is_ready)
        (void)execve(path, arguments, environ);
    int reason = errno;
    ssize_t told = write(theirs[PIPE_START], &reason, sizeof reason);
    (void)told;
    _exit(127);
}

/* Exec closes all ends; dup2 makes the three that stay. */
static int open_pipes(int *ours, int *theirs, struct err *err)
{
    for (int i = 0; i < PIPE_COUNT; i++)
        ours[i] = theirs[i] = -1;
    for (int i = 0; i < PIPE_COUNT; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            return err_set_errno(err, errno, "cannot make a pipe");
        int reads = i != PIPE_INPUT; /* we read all but the input */
        ours[i] = ends[reads ? 0 : 1];
        theirs[i] = ends[reads ? 1 : 0];
    }
    return 0;
}

/* Nothing comes through the last pipe if exec worked, else errno does. */
static int check_start(struct running *running, struct err *err)
{
    int reason = 0;
    ssize_t size;
    do
        size = read(running->fds[PIPE_START], &reason, sizeof reason);
    while (size < 0 && errno == EINTR);
    close_fd(&running->fds[PIPE_START]);
    if (size != (ssize_t)sizeof reason)
        return 0;
    (void)waitpid(running->child, NULL, 0);
    return err_set_errno(err, reason, "%s: cannot be started", running->process->arguments[0]);
}

static int start(struct running *running, struct err *err)
{
    const char *name = running->process->arguments[0];
    int theirs[PIPE_COUNT];
    char *path = find_program(name);
    if (!path) {
        for (int i = 0; i < PIPE_COUNT; i++)
            running->fds[i] = -1;
        return err_set(err, ERR_NOT_FOUND, "%s: there is no such program in PATH", name);
    }
    int code = open_pipes(running->fds, theirs, err);
    if (!code) {
        pid_t parent = getpid();
        running->child = fork();
        if (running->child == 0)
            become(path, running->process, theirs, parent);
        if (running->child < 0)
            code = err_set_errno(err, errno, "%s: cannot be started", name);
    }
    for (int i = 0; i < PIPE_COUNT; i++)
        close_fd(&theirs[i]);
    free(path);
    return code ? code : check_start(running, err);
}

/* -- Talk ------------------------------------------------------------------------------------------------ */

static void write_input(struct running *running)
{
    const char *input = running->process->input ? running->process->input : "";
    size_t left = strlen(input) - running->written;
    ssize_t size = left ? write(running->fds[PIPE_INPUT], input + running->written, left) : 0;
    if (size > 0)
        running->written += (size_t)size;
    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (size < 0 || running->written == strlen(input)) /* it does not have to read all */
        close_fd(&running->fds[PIPE_INPUT]);
}

static void read_text(int *fd, struct buf *text)
{
    char chunk[CHUNK_BYTES];
    ssize_t size = read(*fd, chunk, sizeof chunk);
    if (size > 0)
        (void)buf_append(text, chunk, (size_t)size);
    else if (size == 0 || (errno != EINTR && errno != EAGAIN))
        close_fd(fd);
}

/* As read_text, and keeps the beginning of what is too long. */
static void read_errors(int *fd, struct buf *text)
{
    char chunk[CHUNK_BYTES];
    ssize_t size = read(*fd, chunk, sizeof chunk);
    size_t room = text->max - text->size;
    if (size > 0)
        (void)buf_append(text, chunk, (size_t)size < room ? (size_t)size : room);
    else if (size == 0 || (errno != EINTR && errno != EAGAIN))
        close_fd(fd);
}

/* Moves bytes until both outputs are closed. */
static int talk(struct running *running, int64_t deadline, struct err *err)
{
    const char *name = running->process->arguments[0];
    while (running->fds[PIPE_OUTPUT] >= 0 || running->fds[PIPE_ERRORS] >= 0) {
        struct pollfd ready[3] = {{.fd = running->fds[PIPE_INPUT], .events = POLLOUT},
                                  {.fd = running->fds[PIPE_OUTPUT], .events = POLLIN},
                                  {.fd = running->fds[PIPE_ERRORS], .events = POLLIN}};
        if (clock_monotonic_ms() >= deadline)
            return err_set(err, ERR_TIMEOUT, "%s: no end within %lld s", name,
                           (long long)(running->process->timeout_ms / 1000));
        if (running->process->cancel && atomic_load(running->process->cancel))
            return err_set(err, ERR_CANCELLED, "%s: cancelled", name);
        if (poll(ready, 3, SLICE_MS) <= 0)
            continue;
        if (ready[0].revents)
            write_input(running);
        if (ready[1].revents)
            read_text(&running->fds[PIPE_OUTPUT], &running->end->output);
        if (ready[2].revents)
            read_errors(&running->fds[PIPE_ERRORS], &running->end->errors);
        if (running->end->output.failed)
            return buf_check(&running->end->output, name, err);
    }
    return 0;
}

/* It has closed its outputs, which is nearly always its end. */
static int wait_end(struct running *running, int64_t deadline, int *ret_status, struct err *err)
{
    int64_t pause_ms = 1;
    for (;;) {
        pid_t ended = waitpid(running->child, ret_status, WNOHANG);
        if (ended == running->child)
            return 0;
        if (ended < 0 && errno != EINTR)
            return err_set_errno(err, errno, "%s: cannot be waited for", running->process->arguments[0]);
        if (clock_monotonic_ms() >= deadline)
            return err_set(err, ERR_TIMEOUT, "%s: no end within %lld s", running->process->arguments[0],
                           (long long)(running->process->timeout_ms / 1000));
        clock_sleep_ms(pause_ms);
        pause_ms = pause_ms < SLICE_MS ? pause_ms * 2 : SLICE_MS;
    }
}

int process_run(const struct process *process, struct process_end *end, struct err *err)
{
    struct running running = {.process = process, .end = end};
    int64_t deadline = clock_monotonic_ms() + process->timeout_ms;
    int status = 0;
    int code = start(&running, err);
    if (!code) {
        (void)fcntl(running.fds[PIPE_INPUT], F_SETFL, O_NONBLOCK); /* it need not read all before it writes */
        code = talk(&running, deadline, err);
        if (!code)
            code = wait_end(&running, deadline, &status, err);
        if (code) {
            (void)kill(-running.child, SIGKILL);
            (void)kill(running.child, SIGKILL); /* before it has its own group */
            (void)waitpid(running.child, NULL, 0);
        }
    }
    for (int i = 0; i < PIPE_COUNT; i++)
        close_fd(&running.fds[i]);
    if (!code)
        end->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code;
}
