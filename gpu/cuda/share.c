#include "gpu/cuda/share.h"

#include <pthread.h>

/* Of one GPU. */
struct share {
    int ordinal; /* valid while there are contexts */
    uint64_t used_bytes;
    struct cuda_device *contexts[SHARE_CONTEXTS_MAX];
    int context_count;
};

#define SHARES_MAX 64 /* as many as the registry lists */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct share shares[SHARES_MAX]; /* mutex */

/* The share of a GPU, or NULL; with the mutex held. */
static struct share *find(int ordinal)
{
    for (int i = 0; i < SHARES_MAX; i++)
        if (shares[i].context_count && shares[i].ordinal == ordinal)
            return &shares[i];
    return NULL;
}

static struct share *find_or_begin(int ordinal)
{
    struct share *share = find(ordinal);
    for (int i = 0; i < SHARES_MAX && !share; i++)
        if (!shares[i].context_count) {
            share = &shares[i];
            *share = (struct share){.ordinal = ordinal};
        }
    return share;
}

int share_join(struct cuda_device *device, struct err *err)
{
    int code = 0;
    (void)pthread_mutex_lock(&mutex);
    struct share *share = find_or_begin(device->ordinal);
    if (share && share->context_count < SHARE_CONTEXTS_MAX) {
        share->contexts[share->context_count++] = device;
        device->is_sharing = 1;
    } else {
        code = err_set(err, ERR_LIMIT, "device %d has no room for another context of this process",
                       device->ordinal);
    }
    (void)pthread_mutex_unlock(&mutex);
    return code;
}

void share_leave(struct cuda_device *device)
{
    if (!device->is_sharing)
        return;
    (void)pthread_mutex_lock(&mutex);
    struct share *share = find(device->ordinal);
    for (int i = 0; share && i < share->context_count; i++)
        if (share->contexts[i] == device) {
            share->contexts[i] = share->contexts[--share->context_count];
            share->used_bytes -= device->allocated_bytes; /* what a lost device still has */
            break;
        }
    device->is_sharing = 0;
    (void)pthread_mutex_unlock(&mutex);
}

/* -- Pools ------------------------------------------------------------------------------------------ */

static uint64_t reserved_bytes(const struct cuda_device *device)
{
    uint64_t reserved = 0;
    if (cudaMemPoolGetAttribute(device->pool, cudaMemPoolAttrReservedMemCurrent, &reserved) == cudaSuccess)
        return reserved;
    (void)cudaGetLastError();
    return 0;
}

static uint64_t reserved_by_all(const struct share *share)
{
    uint64_t reserved = 0;
    for (int i = 0; i < share->context_count; i++)
        reserved += reserved_bytes(share->contexts[i]);
    return reserved;
}

/* Gives back what all contexts keep, after a wait what they have freed but not yet done with as well; with
 * the mutex held. */
static void give_back(const struct share *share, int is_waiting)
{
    for (int i = 0; i < share->context_count; i++) {
        if (is_waiting)
            (void)cudaStreamSynchronize(share->contexts[i]->stream);
        (void)cudaMemPoolTrimTo(share->contexts[i]->pool, 0);
    }
    (void)cudaGetLastError(); /* a lost device says so to its own calls */
}

/* Whether pools would have to grow beyond the limit for what is claimed; with the mutex held. */
static int would_exceed(const struct share *share, uint64_t most)
{
    uint64_t all = 0;
    for (int i = 0; i < share->context_count; i++) {
        const uint64_t reserved = reserved_bytes(share->contexts[i]),
                       claimed = share->contexts[i]->claimed_bytes;
        all += reserved > claimed ? reserved : claimed;
    }
    return all > most;
}

/* -- Claims ----------------------------------------------------------------------------------------- */

int share_claim(struct cuda_device *device, size_t size_bytes, struct err *err)
{
    const uint64_t most = device->memory_bytes_max;
    int code = 0;
    (void)pthread_mutex_lock(&mutex);
    struct share *share = find(device->ordinal);
    if (share && most && (share->used_bytes > most || size_bytes > most - share->used_bytes)) {
        code = err_set(
            err, ERR_NO_MEMORY,
            "device %d: %.1f MB more would exceed device-memory-mb = %.0f, of which %.1f MB are in use; %s",
            device->ordinal, (double)size_bytes / 1e6, (double)most / 1e6, (double)share->used_bytes / 1e6,
            share_remedy(device));
    } else if (share) {
        share->used_bytes += size_bytes;
        device->claimed_bytes += size_bytes;
        for (int is_waiting = 0; is_waiting < 2 && most && would_exceed(share, most); is_waiting++)
            give_back(share, is_waiting);
    }
    (void)pthread_mutex_unlock(&mutex);
    return code;
}

void share_return(struct cuda_device *device, size_t size_bytes)
{
    (void)pthread_mutex_lock(&mutex);
    struct share *share = find(device->ordinal);
    if (share) {
        share->used_bytes -= size_bytes;
        device->claimed_bytes -= size_bytes;
    }
    (void)pthread_mutex_unlock(&mutex);
}

void share_settle(struct cuda_device *device)
{
    if (!device->memory_bytes_max)
        return;
    (void)pthread_mutex_lock(&mutex);
    const struct share *share = find(device->ordinal);
    if (share && reserved_by_all(share) > device->memory_bytes_max)
        give_back(share, 0);
    (void)pthread_mutex_unlock(&mutex);
}

uint64_t share_left(struct cuda_device *device)
{
    const uint64_t most = device->memory_bytes_max;
    (void)pthread_mutex_lock(&mutex);
    const struct share *share = find(device->ordinal);
    uint64_t used = share ? share->used_bytes : 0;
    (void)pthread_mutex_unlock(&mutex);
    return !most ? UINT64_MAX : used < most ? most - used : 0;
}

const char *share_remedy(const struct cuda_device *device)
{
    return device->memory_bytes_max
               ? "raise device-memory-mb, or measure with device = cpu"
               : "nvidia-smi shows who has the device's memory; or measure with device = cpu";
}
