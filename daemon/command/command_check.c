/*
 * `bifurcated check [--json]`: one line per finding, worst status as the exit status.
 *
 * Started by root it looks with the eyes of the state folder's owner, as the daemon will, and with the
 * environment that systemd gives that one.
 */
#include "daemon/base/buf.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/command/check.h"
#include "daemon/command/commands.h"
#include "daemon/command/service_environment.h"

#include <grp.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What systemd gives the service beside the configuration: its user's home, and the file of variables there.
 */
static void take_environment(const struct options *options, const struct passwd *owner,
                             struct check_report *report)
{
    struct err err = ERR_INIT;
    struct buf path;
    const char *slash = options->config ? strrchr(options->config, '/') : NULL;
    if (owner)
        (void)setenv("HOME", owner->pw_dir, 1); // NOLINT(concurrency-mt-unsafe): one thread
    if (!slash)
        return;
    buf_init(&path, LIMIT_URL_BYTES);
    buf_appendf(&path, "%.*s/environment", (int)(slash - options->config), options->config);
    int code = buf_check(&path, "path", &err);
    if (!code)
        code = service_environment_take(buf_text(&path), &err);
    if (!code)
        check_add(report, CHECK_LEVEL_OK, "configuration", "%s was read, as it is for the service",
                  buf_text(&path));
    else if (code != ERR_NOT_FOUND)
        check_add(report, CHECK_LEVEL_WARNING, "configuration", "%s", err.message);
    buf_free(&path);
}

/* Whether it did. */
static int become_owner(const struct options *options, struct check_report *report)
{
    struct stat info;
    if (geteuid() != 0 || stat(options->state, &info) || info.st_uid == 0)
        return 0;
    const struct passwd *owner = getpwuid(info.st_uid); // NOLINT(concurrency-mt-unsafe): one thread
    take_environment(options, owner, report);
    if ((owner ? initgroups(owner->pw_name, info.st_gid) : setgroups(0, NULL)) || setgid(info.st_gid) ||
        setuid(info.st_uid))
        (void)fprintf(stderr, "bifurcated: check: cannot become the owner of %s: what root sees is shown\n",
                      options->state);
    return 1;
}

/* The options of whom it looks for; *ret_is_over: it was asked for something else, which is done. */
static int load(int argc, char **argv, struct options *options, struct check_report *report, int *ret_is_over,
                struct err *err)
{
    enum options_action action = OPTIONS_ACTION_RUN;
    int code = options_load(argc, argv, options, &action, err);
    *ret_is_over = !code && commands_act(action);
    if (code || *ret_is_over || !become_owner(options, report))
        return code;
    options_free(options);
    return options_load(argc, argv, options, &action, err);
}

/* Whether all of it could be said. */
static int print_json(const struct check_report *report)
{
    const unsigned long refusals = json_text_refusals();
    json_t *findings = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const struct check_finding *finding = &report->findings[i];
        (void)json_array_append_new(findings,
                                    json_pack("{s:s, s:s, s:s+}", "level", check_level_name(finding->level),
                                              "subject", finding->subject, "text", finding->text, ""));
    }
    json_t *root = json_pack("{s:s, s:s, s:o}", "status", check_level_name(check_worst(report)), "version",
                             BIFURCATED_VERSION, "findings", findings);
    char *text = json_text_refusals() == refusals ? json_text_dump(root, JSON_INDENT(2)) : NULL;
    if (text)
        (void)puts(text);
    else
        (void)fputs("bifurcated: check: out of memory\n", stderr);
    const int is_said = text != NULL;
    free(text);
    json_decref(root);
    return is_said;
}

static void print_text(const struct check_report *report)
{
    size_t counts[3] = {0};
    for (size_t i = 0; i < report->count; i++) {
        const struct check_finding *finding = &report->findings[i];
        counts[finding->level]++;
        (void)printf("%-8s %-14s %s\n", check_level_name(finding->level), finding->subject, finding->text);
    }
    const size_t warnings = counts[CHECK_LEVEL_WARNING], errors = counts[CHECK_LEVEL_ERROR];
    (void)printf("%zu ok, %zu warning%s, %zu error%s\n", counts[CHECK_LEVEL_OK], warnings,
                 warnings == 1 ? "" : "s", errors, errors == 1 ? "" : "s");
}

int command_check(int argc, char **argv)
{
    static struct check_report report;
    struct options options = {0};
    struct err err = ERR_INIT;
    int status = 0, is_over = 0, is_said = 1;
    int is_json = commands_take_flag(&argc, argv, "json");
    if (load(argc, argv, &options, &report, &is_over, &err))
        check_add(&report, CHECK_LEVEL_ERROR, "configuration", "%s", err.message);
    else if (is_over)
        goto out;
    else
        check_run(&options, &report);
    if (is_json)
        is_said = print_json(&report);
    else
        print_text(&report);
    status = !is_said || check_worst(&report) == CHECK_LEVEL_ERROR ? COMMANDS_STATUS_FAILED : 0;
out:
    options_free(&options);
    return status;
}
