#include "gpu/cuda/staging.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREAD_BYTES ((size_t)4 << 20)    /* of work that a further thread pays for */
#define PIECE_BYTES_MIN ((size_t)1 << 20) /* below, copies cost more than they bring */
#define PIECES 64                         /* that a transfer is cut into, within these bounds */

/* One of several: cut into pieces that fit a slot, groups of whole rows or parts of one long row. */
struct part {
    uint64_t first, end;     /* its pieces, of all */
    uint64_t rows_per_piece; /* rows are short: so many at once */
    uint64_t pieces_per_row; /* rows are long: so many for each */
};

struct transfer {
    struct cuda_device *device;
    cudaStream_t stream;
    const struct score_watch *watch;
    const struct staging_rows *all; /* [part_count] */
    struct part *parts;             /* [part_count] */
    size_t part_count;
    size_t piece_bytes; /* at most */
    atomic_ullong next; /* piece */
    atomic_int has_failed;
};

struct filler {
    struct transfer *transfer;
    int index;
    int code;
    struct err err;
};

static void fill(const struct staging_rows *rows, unsigned char *to, uint64_t offset_bytes, size_t size_bytes)
{
    if (!rows->is_narrowing) {
        memcpy(to, (const unsigned char *)rows->from + offset_bytes, size_bytes);
        return;
    }
    const unsigned char *from = (const unsigned char *)rows->from + 2 * offset_bytes;
    for (size_t i = 0; i < size_bytes / sizeof(float); i++) {
        double wide;
        memcpy(&wide, from + i * sizeof(wide), sizeof(wide));
        float narrow = (float)wide;
        memcpy(to + i * sizeof(narrow), &narrow, sizeof(narrow));
    }
}

/* `piece` is counted from the part's first. */
static int send_piece(const struct transfer *transfer, size_t number, uint64_t piece,
                      const struct device_slot *slot, struct err *err)
{
    const struct staging_rows *rows = &transfer->all[number];
    const struct part *part = &transfer->parts[number];
    struct cuda_device *device = transfer->device;
    unsigned char *to = rows->to;
    int code = CUDA_CHECK(device, cudaEventSynchronize(slot->sent), err);
    if (code)
        return code;
    if (part->pieces_per_row) {
        uint64_t row = piece / part->pieces_per_row;
        size_t begin = (size_t)(piece % part->pieces_per_row) * transfer->piece_bytes;
        size_t left = rows->row_bytes - begin;
        size_t size = left < transfer->piece_bytes ? left : transfer->piece_bytes;
        fill(rows, slot->host, row * rows->row_bytes + begin, size);
        code = CUDA_CHECK(device,
                          cudaMemcpyAsync(to + row * rows->pitch_bytes + begin, slot->host, size,
                                          cudaMemcpyHostToDevice, transfer->stream),
                          err);
    } else {
        uint64_t row = piece * part->rows_per_piece, left = rows->row_count - row;
        size_t count = (size_t)(left < part->rows_per_piece ? left : part->rows_per_piece);
        fill(rows, slot->host, row * rows->row_bytes, count * rows->row_bytes);
        to += row * rows->pitch_bytes;
        code = rows->pitch_bytes == rows->row_bytes
                   ? CUDA_CHECK(device,
                                cudaMemcpyAsync(to, slot->host, count * rows->row_bytes,
                                                cudaMemcpyHostToDevice, transfer->stream),
                                err)
                   : CUDA_CHECK(device,
                                cudaMemcpy2DAsync(to, rows->pitch_bytes, slot->host, rows->row_bytes,
                                                  rows->row_bytes, count, cudaMemcpyHostToDevice,
                                                  transfer->stream),
                                err);
    }
    if (!code && (code = CUDA_CHECK(device, cudaEventRecord(slot->sent, transfer->stream), err))) {
        (void)cudaStreamSynchronize(transfer->stream); /* or the next to fill the slot would not wait */
        (void)cudaGetLastError();
    }
    return code;
}

static void *run_filler(void *context)
{
    struct filler *filler = context;
    struct transfer *transfer = filler->transfer;
    struct device_slot *slots = transfer->device->slots + 2 * filler->index;
    unsigned *turn = &transfer->device->slot_turns[filler->index]; /* goes on from transfer to transfer */
    size_t part = 0;                                               /* pieces come in order */
    filler->code = device_enter(transfer->device, &filler->err);
    while (!filler->code && !atomic_load(&transfer->has_failed)) {
        uint64_t piece = atomic_fetch_add(&transfer->next, 1);
        while (part < transfer->part_count && piece >= transfer->parts[part].end)
            part++;
        if (part == transfer->part_count)
            break;
        if (transfer->watch && score_watch_look(transfer->watch))
            filler->code = err_set(&filler->err, ERR_CANCELLED, "a copy to the device was cancelled");
        else
            filler->code = send_piece(transfer, part, piece - transfer->parts[part].first,
                                      &slots[(*turn)++ % 2], &filler->err);
    }
    if (filler->code)
        atomic_store(&transfer->has_failed, 1);
    return NULL;
}

static int choose_threads(uint64_t size_bytes)
{
    long usable = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t useful = 1 + size_bytes / THREAD_BYTES;
    if (usable > 0 && useful > (uint64_t)usable)
        useful = (uint64_t)usable;
    return useful < DEVICE_STAGING_THREADS ? (int)useful : DEVICE_STAGING_THREADS;
}

static uint64_t bytes_of_all(const struct transfer *transfer)
{
    uint64_t size_bytes = 0;
    for (size_t i = 0; i < transfer->part_count; i++)
        size_bytes += transfer->all[i].row_bytes * transfer->all[i].row_count;
    return size_bytes;
}

/* While the first pieces are filled nothing is on its way: those of small transfers are smaller than a slot.
 * All are multiples of what memory is aligned to. */
static size_t choose_piece_bytes(uint64_t size_bytes)
{
    const uint64_t bytes = size_bytes / PIECES / DEVICE_ALIGN_BYTES * DEVICE_ALIGN_BYTES;
    return bytes < PIECE_BYTES_MIN             ? PIECE_BYTES_MIN
           : bytes < DEVICE_STAGING_SLOT_BYTES ? (size_t)bytes
                                               : DEVICE_STAGING_SLOT_BYTES;
}

static void cut(struct transfer *transfer)
{
    const size_t piece_bytes = transfer->piece_bytes;
    uint64_t next = 0;
    for (size_t i = 0; i < transfer->part_count; i++) {
        const struct staging_rows *rows = &transfer->all[i];
        struct part *part = &transfer->parts[i];
        *part = (struct part){.first = next, .end = next};
        if (!rows->row_bytes || !rows->row_count)
            continue;
        if (rows->row_bytes > piece_bytes) {
            part->pieces_per_row = (rows->row_bytes - 1) / piece_bytes + 1;
            next += part->pieces_per_row * rows->row_count;
        } else {
            part->rows_per_piece = piece_bytes / rows->row_bytes;
            next += (rows->row_count - 1) / part->rows_per_piece + 1;
        }
        part->end = next;
    }
}

static int run_transfer(struct transfer *transfer, struct err *err)
{
    struct filler fillers[DEVICE_STAGING_THREADS];
    pthread_t threads[DEVICE_STAGING_THREADS];
    int started = 1, code = 0;
    const uint64_t size_bytes = bytes_of_all(transfer);
    const int thread_count = choose_threads(size_bytes);
    if (!size_bytes)
        return 0;
    transfer->piece_bytes = choose_piece_bytes(size_bytes);
    cut(transfer);
    for (int i = 0; i < DEVICE_STAGING_THREADS; i++)
        fillers[i] = (struct filler){.transfer = transfer, .index = i};
    /* A thread that cannot be made is one less: the caller's own always works. */
    while (started < thread_count && !pthread_create(&threads[started], NULL, run_filler, &fillers[started]))
        started++;
    (void)run_filler(&fillers[0]);
    for (int i = 1; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    for (int i = 0; i < started && !code; i++)
        if (fillers[i].code)
            code = err_set(err, (enum err_code)fillers[i].code, "%s", fillers[i].err.message);
    return code;
}

int staging_copy_all(struct cuda_device *device, cudaStream_t stream, const struct staging_rows *all,
                     size_t count, const struct score_watch *watch, struct err *err)
{
    struct part one;
    struct transfer transfer = {
        .device = device, .stream = stream, .watch = watch, .all = all, .parts = &one, .part_count = count};
    if (count > 1 && !(transfer.parts = calloc(count, sizeof(*transfer.parts))))
        return err_set(err, ERR_NO_MEMORY, "no memory to copy %zu tensors", count);
    int code = run_transfer(&transfer, err);
    if (transfer.parts != &one)
        free(transfer.parts);
    return code;
}

int staging_copy_rows(struct cuda_device *device, cudaStream_t stream, const struct staging_rows *rows,
                      struct err *err)
{
    return staging_copy_all(device, stream, rows, 1, NULL, err);
}

int staging_copy(struct cuda_device *device, cudaStream_t stream, void *to, const void *from,
                 size_t size_bytes, struct err *err)
{
    const struct staging_rows rows = staging_whole(to, from, size_bytes);
    return staging_copy_rows(device, stream, &rows, err);
}
