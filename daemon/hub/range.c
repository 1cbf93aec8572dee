/* Reading one range, into memory or as a stream: which pieces are under way at once. */
#include "daemon/hub/piece.h"
#include "daemon/hub/remote.h"

#include "daemon/base/limits.h"

#include <stdlib.h>

#define PIECE_BYTES_MAX (8 * MIB)
#define PIECE_BYTES_MIN (1 * MIB)
#define SLOTS_MAX 32

struct range {
    struct remote *remote;
    unsigned char *data;       /* where all goes; NULL for a stream */
    remote_take *take;         /* of a stream */
    void *context;             /* for take */
    uint64_t begin, end, next; /* [next, end) is not yet given to a slot */
    uint64_t taken;            /* of a stream: [begin, taken) was handed on */
    uint64_t piece_bytes;
    size_t slot_count, sent_max;
    struct piece slots[SLOTS_MAX];
};

/* The next piece for an idle slot; nonzero without memory. */
static int assign(struct range *range, struct piece *slot)
{
    uint64_t left = range->end - range->next;
    if (range->take && !slot->data)
        slot->data = malloc((size_t)range->piece_bytes);
    slot->begin = range->next;
    slot->end = slot->begin + (left < range->piece_bytes ? left : range->piece_bytes);
    if (!range->take)
        slot->data = range->data + (slot->begin - range->begin);
    slot->got = 0;
    slot->attempt = slot->submission_count = slot->hop_count = 0;
    slot->transfer.start_at_ms = 0;
    range->next = slot->end;
    return slot->data ? 0 : -1;
}

/* Gives work to idle slots and sends what is pending. Until it is known where the bytes are, one asks alone.
 */
static int send_pending(struct range *range, struct err *err)
{
    struct remote *remote = range->remote;
    size_t sent_count = 0;
    for (size_t i = 0; i < range->slot_count; i++)
        sent_count += range->slots[i].state == PIECE_STATE_SENT;
    for (size_t i = 0; i < range->slot_count; i++) {
        struct piece *slot = &range->slots[i];
        if (sent_count >= (remote->is_settled ? range->sent_max : 1))
            return 0;
        if (slot->state == PIECE_STATE_IDLE && range->next < range->end) {
            if (assign(range, slot))
                return err_set(err, ERR_NO_MEMORY, "out of memory");
            slot->state = PIECE_STATE_PENDING;
        }
        if (slot->state != PIECE_STATE_PENDING)
            continue;
        int code = piece_submit(slot, err);
        if (code)
            return code;
        sent_count++;
    }
    return 0;
}

/* Hands on what is complete up to the first gap. The other slots go on receiving meanwhile. */
static int deliver(struct range *range, struct err *err)
{
    for (size_t i = 0; i < range->slot_count;) {
        struct piece *slot = &range->slots[i];
        if (slot->state != PIECE_STATE_FULL || slot->begin != range->taken) {
            i++;
            continue;
        }
        int code = range->take(range->context, slot->data, (size_t)(slot->end - slot->begin), err);
        if (code)
            return code;
        range->taken = slot->end;
        slot->state = PIECE_STATE_IDLE;
        i = 0;
    }
    return 0;
}

static int run(struct range *range, struct err *err)
{
    struct remote *remote = range->remote;
    for (;;) {
        struct transfer *sent[SLOTS_MAX] = {NULL};
        size_t sent_count = 0, index = 0;
        int code = send_pending(range, err);
        if (!code && range->take)
            code = deliver(range, err);
        if (!code && range->take)
            code = send_pending(range, err);
        if (code)
            return code;
        for (size_t i = 0; i < range->slot_count; i++) {
            if (range->slots[i].state == PIECE_STATE_SENT) {
                sent[i] = &range->slots[i].transfer;
                sent_count++;
            }
        }
        if (sent_count == 0)
            return 0;
        code = transfers_wait_any(remote->repository->hub->transfers, sent, range->slot_count,
                                  remote->repository->repository.cancel, &index, err);
        if (code)
            return code;
        client_count(remote->repository, sent[index]);
        code = piece_handle(&range->slots[index], err);
        if (code)
            return code;
        if (range->take && range->slots[index].state == PIECE_STATE_IDLE)
            range->slots[index].state = PIECE_STATE_FULL;
        if (remote->known.has_size && range->end > remote->source.size_bytes)
            range->end = remote->source.size_bytes;
    }
}

/* Breaks off what is still under way after a failure. */
static void end_slots(struct range *range)
{
    struct remote *remote = range->remote;
    struct transfer *sent[SLOTS_MAX] = {NULL};
    for (size_t i = 0; i < range->slot_count; i++) {
        if (range->slots[i].state == PIECE_STATE_SENT)
            sent[i] = &range->slots[i].transfer;
    }
    transfers_abort(remote->repository->hub->transfers, sent, range->slot_count);
    for (size_t i = 0; i < range->slot_count; i++) {
        if (sent[i])
            client_count(remote->repository, sent[i]);
        transfer_reset(&range->slots[i].transfer);
        free(range->slots[i].url);
        if (range->take)
            free(range->slots[i].data);
    }
}

static int run_range(struct range *range, uint64_t begin, uint64_t size, struct err *err)
{
    struct remote *remote = range->remote;
    uint64_t connections = (uint64_t)remote->repository->hub->options.connections_per_file_max;
    uint64_t share = size / connections + 1;
    range->begin = range->next = range->taken = begin;
    range->end = begin + size;
    range->piece_bytes = share > PIECE_BYTES_MAX   ? PIECE_BYTES_MAX
                         : share < PIECE_BYTES_MIN ? PIECE_BYTES_MIN
                                                   : share;
    range->sent_max = connections < SLOTS_MAX - 2 ? (size_t)connections : SLOTS_MAX - 2;
    range->slot_count = range->sent_max + (range->take ? 2 : 0); /* two that may wait to be handed on */
    for (size_t i = 0; i < range->slot_count; i++) {
        transfer_init(&range->slots[i].transfer);
        range->slots[i].remote = remote;
    }
    int code = run(range, err);
    end_slots(range);
    return code ? err_wrap(err, "%s", remote->path) : 0;
}

int remote_read_range(struct remote *remote, uint64_t begin, uint64_t size, unsigned char *data,
                      struct err *err)
{
    struct range *range = calloc(1, sizeof *range);
    if (!range)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", remote->path);
    range->remote = remote;
    range->data = data;
    int code = run_range(range, begin, size, err);
    free(range);
    return code;
}

int remote_read_stream(struct source *source, uint64_t begin, remote_take *take, void *context,
                       struct err *err)
{
    struct remote *remote = (struct remote *)source;
    struct range *range = calloc(1, sizeof *range);
    if (!range)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", remote->path);
    range->remote = remote;
    range->take = take;
    range->context = context;
    (void)pthread_mutex_lock(&remote->mutex);
    int code = run_range(range, begin, source->size_bytes - begin, err);
    (void)pthread_mutex_unlock(&remote->mutex);
    free(range);
    return code;
}
