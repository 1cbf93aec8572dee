#include "daemon/measure/measure.h"

#include "daemon/base/local_name.h"
#include "daemon/measure/measure_perplexity.h"
#include "daemon/measure/measure_tensor.h"
#include "daemon/sweep/describe.h"
#include "daemon/sweep/revision_list.h"
#include "daemon/sweep/revision_source.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct measured_task {
    struct task_result result;
    struct task_tensor *tensors;
    struct measure_rows **rows; /* one of each tensor; what `tensors` points into */
    size_t count;
    struct perplexity_row perplexity; /* if result.perplexity_count is 1 */
    struct revision_file_row *scored_files;
    char caution[ERR_MESSAGE_BYTES];
};

struct names {
    char **rows;
    size_t count;
};

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->rows[i]);
    free(names->rows);
}

static int add_name(struct names *names, const char *name, struct err *err)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->rows[i], name) == 0)
            return 0;
    }
    if (names->count == LIMIT_CLAIM_TENSORS)
        return err_set(err, ERR_LIMIT,
                       "the sweep's tensors are more than %d, which is what a task may record: sweep them in "
                       "parts, with "
                       "narrower patterns",
                       LIMIT_CLAIM_TENSORS);
    names->rows[names->count] = strdup(name);
    if (!names->rows[names->count])
        return err_set(err, ERR_NO_MEMORY, "names of tensors: out of memory");
    names->count++;
    return 0;
}

static int is_pattern(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

/* Adds the names that a pattern matches in this revision. */
static int expand_pattern(struct measure_job *job, const char *pattern, struct names *names, struct err *err)
{
    struct revision_source source;
    struct checkpoint *checkpoint = NULL;
    size_t before = names->count;
    int code =
        revision_source_open_weights(&source, job->shared->store, job->repository, &job->revision, err);
    if (code)
        return code;
    code = revision_source_open_checkpoint(&source, &checkpoint, err);
    for (size_t i = 0; !code && i < checkpoint_name_count(checkpoint); i++) {
        struct checkpoint_tensor tensor = {.name = NULL};
        const char *name = checkpoint_name(checkpoint, i);
        if (fnmatch(pattern, name, 0) != 0)
            continue;
        /* A pattern means the weights among its matches: not masks, and not what nobody here can read. */
        code = checkpoint_find(checkpoint, name, &tensor, err);
        if (code == ERR_UNSUPPORTED && tensor.name) {
            *err = (struct err)ERR_INIT;
            code = 0;
        } else if (!code && statistics_is_supported(tensor.dtype) && tensor.shape.ndim > 0 &&
                   tensor.size_bytes > 0)
            code = add_name(names, name, err);
    }
    if (!code && names->count == before)
        code = err_set(err, ERR_NOT_FOUND, "no tensor of floats matches \"%s\"", pattern);
    checkpoint_close(checkpoint);
    revision_source_close(&source);
    return code;
}

static int list_names(struct measure_job *job, struct names *names, struct err *err)
{
    int code = 0;
    names->rows = calloc(LIMIT_CLAIM_TENSORS, sizeof *names->rows);
    if (!names->rows)
        return err_set(err, ERR_NO_MEMORY, "names of tensors: out of memory");
    if (job->spec->tensor_count == 0) {
        /* The plan may have found no revision that tells; then this one must, or say why it cannot. */
        code = describe_model(job->shared->store, job->repository, job->model.id, &job->revision, &job->model,
                              err);
        return code ? code : add_name(names, job->model.tensor, err);
    }
    for (size_t i = 0; i < job->spec->tensor_count && !code; i++) {
        const char *text = job->spec->tensors[i];
        code = is_pattern(text) ? expand_pattern(job, text, names, err) : add_name(names, text, err);
    }
    return code;
}

static int measure_all(struct measure_job *job, struct measured_task *measured, struct err *err)
{
    struct names names = {0};
    int code = list_names(job, &names, err);
    if (!code) {
        measured->tensors = calloc(names.count, sizeof *measured->tensors);
        measured->rows = calloc(names.count, sizeof(struct measure_rows *));
        if (!measured->tensors || !measured->rows)
            code = err_set(err, ERR_NO_MEMORY, "task: out of memory");
    }
    for (size_t i = 0; i < names.count && !code; i++) {
        code = measure_rows_new(&measured->rows[i], err);
        if (code)
            break;
        measured->count = i + 1;
        code = measure_tensor(job, names.rows[i], measured->rows[i], &measured->tensors[i], err);
    }
    free_names(&names);
    return code;
}

static int score(struct measure_job *job, struct measured_task *measured, struct err *err)
{
    struct task_result *result = &measured->result;
    int code = measure_perplexity(job, &measured->perplexity, &measured->scored_files,
                                  &result->scored_file_count, err);
    if (code)
        return code;
    result->scored_files = measured->scored_files;
    result->perplexities = &measured->perplexity;
    result->perplexity_count = 1;
    (void)snprintf(result->weights_digest, sizeof result->weights_digest, "%s",
                   measured->perplexity.weights_digest);
    return 0;
}

/* A revision that did not exist when the sweep was planned: say so in the repository's own words. */
static int check_commit(struct measure_job *job, struct err *err)
{
    char commit[REPOSITORY_COMMIT_SIZE];
    if (strcmp(job->revision.commit, REVISION_NO_COMMIT) != 0)
        return 0;
    int code = repository_resolve(job->repository, job->revision.name, commit, err);
    if (code)
        return code;
    return err_set(err, ERR_NOT_FOUND, "revision %s appeared after the sweep was planned; sweep again",
                   job->revision.name);
}

/* Whether an attempt of the task hung, maybe at a reference, and this is its last: it may be sound itself. */
static int may_hang_again(const struct measure_job *job)
{
    return local_name_is(job->model.name) && job->task->failures + 1 >= job->shared->failures_max &&
           strcmp(job->task->error_code, err_name(ERR_TIMEOUT)) == 0;
}

int measure_is_alone(const struct task_row *task)
{
    return task->suspect[0] != 0;
}

/* The model, the revision, and the repository that they lie in. */
static int open_job(struct measure_job *job, struct err *err)
{
    const struct measure_shared *shared = job->shared;
    int code = models_get(shared->store, job->task->model_id, &job->model, err);
    if (!code)
        code = revisions_get(shared->store, job->task->revision_id, &job->revision, err);
    if (!code)
        code = hub_open_repository(shared->hub, REPOSITORY_KIND_MODEL, job->model.name, job->cancel,
                                   &job->repository, err);
    if (code)
        return code;
    hub_expect_repository(job->repository); /* the plan has read it */
    job->locations = (struct location_context){.store = shared->store,
                                               .cache = shared->locations,
                                               .pool = shared->pool,
                                               .references = shared->references,
                                               .repository = job->repository,
                                               .cancel = job->cancel};
    job->reference_locations = job->locations;
    job->reference_locations.is_wary = may_hang_again(job);
    return check_commit(job, err);
}

/* What the result points to is part of `measured`. */
static void finish_result(const struct measure_job *job, struct measured_task *measured, int is_part)
{
    struct task_result *result = &measured->result;
    memcpy(measured->caution, job->caution, sizeof measured->caution);
    result->caution = measured->caution;
    result->is_part = is_part;
    result->tensors = measured->tensors;
    result->tensor_count = measured->count;
    result->bytes_fetched = atomic_load(job->fetched_bytes);
}

int measure_task(const struct measure_shared *shared, const struct task_row *task,
                 const struct sweep_spec *spec, const atomic_bool *cancel, _Atomic int64_t *fetched_bytes,
                 struct measured_task **ret_measured, struct err *err)
{
    struct measure_job *job = calloc(1, sizeof *job);
    struct measured_task *measured = calloc(1, sizeof *measured);
    int code;
    *ret_measured = NULL;
    if (!job || !measured) {
        code = err_set(err, ERR_NO_MEMORY, "task: out of memory");
        goto out;
    }
    *job = (struct measure_job){
        .shared = shared, .task = task, .spec = spec, .cancel = cancel, .fetched_bytes = fetched_bytes};
    code = open_job(job, err);
    if (!code && spec->wants_statistics)
        code = measure_all(job, measured, err);
    int has_statistics = !code && measured->count > 0;
    if (!code && spec->wants_perplexity)
        code = score(job, measured, err);
    if (job->repository)
        measure_note_progress(job);
    if (!code || (has_statistics && code != ERR_DEVICE_LOST)) {
        finish_result(job, measured, code != 0);
        *ret_measured = measured;
        measured = NULL; /* now the caller's */
    }
out:
    if (job)
        repository_close(job->repository);
    measured_task_free(measured);
    free(job);
    return code;
}

const struct task_result *measured_task_result(const struct measured_task *measured)
{
    return &measured->result;
}

void measured_task_free(struct measured_task *measured)
{
    if (!measured)
        return;
    for (size_t i = 0; i < measured->count; i++)
        measure_rows_free(measured->rows[i]);
    free(measured->scored_files);
    free(measured->rows);
    free(measured->tensors);
    free(measured);
}
