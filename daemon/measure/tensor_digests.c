#include "daemon/measure/tensor_digests.h"

#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "gpu/cpu/threads.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP_BYTES (4 * MIB)
#define THREAD_BYTES (16 * MIB) /* of work that a further thread pays for */

struct item {
    const unsigned char *data;
    size_t size;
    char hex[DIGEST_SHA256_HEX_SIZE]; /* "": to be hashed */
};

struct tensor_digests {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct item *items;
    size_t count;              /* room */
    size_t added, taken, done; /* in this order: lock */
    int is_stopping;           /* lock */
    int code;                  /* of the first that failed: lock */
    struct err reason;
    const atomic_bool *cancel;
    struct pulse *pulse; /* the caller's, that all beat */
    pthread_t threads[TENSOR_DIGESTS_THREADS_MAX];
    int thread_count; /* beside the caller */
};

static int is_ending(struct tensor_digests *digests)
{
    (void)pthread_mutex_lock(&digests->lock);
    int is_ending = digests->is_stopping || digests->code;
    (void)pthread_mutex_unlock(&digests->lock);
    return is_ending || (digests->cancel && atomic_load(digests->cancel));
}

static int digest_item(struct tensor_digests *digests, struct item *item, struct err *err)
{
    struct digest *digest = NULL;
    if (item->hex[0])
        return 0;
    int code = digest_new(DIGEST_KIND_SHA256, &digest, err);
    for (size_t at = 0; at < item->size && !code; at += STEP_BYTES) {
        size_t left = item->size - at;
        pulse_beat();
        code = is_ending(digests)
                   ? err_set(err, ERR_CANCELLED, "hashing the weights was cancelled")
                   : digest_update(digest, item->data + at, left < STEP_BYTES ? left : STEP_BYTES, err);
    }
    if (!code)
        code = digest_finish_hex(digest, item->hex, sizeof item->hex, err);
    digest_free(digest);
    return code;
}

/* Takes one tensor after the other until there is none; with the lock, which is let go of meanwhile. */
static void work(struct tensor_digests *digests)
{
    while (digests->taken < digests->added && !digests->code && !digests->is_stopping) {
        struct item *item = &digests->items[digests->taken++];
        struct err reason = ERR_INIT;
        (void)pthread_mutex_unlock(&digests->lock);
        int code = digest_item(digests, item, &reason);
        (void)pthread_mutex_lock(&digests->lock);
        digests->done++;
        if (code && !digests->code) {
            digests->code = code;
            digests->reason = reason;
        }
        (void)pthread_cond_broadcast(&digests->changed);
    }
}

static void *run_thread(void *context)
{
    struct tensor_digests *digests = context;
    pulse_attach(digests->pulse);
    (void)pthread_mutex_lock(&digests->lock);
    while (!digests->is_stopping) {
        work(digests);
        if (!digests->is_stopping)
            (void)pthread_cond_wait(&digests->changed, &digests->lock);
    }
    (void)pthread_mutex_unlock(&digests->lock);
    return NULL;
}

/* Of which the caller is one. */
static int choose_threads(size_t count, uint64_t total_bytes)
{
    uint64_t usable = (uint64_t)cpu_threads_usable(), useful = 1 + total_bytes / THREAD_BYTES;
    useful = useful > count ? count : useful;
    useful = useful > usable ? usable : useful;
    return useful < TENSOR_DIGESTS_THREADS_MAX ? (int)useful : TENSOR_DIGESTS_THREADS_MAX;
}

int tensor_digests_new(size_t count, uint64_t total_bytes, int thread_count, const atomic_bool *cancel,
                       struct tensor_digests **ret_digests, struct err *err)
{
    struct tensor_digests *digests = calloc(1, sizeof *digests);
    if (digests)
        digests->items = calloc(count + 1, sizeof *digests->items);
    if (!digests || !digests->items) {
        free(digests);
        return err_set(err, ERR_NO_MEMORY, "digests of tensors: out of memory");
    }
    digests->count = count;
    digests->cancel = cancel;
    digests->pulse = pulse_own();
    (void)pthread_mutex_init(&digests->lock, NULL);
    (void)pthread_cond_init(&digests->changed, NULL);
    if (!thread_count)
        thread_count = choose_threads(count, total_bytes);
    if (thread_count > TENSOR_DIGESTS_THREADS_MAX)
        thread_count = TENSOR_DIGESTS_THREADS_MAX;
    while (digests->thread_count < thread_count - 1 &&
           !pthread_create(&digests->threads[digests->thread_count], NULL, run_thread, digests))
        digests->thread_count++;
    *ret_digests = digests;
    return 0;
}

static void add(struct tensor_digests *digests, const struct item *item)
{
    (void)pthread_mutex_lock(&digests->lock);
    assert(digests->added < digests->count);
    digests->items[digests->added++] = *item;
    (void)pthread_cond_broadcast(&digests->changed);
    (void)pthread_mutex_unlock(&digests->lock);
}

void tensor_digests_add(struct tensor_digests *digests, const void *data, size_t size)
{
    const struct item item = {.data = data, .size = size};
    add(digests, &item);
}

void tensor_digests_add_known(struct tensor_digests *digests, const char *hex)
{
    struct item item = {.data = NULL};
    (void)snprintf(item.hex, sizeof item.hex, "%s", hex);
    add(digests, &item);
}

int tensor_digests_finish(struct tensor_digests *digests, struct err *err)
{
    (void)pthread_mutex_lock(&digests->lock);
    work(digests);
    while (digests->done < digests->taken)
        (void)pthread_cond_wait(&digests->changed, &digests->lock);
    int code = digests->code;
    if (code)
        *err = digests->reason;
    (void)pthread_mutex_unlock(&digests->lock);
    return code;
}

const char *tensor_digests_hex(const struct tensor_digests *digests, size_t index)
{
    assert(index < digests->done);
    return digests->items[index].hex;
}

void tensor_digests_free(struct tensor_digests *digests)
{
    if (!digests)
        return;
    (void)pthread_mutex_lock(&digests->lock);
    digests->is_stopping = 1;
    (void)pthread_cond_broadcast(&digests->changed);
    (void)pthread_mutex_unlock(&digests->lock);
    for (int i = 0; i < digests->thread_count; i++)
        (void)pthread_join(digests->threads[i], NULL);
    (void)pthread_cond_destroy(&digests->changed);
    (void)pthread_mutex_destroy(&digests->lock);
    free(digests->items);
    free(digests);
}
