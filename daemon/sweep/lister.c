#include "daemon/sweep/lister.h"

#include "daemon/base/condition.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"
#include "daemon/sweep/revision_source.h"
#include "daemon/sweep/sweep_spec.h"
#include "store/revisions.h"
#include "store/sweeps.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define LOOK_MS 250      /* whether a sweep was cancelled */
#define PAUSE_MS 1000    /* until what was in the way is looked at again */
#define RUNNING_MAX 1000 /* sweeps of an earlier run; beyond, tasks list by themselves */

/* One sweep. */
struct job {
    struct job *next;
    int64_t sweep_id;
    struct repository *repository;
    int64_t *revisions; /* in the order of the tasks */
    size_t count, capacity;
    size_t at;                 /* the next */
    int thread_count;          /* that are at one of it */
    atomic_bool is_of_weights; /* nothing but weight files is read, and each by itself tells of them */
    atomic_bool cancel;
};

struct lister {
    struct store *store;
    struct hub *hub;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *first; /* whose turn is next */
    int64_t *added;    /* sweeps that are not looked at yet */
    size_t added_count, added_capacity;
    int is_stopping;
    pthread_t keeper, threads[LISTER_THREADS_MAX];
    int has_keeper, thread_count;
};

/* -- Jobs, under the lock -- */

static int is_over(const struct job *job)
{
    return job->at == job->count || atomic_load(&job->cancel);
}

static void append(struct lister *lister, struct job *job)
{
    struct job **end = &lister->first;
    while (*end)
        end = &(*end)->next;
    *end = job;
    job->next = NULL;
}

/* The next revision of the next sweep, whose next turn comes after those of all others. */
static struct job *take_turn(struct lister *lister, int64_t *ret_revision)
{
    for (struct job **at = &lister->first; *at; at = &(*at)->next) {
        struct job *job = *at;
        if (is_over(job))
            continue;
        *ret_revision = job->revisions[job->at++];
        job->thread_count++;
        *at = job->next;
        append(lister, job);
        return job;
    }
    return NULL;
}

static void free_job(struct job *job)
{
    repository_close(job->repository);
    free(job->revisions);
    free(job);
}

static void free_ended(struct lister *lister)
{
    struct job **at = &lister->first;
    while (*at) {
        struct job *job = *at;
        if (!is_over(job) || job->thread_count) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        free_job(job);
    }
}

/* -- One revision -- */

/* Waits a while; returns whether to go on. */
static int pause_is_worth(struct lister *lister, const struct job *job)
{
    (void)pthread_mutex_lock(&lister->lock);
    if (!lister->is_stopping && !atomic_load(&job->cancel))
        (void)condition_wait(&lister->changed, &lister->lock, PAUSE_MS);
    int goes_on = !lister->is_stopping && !atomic_load(&job->cancel);
    (void)pthread_mutex_unlock(&lister->lock);
    return goes_on;
}

typedef int open_source(struct revision_source *source, struct store *store, struct repository *repository,
                        const struct revision_row *revision, struct err *err);

static int list(struct lister *lister, const struct job *job, int64_t revision_id, open_source *open)
{
    struct revision_source source = {0};
    struct revision_row revision;
    struct err err = ERR_INIT;
    int code = revisions_get(lister->store, revision_id, &revision, &err);
    if (!code)
        code = open(&source, lister->store, job->repository, &revision, &err);
    if (!code && source.forgotten_count)
        log_warning("a worker measured other files than the hub lists: its hub or mirror serves other data; "
                    "its result is forgotten, and the next sweep measures the revision",
                    log_int("sweep", job->sweep_id), log_text("revision", revision.name),
                    log_int("results", source.forgotten_count), log_end);
    if (!code)
        revision_source_close(&source);
    return code;
}

/* Whether this revision is done with. */
static int try_to_list(struct lister *lister, struct job *job, int64_t revision_id)
{
    struct err silence;
    int code;
    if (hub_has_room(job->repository)) {
        code = list(lister, job, revision_id, revision_source_open);
    } else if (atomic_load(&job->is_of_weights) && hub_has_room_for_files(job->repository)) {
        code = list(lister, job, revision_id, revision_source_glance);
        if (code == ERR_UNSUPPORTED || code == ERR_GATED) { /* lists are open to all */
            atomic_store(&job->is_of_weights, false);
            return 0;
        }
    } else {
        return 0;
    }
    return code != ERR_NO_SPACE && (code != ERR_UNREACHABLE || !hub_is_down(lister->hub) ||
                                    hub_check_folder(lister->hub, job->repository->name, &silence));
}

/* Until it is listed, or is its task's business. Every thread waits here for what none can help. */
static void list_patiently(struct lister *lister, struct job *job, int64_t revision_id)
{
    while (!try_to_list(lister, job, revision_id) && pause_is_worth(lister, job)) {
    }
}

static void *list_files(void *context)
{
    struct lister *lister = context;
    (void)pthread_mutex_lock(&lister->lock);
    while (!lister->is_stopping) {
        int64_t revision_id = 0;
        struct job *job = take_turn(lister, &revision_id);
        if (!job) {
            (void)pthread_cond_wait(&lister->changed, &lister->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&lister->lock);
        list_patiently(lister, job, revision_id);
        (void)pthread_mutex_lock(&lister->lock);
        job->thread_count--;
    }
    (void)pthread_mutex_unlock(&lister->lock);
    return NULL;
}

/* -- The keeper: takes in new sweeps, and looks whether the others are still wanted -- */

static int add_revision(void *context, int64_t revision_id)
{
    struct job *job = context;
    if (job->count == job->capacity) {
        size_t capacity = job->capacity ? job->capacity * 2 : 256;
        int64_t *revisions = realloc(job->revisions, capacity * sizeof *revisions);
        if (!revisions)
            return 1;
        job->revisions = revisions;
        job->capacity = capacity;
    }
    job->revisions[job->count++] = revision_id;
    return 0;
}

/* Whether the sweep scores texts, for which more than weights is read. */
static int read_wishes(struct lister *lister, struct job *job, int64_t sweep_id, struct err *err)
{
    struct sweep_spec spec = {0};
    struct buf request;
    buf_init(&request, LIMIT_API_BODY_BYTES);
    int code = sweeps_get_request(lister->store, sweep_id, &request, err);
    if (!code)
        code = sweep_spec_parse(buf_text(&request), request.size, &spec, err);
    atomic_store(&job->is_of_weights, !code && !spec.wants_perplexity);
    sweep_spec_free(&spec);
    buf_free(&request);
    return code;
}

/* NULL: there is nothing to list. */
static struct job *make_job(struct lister *lister, int64_t sweep_id)
{
    struct err err = ERR_INIT;
    struct sweep_row sweep;
    struct job *job = calloc(1, sizeof *job);
    int code = job ? sweeps_get(lister->store, sweep_id, &sweep, &err)
                   : err_set(&err, ERR_NO_MEMORY, "lists of files: out of memory");
    if (!code)
        code = revisions_list_unlisted(lister->store, sweep_id, add_revision, job, &err);
    if (!code && job->count)
        code = read_wishes(lister, job, sweep_id, &err);
    if (!code && job->count)
        code = hub_open_guarded(lister->hub, sweep.model, &job->cancel, &job->repository, &err);
    if (!code && job->count) {
        job->sweep_id = sweep_id;
        hub_expect_repository(job->repository); /* the plan has read it */
        return job;
    }
    if (code && code != ERR_NOT_FOUND)
        log_warning("the files of a sweep are listed by its tasks alone", log_int("sweep", sweep_id),
                    log_text("reason", err.message), log_end);
    if (job)
        free_job(job);
    return NULL;
}

/* Cancelled, or without hope, so that its tasks were. A store that cannot be read says nothing. */
static int is_unwanted(struct lister *lister, int64_t sweep_id)
{
    struct sweep_row sweep;
    struct err err = ERR_INIT;
    int code = sweeps_get(lister->store, sweep_id, &sweep, &err);
    return code ? code == ERR_NOT_FOUND
                : sweep.state == SWEEP_STATE_CANCELLED || sweep.tasks[TASK_STATE_CANCELLED] > 0;
}

/* Only this thread takes jobs out of the list, but they change places meanwhile: so by number. */
static void check_jobs(struct lister *lister)
{
    int64_t after = 0;
    for (;;) {
        struct job *found = NULL;
        (void)pthread_mutex_lock(&lister->lock);
        for (struct job *job = lister->first; job; job = job->next) {
            if (job->sweep_id > after && (!found || job->sweep_id < found->sweep_id))
                found = job;
        }
        (void)pthread_mutex_unlock(&lister->lock);
        if (!found)
            return;
        after = found->sweep_id;
        if (is_unwanted(lister, found->sweep_id))
            atomic_store(&found->cancel, true);
    }
}

static void *keep(void *context)
{
    struct lister *lister = context;
    (void)pthread_mutex_lock(&lister->lock);
    while (!lister->is_stopping) {
        if (lister->added_count) {
            int64_t sweep_id = lister->added[0];
            lister->added_count--;
            for (size_t i = 0; i < lister->added_count; i++)
                lister->added[i] = lister->added[i + 1];
            (void)pthread_mutex_unlock(&lister->lock);
            struct job *job = make_job(lister, sweep_id);
            (void)pthread_mutex_lock(&lister->lock);
            if (job)
                append(lister, job);
            (void)pthread_cond_broadcast(&lister->changed);
            continue;
        }
        if (!lister->first) {
            (void)pthread_cond_wait(&lister->changed, &lister->lock);
            continue;
        }
        (void)condition_wait(&lister->changed, &lister->lock, LOOK_MS);
        (void)pthread_mutex_unlock(&lister->lock);
        check_jobs(lister);
        (void)pthread_mutex_lock(&lister->lock);
        free_ended(lister);
    }
    (void)pthread_mutex_unlock(&lister->lock);
    return NULL;
}

/* -- Life -- */

void lister_add(struct lister *lister, int64_t sweep_id)
{
    if (!lister)
        return;
    (void)pthread_mutex_lock(&lister->lock);
    if (lister->added_count == lister->added_capacity) {
        size_t capacity = lister->added_capacity ? lister->added_capacity * 2 : 16;
        int64_t *added = realloc(lister->added, capacity * sizeof *added);
        if (added) {
            lister->added = added;
            lister->added_capacity = capacity;
        }
    }
    if (lister->added_count < lister->added_capacity)
        lister->added[lister->added_count++] = sweep_id;
    (void)pthread_cond_broadcast(&lister->changed);
    (void)pthread_mutex_unlock(&lister->lock);
}

static int add_running(void *context, const struct sweep_row *sweep)
{
    lister_add(context, sweep->id);
    return 0;
}

int lister_start(struct store *store, struct hub *hub, int thread_count, struct lister **ret_lister,
                 struct err *err)
{
    const enum sweep_state running = SWEEP_STATE_RUNNING;
    const struct sweeps_query wanted = {.state = &running, .limit = RUNNING_MAX};
    struct lister *lister = calloc(1, sizeof *lister);
    if (!lister)
        return err_set(err, ERR_NO_MEMORY, "lists of files: out of memory");
    *lister = (struct lister){.store = store, .hub = hub};
    (void)pthread_mutex_init(&lister->lock, NULL);
    (void)pthread_cond_init(&lister->changed, NULL);
    int code = sweeps_list(store, &wanted, add_running, lister, err);
    int failed = code ? 0 : pthread_create(&lister->keeper, NULL, keep, lister);
    lister->has_keeper = !code && !failed;
    while (lister->has_keeper && !failed && lister->thread_count < thread_count &&
           lister->thread_count < LISTER_THREADS_MAX) {
        failed = pthread_create(&lister->threads[lister->thread_count], NULL, list_files, lister);
        lister->thread_count += failed == 0;
    }
    if (failed)
        code = err_set_errno(err, failed, "lists of files: cannot start a thread");
    if (code)
        lister_stop(lister);
    else
        *ret_lister = lister;
    return code;
}

void lister_stop(struct lister *lister)
{
    if (!lister)
        return;
    (void)pthread_mutex_lock(&lister->lock);
    lister->is_stopping = 1;
    for (struct job *job = lister->first; job; job = job->next)
        atomic_store(&job->cancel, true);
    (void)pthread_cond_broadcast(&lister->changed);
    (void)pthread_mutex_unlock(&lister->lock);
    for (int i = 0; i < lister->thread_count; i++)
        (void)pthread_join(lister->threads[i], NULL);
    if (lister->has_keeper)
        (void)pthread_join(lister->keeper, NULL);
    while (lister->first) {
        struct job *job = lister->first;
        lister->first = job->next;
        free_job(job);
    }
    free(lister->added);
    (void)pthread_cond_destroy(&lister->changed);
    (void)pthread_mutex_destroy(&lister->lock);
    free(lister);
}
