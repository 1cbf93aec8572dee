#include "daemon/remote/remote_store.h"

#include "api/wire/wire.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/sweeps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "bifurcated-worker-"
#define LEARNER "learner"
#define LESSONS 512 /* remembered, so that nothing is written twice */
#define LESSON_LEASE_MS 3600000
#define BEGINNING_S 60 /* no worker takes so long from making its lock's file to holding the lock */

struct remote_store {
    char *folder;
    struct store *database;
    pthread_mutex_t lock;
    char daemon[WIRE_STORE_SIZE]; /* which database of the daemon; "" until the first claim */
    char lessons[LESSONS][DIGEST_SHA256_HEX_SIZE];
    size_t next_lesson;
    int64_t lesson_sweep_id; /* whose recording was broken off; 0: none */
};

/* -- The folder -- */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    (void)remove(path);
    return 0;
}

/* With all that is in it, and without following links. */
static void remove_folder(const char *folder)
{
    (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Whether nobody holds the folder's lock, which the kernel gives up with a process however that ends. A
 * folder of another user, in a place where all may write, is none of ours: a link could take the place of
 * what is in it while that is removed. */
static int is_left_behind(const char *folder)
{
    struct stat info;
    if (lstat(folder, &info) || !S_ISDIR(info.st_mode) || info.st_uid != geteuid())
        return 0;
    char *path = file_join(folder, STORE_LOCK_NAME);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
    /* Empty, it was made just now, and to look at the lock could keep its owner from it; or the disk was
     * full. */
    int is_begun = fd >= 0 && fstat(fd, &info) == 0 &&
                   (info.st_size > 0 || clock_wall_ms() / 1000 - info.st_mtim.tv_sec > BEGINNING_S);
    int is_free = is_begun && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        (void)close(fd);
    free(path);
    return is_free;
}

static void remove_left_behind(const char *place)
{
    DIR *entries = opendir(place);
    const struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL) {
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        char *folder = file_join(place, entry->d_name);
        if (folder && is_left_behind(folder))
            remove_folder(folder);
        free(folder);
    }
    if (entries)
        (void)closedir(entries);
}

int remote_store_open(const char *place, struct remote_store **ret_store, struct err *err)
{
    char *path = NULL;
    struct remote_store *store = calloc(1, sizeof *store);
    if (!store)
        return err_set(err, ERR_NO_MEMORY, "worker: out of memory");
    (void)pthread_mutex_init(&store->lock, NULL);
    remove_left_behind(place);
    int code = 0;
    store->folder = file_join(place, PREFIX "XXXXXX");
    if (!store->folder)
        code = err_set(err, ERR_NO_MEMORY, "worker: out of memory");
    else if (!mkdtemp(store->folder)) {
        code = err_set_errno(err, errno, "a folder for the worker in %s", place);
        free(store->folder);
        store->folder = NULL;
    }
    if (!code && !(path = file_join(store->folder, STORE_FILE_NAME)))
        code = err_set(err, ERR_NO_MEMORY, "worker: out of memory");
    if (!code)
        code = store_open(path, &store->database, err);
    free(path);
    if (code) {
        remote_store_close(store);
        return code;
    }
    *ret_store = store;
    return 0;
}

void remote_store_close(struct remote_store *store)
{
    if (!store)
        return;
    store_close(store->database);
    if (store->folder)
        remove_folder(store->folder);
    (void)pthread_mutex_destroy(&store->lock);
    free(store->folder);
    free(store);
}

struct store *remote_store_database(struct remote_store *store)
{
    return store->database;
}

const char *remote_store_folder(const struct remote_store *store)
{
    return store->folder;
}

/* -- What claims tell -- */

static int take_model(struct remote_store *store, const struct wire_task *task, int64_t *ret_id,
                      struct err *err)
{
    struct model_row known, model = task->model;
    int code = models_ensure(store->database, model.name, model.kind, ret_id, err);
    if (code || !model.tensor[0])
        return code;
    model.id = *ret_id;
    code = models_get(store->database, *ret_id, &known, err);
    if (!code && (strcmp(known.tensor, model.tensor) != 0 || known.token_rows != model.token_rows ||
                  known.vocabulary_size != model.vocabulary_size))
        code = models_describe(store->database, &model, err);
    return code;
}

static int take_revision(struct remote_store *store, int64_t model_id, const struct wire_revision *revision,
                         int64_t *ret_id, struct err *err)
{
    struct revision_row row = revision->row, known;
    int code = revisions_find(store->database, model_id, row.name, &known, err);
    if (code == 0 && strcmp(known.commit, row.commit) == 0) {
        *ret_id = known.id;
        return 0;
    }
    if (code && code != ERR_NOT_FOUND)
        return code;
    *err = (struct err)ERR_INIT;
    code = revisions_update(store->database, model_id, &row, 1, 0, NULL, err);
    *ret_id = row.id;
    if (!code && revision->file_count)
        code = revisions_set_files(store->database, row.id, revision->files, revision->file_count, err);
    return code;
}

/* A lesson that was broken off (the disk was full) leaves a claimed task, which would keep others of the same
 * revision from being claimed. */
static int drop_broken_lesson(struct remote_store *store, struct err *err)
{
    int code = store->lesson_sweep_id ? sweeps_cancel(store->database, store->lesson_sweep_id, err) : 0;
    if (!code)
        store->lesson_sweep_id = 0;
    return code;
}

/* Records what is known of a revision's tensors as if it had been measured here. */
static int record(struct remote_store *store, int64_t model_id, int64_t revision_id,
                  const struct task_result *result, struct err *err)
{
    struct sweep_request request = {.model_id = model_id, .request = "{}"};
    struct task_plan plan = {.revision_id = revision_id};
    struct task_row task;
    struct task_lease lease;
    int64_t sweep_id = 0;
    int code = drop_broken_lesson(store, err);
    if (!code)
        code = sweeps_create(store->database, &request, &sweep_id, NULL, err);
    if (!code) {
        store->lesson_sweep_id = sweep_id;
        code = tasks_plan(store->database, sweep_id, &plan, 1, err);
    }
    if (!code)
        code = sweeps_start(store->database, sweep_id, err);
    if (!code)
        code = tasks_claim(store->database, &(struct tasks_claimant){LEARNER, LESSON_LEASE_MS, NULL},
                           &(struct tasks_choice){.sweep_id = sweep_id}, &task, NULL, err);
    if (code)
        return code;
    task_lease_of(&task, &lease);
    struct task_result hearsay = *result;
    hearsay.is_hearsay = 1;
    code = tasks_record(store->database, &lease, &hearsay, err);
    if (!code)
        store->lesson_sweep_id = 0;
    return code;
}

/* Whether the same was learnt before; `hex` becomes what to remember. */
static int is_known(const struct remote_store *store, const struct wire_task *task, int index, char *hex,
                    struct err *err)
{
    struct wire_task lesson = *task; /* of this revision alone */
    struct buf text;
    buf_init(&text, LIMIT_CLAIM_HEAD_BYTES);
    lesson.revisions[0] = task->revisions[index];
    lesson.revision_count = 1;
    lesson.id[0] = 0;
    lesson.sweep_id = lesson.task_id = lesson.attempt = lesson.failures = 1;
    lesson.request = (char *)(uintptr_t) "{}";
    lesson.reference = lesson.previous = -1;
    int code = wire_task_append(&lesson, &text, err);
    if (!code)
        code = digest_sha256_hex(text.data, text.size, hex, err);
    buf_free(&text);
    for (size_t i = 0; !code && i < LESSONS; i++) {
        if (strcmp(store->lessons[i], hex) == 0)
            return 1;
    }
    return code;
}

static int learn(struct remote_store *store, const struct wire_task *task, int index, int64_t model_id,
                 const int64_t *ids, struct err *err)
{
    const struct wire_revision *revision = &task->revisions[index];
    struct task_result result = {.tensors = revision->tensors, .tensor_count = revision->tensor_count};
    char hex[DIGEST_SHA256_HEX_SIZE];
    if (revision->tensor_count == 0)
        return 0;
    int code = is_known(store, task, index, hex, err);
    if (code)
        return code < 0 ? code : 0;
    for (size_t i = 0; i < revision->tensor_count; i++) {
        struct task_displacement *displacements =
            (struct task_displacement *)(uintptr_t)revision->tensors[i].displacements; /* the task's own */
        for (size_t j = 0; j < revision->tensors[i].displacement_count; j++) {
            int of = displacements[j].link == TASK_LINK_FIRST ? task->reference : task->previous;
            if (of < 0)
                return err_set(err, ERR_INVALID, "the claim has a displacement against nothing");
            displacements[j].reference_revision_id = ids[of];
        }
    }
    code = record(store, model_id, ids[index], &result, err);
    if (!code)
        memcpy(store->lessons[store->next_lesson++ % LESSONS], hex, sizeof hex);
    return code;
}

static int take(struct remote_store *store, const struct wire_task *task, struct task_row *ret_task,
                struct err *err)
{
    int64_t model_id = 0, ids[WIRE_REVISIONS_MAX] = {0};
    if (store->daemon[0] && strcmp(store->daemon, task->store) != 0)
        return err_set(err, ERR_CONFLICT, "the daemon has another database than before");
    memcpy(store->daemon, task->store, sizeof store->daemon);
    int code = take_model(store, task, &model_id, err);
    for (size_t i = 0; !code && i < task->revision_count; i++)
        code = take_revision(store, model_id, &task->revisions[i], &ids[i], err);
    /* References first: displacements of the task's own revision point to them. */
    for (size_t i = task->revision_count; !code && i-- > 0;)
        code = learn(store, task, (int)i, model_id, ids, err);
    if (code)
        return err_wrap(err, "the claim cannot be taken over");
    *ret_task = (struct task_row){
        .id = task->task_id,
        .sweep_id = task->sweep_id,
        .model_id = model_id,
        .revision_id = ids[0],
        .reference_revision_id = task->reference >= 0 ? ids[task->reference] : 0,
        .previous_revision_id = task->previous >= 0 ? ids[task->previous] : 0,
        .state = TASK_STATE_CLAIMED,
        .attempts = task->attempt,
        .failures = task->failures,
    };
    memcpy(ret_task->error_code, task->failure, sizeof ret_task->error_code);
    if (task->failure[0] && err_may_be_of_the_device(err_code_of(task->failure)))
        memcpy(ret_task->suspect, task->failure, sizeof ret_task->suspect);
    memcpy(ret_task->revision, task->revisions[0].row.name, sizeof ret_task->revision);
    memcpy(ret_task->commit, task->revisions[0].row.commit, sizeof ret_task->commit);
    return 0;
}

int remote_store_take(struct remote_store *store, const struct wire_task *task, struct task_row *ret_task,
                      struct err *err)
{
    (void)pthread_mutex_lock(&store->lock);
    int code = take(store, task, ret_task, err);
    (void)pthread_mutex_unlock(&store->lock);
    return code;
}
