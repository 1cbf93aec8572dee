#include "daemon/slurm/slurm.h"

#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/base/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES_MAX (32 * MIB)
#define ERRORS_BYTES_MAX (16 * KIB)
#define SCRIPT_BYTES_MAX (64 * KIB)
#define MESSAGE_SIZE 320
#define NAMES_BYTES_MAX ((size_t)SLURM_ARRAYS_MAX * SLURM_NAME_SIZE + 64)

/* -- Calling --------------------------------------------------------------------------------------------- */

/* What a person's shell adds to each call of a program, such as SQUEUE_PARTITION: it would hide jobs of ours,
 * which would then be submitted again. What is set for sbatch is the site's or the person's to choose. */
static const char *variables_of(const char *program)
{
    static const char *const all[][2] = {{"squeue", "SQUEUE_"}, {"sacct", "SACCT_"}, {"scancel", "SCANCEL_"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(program, all[i][0]) == 0)
            return all[i][1];
    }
    return NULL;
}

/* Runs a program; a status other than 0 is an error in the program's own words. */
static int run(const struct slurm_options *options, const char *const *arguments, const char *input,
               struct process_end *end, enum slurm_failure *ret_failure, struct err *err)
{
    const char *whole[PROCESS_ARGUMENTS_MAX + 1];
    char message[MESSAGE_SIZE];
    char *path = NULL;
    size_t count = 0;
    while (count < PROCESS_ARGUMENTS_MAX && arguments[count]) {
        whole[count] = arguments[count];
        count++;
    }
    whole[count] = NULL;
    if (options->folder[0]) {
        path = file_join(options->folder, arguments[0]);
        if (!path)
            return err_set(err, ERR_NO_MEMORY, "%s: out of memory", arguments[0]);
        whole[0] = path;
    }
    struct process process = {.arguments = whole,
                              .input = input,
                              .without = variables_of(arguments[0]),
                              .timeout_ms = SLURM_CALL_TIMEOUT_MS,
                              .cancel = options->cancel};
    int code = process_run(&process, end, err);
    free(path);
    *ret_failure = code == ERR_NOT_FOUND ? SLURM_FAILURE_REFUSED
                   : code                ? SLURM_FAILURE_BUSY
                                         : SLURM_FAILURE_UNKNOWN;
    if (code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND,
                       "%s is not installed here: install Slurm's client programs, or name their folder with "
                       "slurm-folder",
                       arguments[0]);
    if (code || end->status == 0)
        return code;
    *ret_failure = slurm_read_failure(buf_text(&end->errors), end->errors.size, message, sizeof message);
    if (!message[0])
        (void)snprintf(message, sizeof message, "ended with status %d and said nothing", end->status);
    return err_set(err,
                   *ret_failure == SLURM_FAILURE_REFUSED   ? ERR_INVALID
                   : *ret_failure == SLURM_FAILURE_UNHEARD ? ERR_TIMEOUT
                                                           : ERR_NETWORK,
                   "%s: %s", arguments[0], message);
}

/* -- The script ------------------------------------------------------------------------------------------ */

/* 'text' for a shell; a quote inside becomes '\''. */
static void append_quoted(struct buf *buf, const char *text)
{
    (void)buf_append_char(buf, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            (void)buf_append_text(buf, "'\\''");
        else
            (void)buf_append_char(buf, *text);
    }
    (void)buf_append_char(buf, '\'');
}

int slurm_check_connect(const char *address, struct err *err)
{
    if (strncmp(address, "http://", 7) == 0 || strncmp(address, "https://", 8) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "slurm-connect: \"%.200s\" is not http://HOST:PORT or https://HOST:PORT",
                   address);
}

int slurm_write_script(const struct slurm_options *options, struct buf *script, struct err *err)
{
    (void)buf_append_text(script,
                          "#!/bin/sh\n"
                          "name=\"slurm-${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}@$SLURMD_NODENAME\"\n"
                          "exec ");
    append_quoted(script, options->program);
    (void)buf_append_text(script, " worker --connect ");
    append_quoted(script, options->connect);
    if (options->token_file[0]) {
        (void)buf_append_text(script, " --token-file ");
        append_quoted(script, options->token_file);
    }
    if (options->ca_file[0]) {
        (void)buf_append_text(script, " --connect-ca-file ");
        append_quoted(script, options->ca_file);
    }
    (void)buf_appendf(script, " --idle-exit-s %" PRId64, options->idle_s);
    (void)buf_append_text(script, " --name \"$(printf %.60s \"$name\")\"\n"); /* as long as it may be */
    return buf_check(script, "batch script", err);
}

/* -- sbatch ---------------------------------------------------------------------------------------------- */

/* Appends "--name=value" and a 0; the place where it begins is valid once all are written. */
static void append_option(struct buf *text, size_t *offsets, size_t *count, const char *name,
                          const char *value)
{
    if (!value[0] || *count >= PROCESS_ARGUMENTS_MAX - 1)
        return;
    offsets[(*count)++] = text->size;
    (void)buf_appendf(text, "--%s=%s", name, value);
    (void)buf_append_char(text, '\0');
}

static int append_words(struct buf *text, size_t *offsets, size_t *count, const char *words, struct err *err)
{
    for (const char *p = words + strspn(words, " \t"); *p; p += strspn(p, " \t")) {
        size_t length = strcspn(p, " \t");
        if (*count >= PROCESS_ARGUMENTS_MAX - 1)
            return err_set(err, ERR_LIMIT, "slurm-arguments: more than %d words", PROCESS_ARGUMENTS_MAX / 2);
        offsets[(*count)++] = text->size;
        (void)buf_append(text, p, length);
        (void)buf_append_char(text, '\0');
        p += length;
    }
    return 0;
}

static int call_sbatch(const struct slurm_options *options, const char *name, int64_t size,
                       const char *script, struct process_end *end, enum slurm_failure *ret_failure,
                       struct err *err)
{
    const char *arguments[PROCESS_ARGUMENTS_MAX + 1] = {"sbatch", "--parsable", "--requeue", "--chdir=/"};
    const size_t fixed = 4;
    size_t offsets[PROCESS_ARGUMENTS_MAX], count = 0;
    char array[64];
    struct buf text;
    buf_init(&text, SCRIPT_BYTES_MAX);
    (void)snprintf(array, sizeof array, "0-%" PRId64 "%%%" PRId64, size - 1, options->workers_max);
    append_option(&text, offsets, &count, "job-name", name);
    append_option(&text, offsets, &count, "array", array);
    append_option(&text, offsets, &count, "output", options->output[0] ? options->output : "/dev/null");
    append_option(&text, offsets, &count, "partition", options->partition);
    append_option(&text, offsets, &count, "account", options->account);
    append_option(&text, offsets, &count, "gres", options->gres);
    append_option(&text, offsets, &count, "time", options->time);
    int code = append_words(&text, offsets, &count, options->arguments, err);
    if (!code)
        code = buf_check(&text, "arguments of sbatch", err);
    if (!code && count + fixed >= PROCESS_ARGUMENTS_MAX)
        code = err_set(err, ERR_LIMIT, "slurm-arguments: too many words");
    *ret_failure = SLURM_FAILURE_REFUSED;
    for (size_t i = 0; !code && i < count; i++)
        arguments[fixed + i] = text.data + offsets[i];
    if (!code)
        code = run(options, arguments, script, end, ret_failure, err);
    buf_free(&text);
    return code;
}

int slurm_submit(const struct slurm_options *options, const char *name, int64_t size, int64_t *ret_job_id,
                 enum slurm_failure *ret_failure, struct err *err)
{
    struct process_end end;
    struct buf script;
    process_end_init(&end, ANSWER_BYTES_MAX, ERRORS_BYTES_MAX);
    buf_init(&script, SCRIPT_BYTES_MAX);
    *ret_failure = SLURM_FAILURE_REFUSED;
    int code = slurm_write_script(options, &script, err);
    if (!code)
        code = call_sbatch(options, name, size, buf_text(&script), &end, ret_failure, err);
    if (!code) {
        *ret_failure = SLURM_FAILURE_UNKNOWN;
        code = slurm_parse_submission(buf_text(&end.output), end.output.size, ret_job_id, err);
    }
    buf_free(&script);
    process_end_free(&end);
    return code;
}

/* -- squeue, sacct, scancel ------------------------------------------------------------------------------ */

int slurm_find(const struct slurm_options *options, struct slurm_array *arrays, size_t count, struct err *err)
{
    static const char *const format = "--format=" SLURM_QUEUE_FORMAT;
    enum slurm_failure failure;
    struct process_end end;
    struct buf names;
    if (count == 0)
        return 0;
    process_end_init(&end, ANSWER_BYTES_MAX, ERRORS_BYTES_MAX);
    buf_init(&names, NAMES_BYTES_MAX);
    (void)buf_append_text(&names, "--name=");
    for (size_t i = 0; i < count; i++) {
        (void)buf_appendf(&names, "%s%s", i ? "," : "", arrays[i].name);
        arrays[i].job_id = 0;
        memset(arrays[i].elements, 0, sizeof arrays[i].elements);
        arrays[i].reason[0] = '\0';
    }
    const char *const arguments[] = {"squeue", "--noheader",     "--array", "--states=all",
                                     format,   buf_text(&names), NULL};
    int code = buf_check(&names, "names of jobs", err);
    if (!code)
        code = run(options, arguments, NULL, &end, &failure, err);
    if (!code)
        code = slurm_parse_queue(buf_text(&end.output), end.output.size, arrays, count, err);
    buf_free(&names);
    process_end_free(&end);
    return code;
}

int slurm_account(const struct slurm_options *options, int64_t job_id, struct slurm_array *array,
                  struct err *err)
{
    static const char *const format = "--format=" SLURM_ACCOUNT_FORMAT;
    char job[48];
    enum slurm_failure failure;
    struct process_end end;
    const char *const arguments[] = {"sacct", "--noheader", "--parsable2", "--allocations",
                                     format,  job,          NULL};
    process_end_init(&end, ANSWER_BYTES_MAX, ERRORS_BYTES_MAX);
    (void)snprintf(job, sizeof job, "--jobs=%" PRId64, job_id);
    int code = run(options, arguments, NULL, &end, &failure, err);
    if (!code)
        code = slurm_parse_account(buf_text(&end.output), end.output.size, array, err);
    else if (code != ERR_CANCELLED)
        code = err_set(err, ERR_NOT_FOUND, "job %" PRId64 ": the cluster has no accounting", job_id);
    if (!code && end.output.size == 0)
        code = err_set(err, ERR_NOT_FOUND, "job %" PRId64 ": the accounting does not know it", job_id);
    process_end_free(&end);
    return code;
}

int slurm_cancel(const struct slurm_options *options, int64_t job_id, int only_pending, struct err *err)
{
    char job[32];
    enum slurm_failure failure;
    struct process_end end;
    const char *const arguments[] = {"scancel", "--quiet", job, only_pending ? "--state=PENDING" : NULL,
                                     NULL};
    process_end_init(&end, ANSWER_BYTES_MAX, ERRORS_BYTES_MAX);
    (void)snprintf(job, sizeof job, "%" PRId64, job_id);
    int code = run(options, arguments, NULL, &end, &failure, err);
    if (code && strstr(buf_text(&end.errors), "Invalid job id"))
        code = 0;
    process_end_free(&end);
    return code;
}
