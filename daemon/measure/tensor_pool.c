#include "daemon/measure/tensor_pool.h"

#include "daemon/base/pulse.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 250   /* how often who waits shows that it does */
#define PASSES_MAX 32 /* of who came later and went before it */

enum entry_state { ENTRY_STATE_LOADING, ENTRY_STATE_READY, ENTRY_STATE_FAILED };

struct entry {
    struct pooled_tensor tensor;
    char *key;
    enum entry_state state;
    struct err reason; /* of ENTRY_STATE_FAILED */
    unsigned use_count;
    uint64_t last_used; /* number of the release */
    struct entry *next;
};

/* Who waits for room. */
struct waiter {
    struct waiter *next;
    int passes;
};

struct tensor_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry *entries;
    struct waiter *waiters; /* the first came first */
    uint64_t budget_bytes;
    uint64_t size_bytes; /* of all entries */
    uint64_t used_bytes; /* of entries in use */
    uint64_t releases;
};

int tensor_pool_new(uint64_t budget_bytes, struct tensor_pool **ret_pool, struct err *err)
{
    struct tensor_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return err_set(err, ERR_NO_MEMORY, "tensor pool: out of memory");
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->changed, NULL);
    pool->budget_bytes = budget_bytes;
    *ret_pool = pool;
    return 0;
}

static void free_entry(struct entry *entry)
{
    free(entry->tensor.data);
    free(entry->key);
    free(entry);
}

/* Takes an entry that nobody uses out of the list. Called with the lock. */
static void drop_entry(struct tensor_pool *pool, struct entry *entry)
{
    assert(entry->use_count == 0);
    for (struct entry **place = &pool->entries; *place; place = &(*place)->next) {
        if (*place == entry) {
            *place = entry->next;
            break;
        }
    }
    pool->size_bytes -= entry->tensor.size_bytes;
    free_entry(entry);
}

void tensor_pool_free(struct tensor_pool *pool)
{
    if (!pool)
        return;
    while (pool->entries)
        drop_entry(pool, pool->entries);
    (void)pthread_cond_destroy(&pool->changed);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* A hub that describes the same file in two ways must not make us read past the end of the smaller: so the
 * form counts, too. */
static int is_entry_of(const struct entry *entry, const struct tensor_request *request)
{
    return entry->state != ENTRY_STATE_FAILED && strcmp(entry->key, request->key) == 0 &&
           entry->tensor.size_bytes == request->size_bytes &&
           tensor_is_of_form(entry->tensor.view.dtype, &entry->tensor.view.shape, request->dtype,
                             &request->shape);
}

static struct entry *find_entry(struct tensor_pool *pool, const struct tensor_request *request)
{
    for (struct entry *entry = pool->entries; entry; entry = entry->next) {
        if (is_entry_of(entry, request))
            return entry;
    }
    return NULL;
}

static struct entry *least_recently_used(struct tensor_pool *pool)
{
    struct entry *oldest = NULL;
    for (struct entry *entry = pool->entries; entry; entry = entry->next) {
        if (entry->use_count == 0 && (!oldest || entry->last_used < oldest->last_used))
            oldest = entry;
    }
    return oldest;
}

static int is_first_of_key(const struct tensor_request *requests, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(requests[i].key, requests[index].key) == 0 &&
            requests[i].size_bytes == requests[index].size_bytes &&
            tensor_is_of_form(requests[i].dtype, &requests[i].shape, requests[index].dtype,
                              &requests[index].shape))
            return 0;
    }
    return 1;
}

static int is_cancelled(const atomic_bool *cancel)
{
    return cancel && atomic_load(cancel);
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* The bytes of what nobody uses yet. */
static uint64_t need_of(struct tensor_pool *pool, const struct tensor_request *requests, size_t count)
{
    uint64_t need = 0;
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = find_entry(pool, &requests[i]);
        if (is_first_of_key(requests, i) && !(entry && entry->use_count))
            need = saturating_add(need, requests[i].size_bytes);
    }
    return need;
}

/* Whether the one that waits may go on: its requests fit beside what others use (with nothing in use they
 * always do), and nobody before it was passed too often. Small tensors that come and go would otherwise leave
 * no room for a large one for as long as there are any. Called with the lock. */
static int may_enter(struct tensor_pool *pool, const struct waiter *own,
                     const struct tensor_request *requests, size_t count)
{
    const uint64_t need = need_of(pool, requests, count);
    if (!need)
        return 1;
    for (const struct waiter *other = pool->waiters; other != own; other = other->next) {
        if (other->passes >= PASSES_MAX)
            return 0;
    }
    return saturating_add(need, pool->used_bytes) <= pool->budget_bytes || pool->used_bytes == 0;
}

/* Waits for room; *cancel ends it. Called with the lock. */
static void wait_for_room(struct tensor_pool *pool, const struct tensor_request *requests, size_t count,
                          const atomic_bool *cancel)
{
    struct waiter own = {0}, **at = &pool->waiters;
    int enters = 0;
    while (*at)
        at = &(*at)->next;
    *at = &own;
    while (!is_cancelled(cancel) && !(enters = may_enter(pool, &own, requests, count)))
        pulse_wait(&pool->changed, &pool->lock, WAIT_MS);
    for (at = &pool->waiters; *at != &own; at = &(*at)->next)
        (*at)->passes += enters;
    *at = own.next;
    if (own.passes >= PASSES_MAX) /* those behind it may go on */
        (void)pthread_cond_broadcast(&pool->changed);
}

/* Adds an entry in the state of loading. NULL without memory. Called with the lock. */
static struct entry *add_entry(struct tensor_pool *pool, const struct tensor_request *request)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->key = strdup(request->key);
    entry->state = ENTRY_STATE_LOADING;
    entry->tensor.size_bytes = request->size_bytes;
    entry->tensor.view = (struct tensor_view){.dtype = request->dtype, .shape = request->shape};
    entry->tensor.private_entry = entry;
    if (!entry->key) {
        free(entry);
        return NULL;
    }
    pool->size_bytes += request->size_bytes;
    entry->next = pool->entries;
    pool->entries = entry;
    return entry;
}

/* Counts one more user. Called with the lock. */
static void use_entry(struct tensor_pool *pool, struct entry *entry)
{
    if (entry->use_count++ == 0)
        pool->used_bytes += entry->tensor.size_bytes;
}

/* Counts one user less; a failed entry goes with its last user. Called with the lock. */
static void unuse_entry(struct tensor_pool *pool, struct entry *entry)
{
    assert(entry->use_count > 0);
    if (--entry->use_count == 0) {
        pool->used_bytes -= entry->tensor.size_bytes;
        entry->last_used = ++pool->releases;
        if (entry->state == ENTRY_STATE_FAILED)
            drop_entry(pool, entry);
    }
    (void)pthread_cond_broadcast(&pool->changed);
}

/* Reads the bytes and their digest; no lock is held. */
static int load_entry(struct entry *entry, const struct tensor_request *request, struct err *err)
{
    struct pooled_tensor *tensor = &entry->tensor;
    uint64_t size = request->size_bytes;
    if (size > SIZE_MAX - 64)
        return err_set(err, ERR_NO_MEMORY, "a tensor of %" PRIu64 " bytes does not fit into memory", size);
    tensor->data = aligned_alloc(64, ((size_t)size + 64) / 64 * 64);
    if (!tensor->data)
        return err_set(err, ERR_NO_MEMORY, "no memory for a tensor of %" PRIu64 " bytes", size);
    int code = request->load(request->context, tensor->data, size, err);
    if (!code)
        code = digest_sha256_hex(tensor->data, (size_t)size, tensor->digest, err);
    if (code)
        return code;
    tensor->view.data = tensor->data;
    return 0;
}

/* Makes room by dropping what nobody uses. Called with the lock. */
static void evict(struct tensor_pool *pool, uint64_t more_bytes)
{
    while (saturating_add(pool->size_bytes, more_bytes) > pool->budget_bytes) {
        struct entry *oldest = least_recently_used(pool);
        if (!oldest)
            break;
        drop_entry(pool, oldest);
    }
}

/* Registers this caller as a user of all entries; is_mine[i] says which ones it has to load. */
static void enter(struct tensor_pool *pool, const struct tensor_request *requests, size_t count,
                  struct entry **entries, int *is_mine)
{
    /* First those that are there, so that making room for the others does not drop them. */
    for (size_t i = 0; i < count; i++) {
        entries[i] = find_entry(pool, &requests[i]);
        if (entries[i])
            use_entry(pool, entries[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i])
            continue;
        entries[i] = find_entry(pool, &requests[i]); /* an equal key among the requests */
        if (!entries[i]) {
            evict(pool, requests[i].size_bytes);
            entries[i] = add_entry(pool, &requests[i]);
            is_mine[i] = entries[i] != NULL;
        }
        if (entries[i])
            use_entry(pool, entries[i]);
    }
}

/* Waits for one entry; gives its result. Called with the lock, which is held again on return. */
static void settle(struct tensor_pool *pool, struct entry *entry, const atomic_bool *cancel,
                   struct pooled_tensor **ret_tensor, int *code, struct err *err)
{
    if (!entry) {
        *code = err_set(err, ERR_NO_MEMORY, "tensor pool: out of memory");
        return;
    }
    while (entry->state == ENTRY_STATE_LOADING && !is_cancelled(cancel))
        pulse_wait(&pool->changed, &pool->lock, WAIT_MS);
    if (entry->state == ENTRY_STATE_READY) {
        *ret_tensor = &entry->tensor;
        return;
    }
    if (entry->state == ENTRY_STATE_FAILED) {
        *err = entry->reason;
        *code = err->code;
    } else {
        *code = err_set(err, ERR_CANCELLED, "cancelled while another task was loading the tensor");
    }
    unuse_entry(pool, entry);
}

int tensor_pool_acquire(struct tensor_pool *pool, const struct tensor_request *requests, size_t count,
                        const atomic_bool *cancel, struct pooled_tensor **ret_tensors, int *codes,
                        struct err *errs)
{
    struct entry *entries[TENSOR_POOL_REQUESTS_MAX] = {0};
    int is_mine[TENSOR_POOL_REQUESTS_MAX] = {0};
    assert(count <= TENSOR_POOL_REQUESTS_MAX);
    for (size_t i = 0; i < count; i++) {
        ret_tensors[i] = NULL;
        codes[i] = 0;
    }
    (void)pthread_mutex_lock(&pool->lock);
    wait_for_room(pool, requests, count, cancel);
    if (is_cancelled(cancel)) {
        (void)pthread_mutex_unlock(&pool->lock);
        return ERR_CANCELLED;
    }
    enter(pool, requests, count, entries, is_mine);
    (void)pthread_mutex_unlock(&pool->lock);

    /* Own loads come before waiting for those of others: so no two callers can wait for each other. */
    for (size_t i = 0; i < count; i++) {
        if (!is_mine[i])
            continue;
        struct err reason = ERR_INIT;
        int code = load_entry(entries[i], &requests[i], &reason);
        (void)pthread_mutex_lock(&pool->lock);
        entries[i]->reason = reason;
        entries[i]->state = code ? ENTRY_STATE_FAILED : ENTRY_STATE_READY;
        (void)pthread_cond_broadcast(&pool->changed);
        (void)pthread_mutex_unlock(&pool->lock);
    }
    (void)pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < count; i++)
        settle(pool, entries[i], cancel, &ret_tensors[i], &codes[i], &errs[i]);
    (void)pthread_mutex_unlock(&pool->lock);
    return 0;
}

struct pooled_tensor *tensor_pool_find(struct tensor_pool *pool, const struct tensor_request *request)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct entry *entry = find_entry(pool, request);
    if (entry && entry->state == ENTRY_STATE_READY)
        use_entry(pool, entry);
    else
        entry = NULL;
    (void)pthread_mutex_unlock(&pool->lock);
    return entry ? &entry->tensor : NULL;
}

void tensor_pool_distrust(struct tensor_pool *pool, struct pooled_tensor *tensor, const struct err *reason)
{
    struct entry *entry = tensor->private_entry;
    (void)pthread_mutex_lock(&pool->lock);
    entry->reason = *reason;
    entry->state = ENTRY_STATE_FAILED; /* goes with its last user */
    (void)pthread_mutex_unlock(&pool->lock);
}

void tensor_pool_release(struct tensor_pool *pool, struct pooled_tensor *tensor)
{
    if (!tensor)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    unuse_entry(pool, tensor->private_entry);
    (void)pthread_mutex_unlock(&pool->lock);
}

int tensor_pool_count_waiting(struct tensor_pool *pool)
{
    int count = 0;
    (void)pthread_mutex_lock(&pool->lock);
    for (const struct waiter *waiter = pool->waiters; waiter; waiter = waiter->next)
        count++;
    (void)pthread_mutex_unlock(&pool->lock);
    return count;
}

void tensor_pool_wake(struct tensor_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
}

uint64_t tensor_pool_size(struct tensor_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    uint64_t size = pool->size_bytes;
    (void)pthread_mutex_unlock(&pool->lock);
    return size;
}
