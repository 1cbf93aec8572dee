/*
 * `bifurcated check [--json]`: one line per finding, worst status as the exit status.
 *
 * Started by root it looks with the eyes of the state folder's owner, as the daemon will.
 */
#include "daemon/command/check.h"
#include "daemon/command/commands.h"

#include <grp.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void become_owner(const struct options *options)
{
    struct stat info;
    if (geteuid() != 0 || stat(options->state, &info) || info.st_uid == 0)
        return;
    const struct passwd *owner = getpwuid(info.st_uid); // NOLINT(concurrency-mt-unsafe): one thread
    if ((owner ? initgroups(owner->pw_name, info.st_gid) : setgroups(0, NULL)) || setgid(info.st_gid) ||
        setuid(info.st_uid))
        (void)fprintf(stderr, "bifurcated: check: cannot become the owner of %s: what root sees is shown\n",
                      options->state);
}

static void print_json(const struct check_report *report)
{
    json_t *findings = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const struct check_finding *finding = &report->findings[i];
        (void)json_array_append_new(findings,
                                    json_pack("{s:s, s:s, s:s+}", "level", check_level_name(finding->level),
                                              "subject", finding->subject, "text", finding->text, ""));
    }
    json_t *root = json_pack("{s:s, s:s, s:o}", "status", check_level_name(check_worst(report)), "version",
                             BIFURCATED_VERSION, "findings", findings);
    if (root)
        (void)json_dumpf(root, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(root);
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
    enum options_action action = OPTIONS_ACTION_RUN;
    int status = 0;
    int is_json = commands_take_flag(&argc, argv, "json");
    if (options_load(argc, argv, &options, &action, &err)) {
        check_add(&report, CHECK_LEVEL_ERROR, "configuration", "%s", err.message);
    } else if (commands_act(action)) {
        goto out;
    } else {
        become_owner(&options);
        check_run(&options, &report);
    }
    if (is_json)
        print_json(&report);
    else
        print_text(&report);
    status = check_worst(&report) == CHECK_LEVEL_ERROR ? COMMANDS_STATUS_FAILED : 0;
out:
    options_free(&options);
    return status;
}
