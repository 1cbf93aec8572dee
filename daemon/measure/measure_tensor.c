#include "daemon/measure/measure_tensor.h"

#include "daemon/base/local_name.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/location.h"
#include "daemon/measure/measure_shift.h"
#include "store/contents.h"
#include "store/displacements.h"
#include "store/distributions.h"
#include "store/statistics.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_COUNT 2

/* One tensor of the task with its references. */
struct subject {
    struct location self;
    int has_link[LINK_COUNT]; /* TASK_LINK_FIRST, TASK_LINK_PREVIOUS */
    struct location links[LINK_COUNT];
    int is_link_stored[LINK_COUNT]; /* its displacement is in the store already */
    int is_stored;                  /* so are the statistics */
    char backend[STORE_BACKEND_SIZE];
    int64_t token_rows;
};

void measure_note_progress(struct measure_job *job)
{
    struct repository_counters counters;
    repository_counters(job->repository, &counters);
    atomic_store(job->fetched_bytes, (int64_t)counters.received_bytes);
}

/* Remembers the first displacement that could not be measured. */
static void caution(struct measure_job *job, const struct err *reason)
{
    if (!job->caution[0])
        (void)snprintf(job->caution, sizeof job->caution, "a displacement is left out: %s", reason->message);
}

/* -- What is known already -- */

static int find_stored_statistics(struct measure_job *job, struct subject *subject, struct err *err)
{
    const char *backend = device_info(job->shared->device)->backend;
    (void)snprintf(subject->backend, sizeof subject->backend, "%s", backend);
    if (!subject->self.is_content_known)
        return 0;
    int code = statistics_exists(job->shared->store, subject->self.content.id, subject->token_rows,
                                 MEASURE_DEFINITION, backend, &subject->is_stored, err);
    /* What retention has deleted while no revision had the content is measured again. That of all rows may be
     * back already, with another number of token rows. */
    if (!code && subject->is_stored && job->shared->keeps_large)
        code = distributions_are_kept(job->shared->store, subject->self.content.id, subject->token_rows,
                                      MEASURE_DEFINITION, &subject->is_stored, err);
    return code;
}

/* Whether both row sets of a displacement are in the store. */
static int find_stored_link(struct measure_job *job, struct subject *subject, int link, struct err *err)
{
    const struct location *reference = &subject->links[link];
    if (!subject->self.is_content_known || !reference->is_content_known)
        return 0;
    for (int set = 0; set < 2; set++) {
        struct displacement_row key, found;
        displacement_row_init(&key);
        key.row_set = set ? ROW_SET_TOKENS : ROW_SET_ALL;
        key.token_rows = set ? subject->token_rows : 0;
        key.definition = MEASURE_DEFINITION;
        (void)snprintf(key.backend, sizeof key.backend, "%s", subject->backend);
        int code = displacements_find(job->shared->store, subject->self.content.id, reference->content.id,
                                      &key, &found, err);
        if (code == ERR_NOT_FOUND) {
            *err = (struct err)ERR_INIT;
            return 0;
        }
        if (code)
            return code;
    }
    subject->is_link_stored[link] = 1;
    return 0;
}

/* Whether a reference that cannot be had fails the attempt. A lasting fault of the reference leaves the
 * displacement out, with a caution. A passing fault is tried again, but not for ever: the revision itself is
 * sound, so the last attempt does without, too. */
static int is_fatal(const struct measure_job *job, int code)
{
    if (code == ERR_UNREACHABLE)
        return 1; /* no failure of the reference: the whole task waits for the hub */
    if (code == ERR_NETWORK || code == ERR_TIMEOUT || code == ERR_HTTP || code == ERR_RATE_LIMITED)
        return job->task->failures + 1 < job->shared->failures_max;
    return code == ERR_CANCELLED || code == ERR_DATABASE || err_is_transient(code);
}

/* Finds the reference's tensor; without it there is no displacement, see is_fatal(). */
static int open_link(struct measure_job *job, struct subject *subject, int link, int64_t revision_id,
                     struct err *err)
{
    struct revision_row revision;
    struct err reason = ERR_INIT;
    struct location *location = &subject->links[link];
    if (revision_id == 0)
        return 0;
    int code = revisions_get(job->shared->store, revision_id, &revision, err);
    if (code)
        return code;
    code = location_open(location, &job->reference_locations, &revision, subject->self.tensor, &reason);
    if (!code &&
        !tensor_is_of_form(location->dtype, &location->shape, subject->self.dtype, &subject->self.shape))
        code =
            err_set(&reason, ERR_MISMATCH, "revision %s: %s has another shape or dtype than in revision %s",
                    revision.name, subject->self.tensor, job->revision.name);
    if (code == 0) {
        subject->has_link[link] = 1;
        return find_stored_link(job, subject, link, err);
    }
    location_close(location);
    if (is_fatal(job, code)) {
        *err = reason;
        return code;
    }
    caution(job, &reason);
    return 0;
}

/* -- Tensors in memory -- */

struct loaded {
    struct pooled_tensor *self;
    struct pooled_tensor *links[LINK_COUNT];
};

static void release(struct measure_job *job, struct loaded *loaded)
{
    tensor_pool_release(job->shared->pool, loaded->self);
    for (int i = 0; i < LINK_COUNT; i++)
        tensor_pool_release(job->shared->pool, loaded->links[i]);
    *loaded = (struct loaded){0};
}

/* The bytes of content that was seen before must be what they were; others are of no use to anybody. */
static int check_content(const struct location *location, struct pooled_tensor *tensor, struct err *err)
{
    if (!location->is_content_known || strcmp(location->content.digest, tensor->digest) == 0)
        return 0;
    (void)err_set(
        err, ERR_MISMATCH,
        "revision %s: the bytes of %s differ from those that the same file held before; the cache or "
        "the hub serves damaged data",
        location->revision.name, location->tensor);
    tensor_pool_distrust(location->context->pool, tensor, err);
    location_forget_ranges(location);
    return err->code;
}

/* Acquires the tensor and those references whose displacement is wanted. */
static int load(struct measure_job *job, struct subject *subject, struct loaded *loaded, struct err *err)
{
    struct tensor_request requests[1 + LINK_COUNT];
    struct pooled_tensor *tensors[1 + LINK_COUNT];
    struct err errs[1 + LINK_COUNT] = {ERR_INIT, ERR_INIT, ERR_INIT};
    int codes[1 + LINK_COUNT], links[1 + LINK_COUNT] = {-1, -1, -1};
    size_t count = 0;
    requests[count++] = location_request(&subject->self);
    for (int i = 0; i < LINK_COUNT; i++) {
        if (!subject->has_link[i] || subject->is_link_stored[i])
            continue;
        links[count] = i;
        requests[count++] = location_request(&subject->links[i]);
    }
    *loaded = (struct loaded){0};
    if (tensor_pool_acquire(job->shared->pool, requests, count, job->cancel, tensors, codes, errs))
        return err_set(err, ERR_CANCELLED, "the task was cancelled");
    measure_note_progress(job);
    loaded->self = tensors[0];
    for (size_t i = 1; i < count; i++)
        loaded->links[links[i]] = tensors[i];

    int code = codes[0];
    if (code) {
        *err = errs[0];
        code = err_wrap(err, "revision %s", job->revision.name);
    } else {
        code = check_content(&subject->self, tensors[0], err);
    }
    for (size_t i = 1; i < count && !code; i++) {
        if (!codes[i])
            codes[i] = check_content(&subject->links[links[i]], tensors[i], &errs[i]);
        if (!codes[i])
            continue;
        if (is_fatal(job, codes[i])) {
            *err = errs[i];
            code = codes[i];
        } else {
            caution(job, &errs[i]);
            subject->has_link[links[i]] = 0;
        }
    }
    if (code)
        release(job, loaded);
    return code;
}

/* One pass on the device. */
static int compute(struct measure_job *job, struct subject *subject, const struct loaded *loaded,
                   struct statistics_result *result, int *slot_of_link, struct err *err)
{
    struct statistics_request request = {
        .dtype = loaded->self->view.dtype,
        .token_rows = (uint64_t)subject->token_rows,
        .data = loaded->self->data,
    };
    tensor_matrix(&loaded->self->view.shape, &request.rows, &request.columns);
    for (int i = 0; i < LINK_COUNT; i++) {
        slot_of_link[i] = -1;
        if (!loaded->links[i] || !subject->has_link[i])
            continue;
        slot_of_link[i] = request.reference_count;
        request.references[request.reference_count++] = loaded->links[i]->data;
    }
    int code = statistics_result_init(result, request.columns, err);
    if (code)
        return code;
    return device_turns_statistics(job->shared->turns, measure_is_alone(job->task), &request, result, err);
}

/* What a trainer may delete. */
static void keep_reference(const struct measure_job *job, const struct loaded *loaded)
{
    const struct pooled_tensor *first = loaded->links[TASK_LINK_FIRST];
    if (first && job->shared->references && local_name_is(job->model.name))
        references_keep(job->shared->references, first->digest, first->data, first->size_bytes);
}

/* -- One tensor -- */

static void take_content(const struct location *location, const struct pooled_tensor *loaded,
                         struct content_row *content)
{
    uint64_t rows = 0, columns = 0;
    if (location->is_content_known) {
        *content = location->content;
        return;
    }
    *content = (struct content_row){.size_bytes = (int64_t)location->size_bytes};
    tensor_matrix(&location->shape, &rows, &columns);
    content->rows = (int64_t)rows;
    content->columns = (int64_t)columns;
    (void)snprintf(content->digest, sizeof content->digest, "%s", loaded->digest);
    (void)snprintf(content->dtype, sizeof content->dtype, "%s", tensor_dtype_name(location->dtype));
}

/* How far the distribution of the values moved against a reference that the pass had in memory. */
static int add_shift(struct measure_job *job, const struct subject *subject, const struct pooled_tensor *link,
                     int64_t reference_id, const struct statistics_result *result, struct measure_rows *rows,
                     struct err *err)
{
    double distances[STATISTICS_ROW_SET_COUNT];
    struct measure_shift shift = {.store = job->shared->store,
                                  .dtype = subject->self.dtype,
                                  .token_rows = (uint64_t)subject->token_rows,
                                  .result = result,
                                  .reference_id = reference_id,
                                  .reference = link->data};
    tensor_matrix(&subject->self.shape, &shift.rows, &shift.columns);
    int code = measure_shift(&shift, distances, err);
    if (!code)
        measure_rows_set_wasserstein(rows, distances);
    return code;
}

/* Adds the links: against which revision and content, with rows where they were computed. */
static int add_links(struct measure_job *job, struct subject *subject, const struct loaded *loaded,
                     const struct statistics_result *result, const int *slot_of_link,
                     struct measure_rows *rows, struct err *err)
{
    int code = 0;
    for (int i = 0; i < LINK_COUNT && !code; i++) {
        struct content_row reference;
        if (!subject->has_link[i])
            continue;
        take_content(&subject->links[i], loaded->links[i], &reference);
        if (reference.id == 0)
            code = contents_ensure(job->shared->store, &reference, &reference.id, err);
        if (!code)
            measure_rows_add_link(rows, i ? TASK_LINK_PREVIOUS : TASK_LINK_FIRST,
                                  subject->links[i].revision.id, &reference,
                                  slot_of_link[i] >= 0 ? result->displacements[slot_of_link[i]] : NULL);
        if (!code && slot_of_link[i] >= 0)
            code = add_shift(job, subject, loaded->links[i], reference.id, result, rows, err);
    }
    return code;
}

static int64_t token_rows_of(const struct measure_job *job, const struct location *location)
{
    uint64_t rows = 0, columns = 0;
    tensor_matrix(&location->shape, &rows, &columns);
    /* Only tensors with a row per vocabulary entry have rows that are no tokens. */
    if ((int64_t)rows == job->model.vocabulary_size && job->model.token_rows > 0 &&
        job->model.token_rows < (int64_t)rows)
        return job->model.token_rows;
    return (int64_t)rows;
}

static int check_measurable(const struct location *location, struct err *err)
{
    uint64_t rows = 0, columns = 0;
    tensor_matrix(&location->shape, &rows, &columns);
    if (!statistics_is_supported(location->dtype))
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: statistics of %s are not supported; float16, bfloat16, float32 "
                       "and float64 are",
                       location->tensor, tensor_dtype_name(location->dtype));
    if (rows == 0 || columns == 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: the tensor is empty", location->tensor);
    if (columns > LIMIT_RECORD_COLUMNS) /* before anything is fetched that could not be recorded */
        return err_set(
            err, ERR_LIMIT,
            "%s: has %llu columns (a tensor of one dimension is one row); statistics of at most %d are "
            "kept: leave it out of the sweep's tensors",
            location->tensor, (unsigned long long)columns, LIMIT_RECORD_COLUMNS);
    return 0;
}

static int measure_subject(struct measure_job *job, struct subject *subject, struct measure_rows *rows,
                           struct task_tensor *tensor, struct err *err)
{
    struct loaded loaded = {0};
    struct statistics_result *result = measure_rows_result(rows);
    int slot_of_link[LINK_COUNT] = {-1, -1};
    int is_complete = subject->is_stored;
    for (int i = 0; i < LINK_COUNT; i++)
        is_complete = is_complete && (!subject->has_link[i] || subject->is_link_stored[i]);
    int code = 0;
    if (!is_complete) {
        code = load(job, subject, &loaded, err);
        if (!code)
            code = compute(job, subject, &loaded, result, slot_of_link, err);
    }
    if (!code) {
        take_content(&subject->self, loaded.self, &tensor->content);
        measure_rows_begin(rows, subject->token_rows, subject->backend);
        if (!subject->is_stored)
            code = measure_rows_add_statistics(rows, subject->self.dtype, loaded.self->data, err);
    }
    if (!code)
        code = add_links(job, subject, &loaded, result, slot_of_link, rows, err);
    if (!code)
        keep_reference(job, &loaded);
    release(job, &loaded);
    if (code)
        return code;
    (void)snprintf(tensor->tensor, sizeof tensor->tensor, "%s", subject->self.tensor);
    (void)snprintf(tensor->file_path, sizeof tensor->file_path, "%s", subject->self.file);
    (void)snprintf(tensor->file_digest, sizeof tensor->file_digest, "%s", subject->self.file_digest);
    measure_rows_finish(rows, tensor);
    return 0;
}

int measure_tensor(struct measure_job *job, const char *name, struct measure_rows *rows,
                   struct task_tensor *tensor, struct err *err)
{
    struct subject *subject = calloc(1, sizeof *subject);
    if (!subject)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    int64_t before = atomic_load(job->fetched_bytes);
    int code = location_open(&subject->self, &job->locations, &job->revision, name, err);
    if (!code)
        code = check_measurable(&subject->self, err);
    if (!code) {
        subject->token_rows = token_rows_of(job, &subject->self);
        code = find_stored_statistics(job, subject, err);
    }
    if (!code)
        code = open_link(job, subject, TASK_LINK_FIRST, job->task->reference_revision_id, err);
    if (!code)
        code = open_link(job, subject, TASK_LINK_PREVIOUS, job->task->previous_revision_id, err);
    if (!code)
        code = measure_subject(job, subject, rows, tensor, err);
    measure_note_progress(job);
    tensor->fetched_bytes = atomic_load(job->fetched_bytes) - before;
    location_close(&subject->self);
    for (int i = 0; i < LINK_COUNT; i++)
        location_close(&subject->links[i]);
    free(subject);
    return code;
}
