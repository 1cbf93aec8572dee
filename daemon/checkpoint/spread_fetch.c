#include "daemon/checkpoint/spread_fetch.h"

#include "daemon/base/pulse.h"
#include "daemon/checkpoint/spread_part.h"

#include <pthread.h>
#include <stdlib.h>

struct spread_fetch {
    const struct chunk_index_tensor *tensor;
    const struct chunk_index_chunk **chunks; /* by file */
    size_t *begins;                          /* of each file's chunks, in chunks, and their end */
    size_t file_count;

    /* of a run */
    spread_fetch_open *open;
    void *context;
    unsigned char *data;
    struct pulse *pulse; /* the caller's, that all beat */
    pthread_mutex_t lock;
    size_t next, end; /* the file that is taken next: lock */
    size_t failed;    /* the first that did; then none is taken: lock */
    struct err reason;
};

static int compare_files(const void *a, const void *b)
{
    const struct chunk_index_chunk *x = *(const struct chunk_index_chunk *const *)a,
                                   *y = *(const struct chunk_index_chunk *const *)b;
    int order = (x->file > y->file) - (x->file < y->file);
    return order ? order : (x->begin > y->begin) - (x->begin < y->begin);
}

int spread_fetch_plan(const struct chunk_index_tensor *tensor, struct spread_fetch **ret_fetch,
                      struct err *err)
{
    const size_t count = tensor->chunk_count;
    struct spread_fetch *fetch = calloc(1, sizeof *fetch);
    if (fetch) {
        fetch->chunks = calloc(count + 1, sizeof(const struct chunk_index_chunk *));
        fetch->begins = calloc(count + 1, sizeof *fetch->begins);
    }
    if (!fetch || !fetch->chunks || !fetch->begins) {
        spread_fetch_free(fetch);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    fetch->tensor = tensor;
    for (size_t i = 0; i < count; i++)
        fetch->chunks[i] = &tensor->chunks[i];
    qsort(fetch->chunks, count, sizeof(const struct chunk_index_chunk *), compare_files);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || fetch->chunks[i]->file != fetch->chunks[i - 1]->file)
            fetch->begins[fetch->file_count++] = i;
    }
    fetch->begins[fetch->file_count] = count;
    *ret_fetch = fetch;
    return 0;
}

void spread_fetch_free(struct spread_fetch *fetch)
{
    if (!fetch)
        return;
    free(fetch->chunks);
    free(fetch->begins);
    free(fetch);
}

size_t spread_fetch_file_count(const struct spread_fetch *fetch)
{
    return fetch->file_count;
}

static int fetch_file(const struct spread_fetch *fetch, size_t number, struct err *err)
{
    const struct chunk_index_tensor *tensor = fetch->tensor;
    const struct chunk_index_chunk *const *chunks = fetch->chunks + fetch->begins[number];
    const size_t count = fetch->begins[number + 1] - fetch->begins[number];
    struct source *source = NULL;
    if (fetch->open(fetch->context, chunks[0]->file, &source, err))
        return spread_part_blame(tensor, chunks[0], err);
    int code = 0;
    for (size_t i = 0; i < count && !code; i++) {
        struct spread_part part = {.chunk = NULL};
        code = spread_part_open(source, tensor, chunks[i], &part, err);
        if (!code)
            code = spread_part_read(&part, tensor, 0, tensor->size_bytes, fetch->data, err);
        spread_part_close(&part);
        pulse_beat();
    }
    return code;
}

/* Files are taken in order, and each that was taken is read to its end or fails: so the first of those that
 * fail is the same each time. */
static void *run_thread(void *context)
{
    struct spread_fetch *fetch = context;
    pulse_attach(fetch->pulse);
    (void)pthread_mutex_lock(&fetch->lock);
    while (fetch->next < fetch->end && fetch->failed == SIZE_MAX) {
        struct err reason = ERR_INIT;
        const size_t number = fetch->next++;
        (void)pthread_mutex_unlock(&fetch->lock);
        int code = fetch_file(fetch, number, &reason);
        (void)pthread_mutex_lock(&fetch->lock);
        if (code && number < fetch->failed) {
            fetch->failed = number;
            fetch->reason = reason;
        }
    }
    (void)pthread_mutex_unlock(&fetch->lock);
    return NULL;
}

int spread_fetch_run(struct spread_fetch *fetch, size_t first, size_t count, spread_fetch_open *open,
                     void *context, void *data, struct err *err)
{
    pthread_t threads[SPREAD_FETCH_THREADS];
    size_t started = 0;
    fetch->open = open;
    fetch->context = context;
    fetch->data = data;
    fetch->pulse = pulse_own();
    fetch->next = first;
    fetch->end = first + count;
    fetch->failed = SIZE_MAX;
    (void)pthread_mutex_init(&fetch->lock, NULL);
    while (started + 1 < SPREAD_FETCH_THREADS && started + 1 < count &&
           !pthread_create(&threads[started], NULL, run_thread, fetch))
        started++;
    (void)run_thread(fetch); /* a thread that cannot be made is one less */
    while (started > 0)
        (void)pthread_join(threads[--started], NULL);
    (void)pthread_mutex_destroy(&fetch->lock);
    if (fetch->failed == SIZE_MAX)
        return 0;
    *err = fetch->reason;
    return err->code;
}
