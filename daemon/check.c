#include "daemon/check.h"

#include <stdarg.h>
#include <stdio.h>
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
}

static void check_configuration(const struct options *options, struct check_report *report)
{
    static const char subject[] = "configuration";
    struct stat info;
    if (options->config)
        check_add(report, CHECK_LEVEL_OK, subject, "%s was read", options->config);
    else
        check_add(report, CHECK_LEVEL_OK, subject,
                  "no file; every option is at its default or from the "
                  "environment and the command line");
    if (!options->token_file[0])
        return;
    if (access(options->token_file, R_OK) || stat(options->token_file, &info))
        check_add(report, CHECK_LEVEL_ERROR, subject,
                  "token-file %s cannot be read: make it readable for the "
                  "daemon's user",
                  options->token_file);
    else if (info.st_mode & 0007)
        check_add(report, CHECK_LEVEL_WARNING, subject, "token-file %s is open to every user: chmod o= %s",
                  options->token_file, options->token_file);
}

void check_run(const struct options *options, struct check_report *report)
{
    report->count = 0;
    check_configuration(options, report);
    check_state(options, report);
    check_hub(options, report);
    check_device(options, report);
    check_address(options, report);
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
