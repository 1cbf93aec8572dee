#include "daemon/slurm/output.h"

#include <stdio.h>
#include <string.h>

#define EXCERPT "%.60s"

struct state_row {
    const char *name; /* in JOB STATE CODES of squeue(1) and sacct(1) */
    enum slurm_fate fate;
};

static const struct state_row STATES[] = {
    {"PENDING", SLURM_FATE_PENDING},      {"CONFIGURING", SLURM_FATE_RUNNING},
    {"RUNNING", SLURM_FATE_RUNNING},      {"COMPLETING", SLURM_FATE_RUNNING},
    {"SUSPENDED", SLURM_FATE_RUNNING},    {"STOPPED", SLURM_FATE_RUNNING},
    {"SIGNALING", SLURM_FATE_RUNNING},    {"STAGE_OUT", SLURM_FATE_RUNNING},
    {"RESIZING", SLURM_FATE_RUNNING},     {"REQUEUED", SLURM_FATE_PENDING},
    {"REQUEUE_FED", SLURM_FATE_PENDING},  {"RESV_DEL_HOLD", SLURM_FATE_HELD},
    {"REQUEUE_HOLD", SLURM_FATE_HELD},    {"SPECIAL_EXIT", SLURM_FATE_HELD},
    {"COMPLETED", SLURM_FATE_COMPLETED},  {"CANCELLED", SLURM_FATE_CANCELLED},
    {"PREEMPTED", SLURM_FATE_CANCELLED},  {"REVOKED", SLURM_FATE_CANCELLED},
    {"FAILED", SLURM_FATE_FAILED},        {"TIMEOUT", SLURM_FATE_FAILED},
    {"NODE_FAIL", SLURM_FATE_FAILED},     {"BOOT_FAIL", SLURM_FATE_FAILED},
    {"OUT_OF_MEMORY", SLURM_FATE_FAILED}, {"DEADLINE", SLURM_FATE_FAILED},
    {"LAUNCH_FAILED", SLURM_FATE_FAILED}, {"RECONFIG_FAIL", SLURM_FATE_FAILED},
};

/* Slurm leaves a job pending for ever when its nodes could not start it; only the reason tells. */
static const char *const HELD_REASONS[] = {"launch failed requeued held", "job requeued in held state"};

struct failure_row {
    const char *words;
    enum slurm_failure failure;
};

static const struct failure_row FAILURES[] = {
    {"Unable to contact slurm controller", SLURM_FAILURE_BUSY},
    {"Socket timed out", SLURM_FAILURE_UNHEARD},
    {"Connection refused", SLURM_FAILURE_BUSY},
    {"Connection timed out", SLURM_FAILURE_BUSY},
    {"temporarily unable to accept job", SLURM_FAILURE_BUSY},
    {"Resource temporarily unavailable", SLURM_FAILURE_BUSY},
    {"in standby mode", SLURM_FAILURE_BUSY},
    {"violates accounting/QOS policy", SLURM_FAILURE_BUSY},
    {"MaxSubmitJob", SLURM_FAILURE_BUSY},
    {"MaxJobCount", SLURM_FAILURE_BUSY},
    {"nvalid partition", SLURM_FAILURE_REFUSED},
    {"nvalid account", SLURM_FAILURE_REFUSED},
    {"nvalid generic resource", SLURM_FAILURE_REFUSED},
    {"nvalid qos", SLURM_FAILURE_REFUSED},
    {"nvalid feature", SLURM_FAILURE_REFUSED},
    {"nvalid --", SLURM_FAILURE_REFUSED},
    {"nvalid job array", SLURM_FAILURE_REFUSED},
    {"nvalid time limit", SLURM_FAILURE_REFUSED},
    {"time limit is invalid", SLURM_FAILURE_REFUSED},
    {"unrecognized option", SLURM_FAILURE_REFUSED},
    {"ccess/permission denied", SLURM_FAILURE_REFUSED},
    {"node configuration is not available", SLURM_FAILURE_REFUSED},
    {"not permitted to use this partition", SLURM_FAILURE_REFUSED},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum slurm_fate slurm_fate_of(const char *state, const char *reason)
{
    enum slurm_fate fate = SLURM_FATE_PENDING; /* of a state that is not known */
    size_t length = strcspn(state, " +");      /* "CANCELLED by 1000", "COMPLETED+" */
    for (size_t i = 0; i < COUNT_OF(STATES); i++) {
        if (strlen(STATES[i].name) == length && strncmp(STATES[i].name, state, length) == 0)
            fate = STATES[i].fate;
    }
    for (size_t i = 0; fate == SLURM_FATE_PENDING && i < COUNT_OF(HELD_REASONS); i++) {
        if (strstr(reason, HELD_REASONS[i]))
            fate = SLURM_FATE_HELD;
    }
    return fate;
}

int64_t slurm_array_live(const struct slurm_array *array)
{
    return array->elements[SLURM_FATE_PENDING] + array->elements[SLURM_FATE_RUNNING];
}

/* -- Numbers and lines ----------------------------------------------------------------------------------- */

static int parse_number(const char *text, size_t size, int64_t *ret_value)
{
    int64_t value = 0;
    if (size == 0 || size > 18)
        return 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        value = value * 10 + (text[i] - '0');
    }
    *ret_value = value;
    return value > 0;
}

/* One line of an answer with its fields, as terminated text. */
struct line {
    char text[512];
    const char *fields[4];
    size_t field_count;
};

/* Takes the next line that is not empty: 1, 0 at the end, or ERR_FORMAT. The last of `field_max` fields takes
 * the rest of the line. */
static int next_line(const char **text, size_t *size, size_t field_max, struct line *line, struct err *err)
{
    size_t length = 0;
    while (length == 0) {
        if (*size == 0)
            return 0;
        const char *end = memchr(*text, '\n', *size);
        length = end ? (size_t)(end - *text) : *size;
        size_t taken = length + (end != NULL);
        size_t copied = length < sizeof line->text - 1 ? length : sizeof line->text - 1;
        memcpy(line->text, *text, copied); /* only a reason can be so long, and it is cut anyway */
        line->text[copied] = '\0';
        *text += taken;
        *size -= taken;
    }
    for (char *p = line->text; *p; p++) {
        if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f) /* nor half a UTF-8 sequence */
            *p = ' ';
    }
    if (strlen(line->text) < (length < sizeof line->text - 1 ? length : sizeof line->text - 1))
        return err_set(err, ERR_FORMAT, "the answer has a zero byte in a line");
    char *p = line->text;
    line->field_count = 0;
    while (line->field_count < field_max) {
        line->fields[line->field_count++] = p;
        p = line->field_count < field_max ? strchr(p, '|') : NULL;
        if (!p)
            break;
        *p++ = '\0';
    }
    return 1;
}

static void note_reason(struct slurm_array *array, enum slurm_fate fate, const char *state,
                        const char *reason)
{
    int waits = fate == SLURM_FATE_PENDING || fate == SLURM_FATE_HELD;
    int has_waiting = array->elements[SLURM_FATE_PENDING] + array->elements[SLURM_FATE_HELD] > 0;
    if (waits && !has_waiting)
        (void)snprintf(array->reason, sizeof array->reason, "%s", reason);
    else if (fate == SLURM_FATE_FAILED && !array->reason[0])
        (void)snprintf(array->reason, sizeof array->reason, "%s (%s)", state, reason);
}

/* -- Answers --------------------------------------------------------------------------------------------- */

int slurm_parse_submission(const char *text, size_t size, int64_t *ret_job_id, struct err *err)
{
    size_t length = 0;
    while (length < size && text[length] != ';' && text[length] != '\n')
        length++;
    const char *end = size ? memchr(text, '\n', size) : NULL;
    if (end && (size_t)(end - text) + 1 == size && parse_number(text, length, ret_job_id))
        return 0;
    return err_set(err, ERR_FORMAT, "sbatch: the answer is not a job id: \"%.*s\"",
                   (int)(length < 60 ? length : 60), size ? text : "");
}

int slurm_parse_queue(const char *text, size_t size, struct slurm_array *arrays, size_t count,
                      struct err *err)
{
    struct line line;
    int64_t number = 0;
    int code;
    while ((code = next_line(&text, &size, 4, &line, err)) > 0) {
        int64_t job_id = 0;
        number++;
        if (number > SLURM_ELEMENTS_MAX)
            return err_set(err, ERR_LIMIT, "squeue: more than %d elements", SLURM_ELEMENTS_MAX);
        if (line.field_count < 4 || !parse_number(line.fields[0], strlen(line.fields[0]), &job_id) ||
            !line.fields[1][0])
            return err_set(err, ERR_FORMAT,
                           "squeue: line %lld of the answer is not job|state|name|reason: " EXCERPT,
                           (long long)number, line.text);
        for (size_t i = 0; i < count; i++) {
            struct slurm_array *array = &arrays[i];
            if (strcmp(array->name, line.fields[2]) != 0)
                continue;
            enum slurm_fate fate = slurm_fate_of(line.fields[1], line.fields[3]);
            note_reason(array, fate, line.fields[1], line.fields[3]);
            array->job_id = job_id;
            array->elements[fate]++;
        }
    }
    return code < 0 ? err_wrap(err, "squeue") : 0;
}

int slurm_parse_account(const char *text, size_t size, struct slurm_array *array, struct err *err)
{
    struct line line;
    int64_t number = 0;
    int code;
    memset(array->elements, 0, sizeof array->elements);
    array->reason[0] = '\0';
    while ((code = next_line(&text, &size, 2, &line, err)) > 0) {
        char reason[64];
        number++;
        if (number > SLURM_ELEMENTS_MAX)
            return err_set(err, ERR_LIMIT, "sacct: more than %d elements", SLURM_ELEMENTS_MAX);
        if (line.field_count < 2 || !line.fields[0][0])
            return err_set(err, ERR_FORMAT, "sacct: line %lld of the answer is not state|exit code: " EXCERPT,
                           (long long)number, line.text);
        enum slurm_fate fate = slurm_fate_of(line.fields[0], "");
        (void)snprintf(reason, sizeof reason, "exit code %.40s", line.fields[1]);
        note_reason(array, fate, line.fields[0], reason);
        array->elements[fate]++;
    }
    return code < 0 ? err_wrap(err, "sacct") : 0;
}

/* -- Failures -------------------------------------------------------------------------------------------- */

/* "sbatch: error: words" -> "words" */
static const char *without_prefix(const char *line)
{
    static const char *const prefixes[] = {
        "sbatch: ", "squeue: ", "scancel: ", "sacct: ", "error: ", "fatal: "};
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        if (strncmp(line, prefixes[i], strlen(prefixes[i])) == 0)
            line += strlen(prefixes[i]);
    }
    return line;
}

enum slurm_failure slurm_read_failure(const char *text, size_t size, char *message, size_t message_size)
{
    enum slurm_failure failure = SLURM_FAILURE_UNKNOWN;
    size_t used = 0;
    message[0] = '\0';
    while (size) {
        char line[256];
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;
        size_t copied = length < sizeof line - 1 ? length : sizeof line - 1;
        for (size_t i = 0; i < copied; i++)
            line[i] = (char)((unsigned char)text[i] < ' ' || (unsigned char)text[i] >= 0x7f ? ' ' : text[i]);
        line[copied] = '\0';
        text += length + (end != NULL);
        size -= length + (end != NULL);
        const char *words = without_prefix(line);
        if (!words[0])
            continue;
        if (used + 1 < message_size) {
            int wrote = snprintf(message + used, message_size - used, "%s%s", used ? "; " : "", words);
            used += wrote > 0 ? (size_t)wrote : 0;
        }
        for (size_t i = 0; failure == SLURM_FAILURE_UNKNOWN && i < COUNT_OF(FAILURES); i++) {
            if (strstr(words, FAILURES[i].words))
                failure = FAILURES[i].failure;
        }
    }
    return failure;
}
