#include "daemon/command/check.h"

#include "daemon/base/clock.h"
#include "daemon/base/utf8.h"
#include "daemon/options/stray_variable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void check_add(struct check_report *report, enum check_level level, const char *subject, const char *format,
               ...)
{
    va_list rest;
    if (report->count == CHECK_FINDINGS_MAX)
        return;
    struct check_finding *finding = &report->findings[report->count++];
    finding->level = level;
    finding->subject = subject;
    va_start(rest, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, rest);
    va_end(rest);
    utf8_make_printable(finding->text); /* a path is any bytes, and JSON is UTF-8 */
}

static void check_configuration(const struct options *options, struct check_report *report)
{
    static const char subject[] = "configuration";
    char stray[ERR_MESSAGE_BYTES];
    struct stat info;
    if (options->config)
        check_add(report, CHECK_LEVEL_OK, subject, "%s was read", options->config);
    else
        check_add(report, CHECK_LEVEL_OK, subject,
                  "no file; every option is at its default or from the "
                  "environment and the command line");
    stray_variable_find(stray, sizeof stray);
    if (stray[0])
        check_add(report, CHECK_LEVEL_WARNING, subject, "%s", stray);
    if (!options->token_file[0])
        return;
    if (access(options->token_file, R_OK) || stat(options->token_file, &info))
        check_add(report, CHECK_LEVEL_ERROR, subject,
                  "token-file %s cannot be read: make it readable for the "
                  "daemon's user",
                  options->token_file);
    else if (!S_ISREG(info.st_mode))
        check_add(report, CHECK_LEVEL_ERROR, subject, "token-file %s is not a regular file: name one",
                  options->token_file);
    else if (info.st_mode & 0007)
        check_add(report, CHECK_LEVEL_WARNING, subject, "token-file %s is open to every user: chmod o= %s",
                  options->token_file, options->token_file);
}

/* 0 if the file, or the one that is to be made, can be opened for append; else errno. Nothing is made. */
static int try_append(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0) {
        (void)close(fd);
        return 0;
    }
    if (errno != ENOENT)
        return errno;
    char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    int fault = slash ? 0 : ENOMEM;
    if (slash) {
        slash[slash == folder] = '\0';
        fault = faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) ? errno : 0;
    }
    free(folder);
    return fault;
}

static void check_access_log(const struct options *options, struct check_report *report)
{
    static const char subject[] = "access log";
    const char *setting = options->access_log;
    if (strcmp(setting, "off") == 0 || strcmp(setting, "on") == 0)
        return;
    if (setting[0] != '/') {
        check_add(report, CHECK_LEVEL_ERROR, subject,
                  "access-log %s: neither off, on nor the whole path of a file", setting);
        return;
    }
    int fault = try_append(setting);
    if (fault == ENXIO)
        check_add(report, CHECK_LEVEL_ERROR, subject, "%s is a pipe without a reader: start that first",
                  setting);
    else if (fault)
        check_add(
            report, CHECK_LEVEL_ERROR, subject,
            "%s cannot be opened for append: %s: make its folder, and let the daemon's user write there",
            setting, strerror(fault)); // NOLINT(concurrency-mt-unsafe): one thread
    else
        check_add(report, CHECK_LEVEL_OK, subject, "%s can be written", setting);
}

/* Nothing is said of one that may be right. */
static void check_clock(struct check_report *report)
{
    char now[CLOCK_TEXT_SIZE];
    int64_t now_ms = clock_wall_ms();
    clock_format(now_ms, now, sizeof now);
    if (!clock_is_set(now_ms))
        check_add(report, CHECK_LEVEL_WARNING, "clock",
                  "it says %s: set it (timedatectl), or have the daemon started after time-sync.target; "
                  "results get "
                  "its times, and hosts with TLS are not trusted",
                  now);
}

void check_run(const struct options *options, struct check_report *report)
{
    check_configuration(options, report);
    check_access_log(options, report);
    check_clock(report);
    check_state(options, report);
    check_hub(options, report);
    check_device(options, report);
    check_address(options, report);
    check_front(options, report);
    check_slurm(options, report);
}

enum check_level check_worst(const struct check_report *report)
{
    enum check_level worst = CHECK_LEVEL_OK;
    for (size_t i = 0; i < report->count; i++) {
        if (report->findings[i].level > worst)
            worst = report->findings[i].level;
    }
    return worst;
}

const char *check_level_name(enum check_level level)
{
    static const char *const names[] = {"ok", "warning", "error"};
    return names[level];
}
