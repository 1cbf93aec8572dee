#include "gpu/cuda/staging.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define THREAD_BYTES ((size_t)32 << 20) /* of work that a further thread pays for */

/* One transfer, cut into pieces that fit a slot: groups of whole rows, or parts of one long row. */
struct transfer {
    struct cuda_device *device;
    cudaStream_t stream;
    const struct staging_rows *rows;
    uint64_t rows_per_piece; /* rows are short: so many at once */
    uint64_t pieces_per_row; /* rows are long: so many for each */
    uint64_t piece_count;
    atomic_ullong next;
    atomic_int has_failed;
    int thread_count;
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

static int send_piece(struct transfer *transfer, uint64_t piece, const struct device_slot *slot,
                      struct err *err)
{
    const struct staging_rows *rows = transfer->rows;
    struct cuda_device *device = transfer->device;
    unsigned char *to = rows->to;
    int code = CUDA_CHECK(device, cudaEventSynchronize(slot->sent), err);
    if (code)
        return code;
    if (transfer->pieces_per_row) {
        uint64_t row = piece / transfer->pieces_per_row;
        size_t begin = (size_t)(piece % transfer->pieces_per_row) * DEVICE_STAGING_SLOT_BYTES;
        size_t left = rows->row_bytes - begin;
        size_t size = left < DEVICE_STAGING_SLOT_BYTES ? left : DEVICE_STAGING_SLOT_BYTES;
        fill(rows, slot->host, row * rows->row_bytes + begin, size);
        code = CUDA_CHECK(device,
                          cudaMemcpyAsync(to + row * rows->pitch_bytes + begin, slot->host, size,
                                          cudaMemcpyHostToDevice, transfer->stream),
                          err);
    } else {
        uint64_t row = piece * transfer->rows_per_piece, left = rows->row_count - row;
        size_t count = (size_t)(left < transfer->rows_per_piece ? left : transfer->rows_per_piece);
        fill(rows, slot->host, row * rows->row_bytes, count * rows->row_bytes);
        code = CUDA_CHECK(device,
                          cudaMemcpy2DAsync(to + row * rows->pitch_bytes, rows->pitch_bytes, slot->host,
                                            rows->row_bytes, rows->row_bytes, count, cudaMemcpyHostToDevice,
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
    filler->code = device_enter(transfer->device, &filler->err);
    while (!filler->code && !atomic_load(&transfer->has_failed)) {
        uint64_t piece = atomic_fetch_add(&transfer->next, 1);
        if (piece >= transfer->piece_count)
            break;
        filler->code = send_piece(transfer, piece, &slots[(*turn)++ % 2], &filler->err);
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

int staging_copy_rows(struct cuda_device *device, cudaStream_t stream, const struct staging_rows *rows,
                      struct err *err)
{
    struct transfer transfer = {.device = device, .stream = stream, .rows = rows};
    struct filler fillers[DEVICE_STAGING_THREADS];
    pthread_t threads[DEVICE_STAGING_THREADS];
    int started = 1, code = 0;
    if (!rows->row_bytes || !rows->row_count)
        return 0;
    if (rows->row_bytes > DEVICE_STAGING_SLOT_BYTES) {
        transfer.pieces_per_row = (rows->row_bytes - 1) / DEVICE_STAGING_SLOT_BYTES + 1;
        transfer.piece_count = transfer.pieces_per_row * rows->row_count;
    } else {
        transfer.rows_per_piece = DEVICE_STAGING_SLOT_BYTES / rows->row_bytes;
        transfer.piece_count = (rows->row_count - 1) / transfer.rows_per_piece + 1;
    }
    transfer.thread_count = choose_threads(rows->row_bytes * rows->row_count);
    for (int i = 0; i < DEVICE_STAGING_THREADS; i++)
        fillers[i] = (struct filler){.transfer = &transfer, .index = i};
    /* A thread that cannot be made is one less: the caller's own always works. */
    while (started < transfer.thread_count &&
           !pthread_create(&threads[started], NULL, run_filler, &fillers[started]))
        started++;
    (void)run_filler(&fillers[0]);
    for (int i = 1; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    for (int i = 0; i < started && !code; i++)
        if (fillers[i].code)
            code = err_set(err, (enum err_code)fillers[i].code, "%s", fillers[i].err.message);
    return code;
}

int staging_copy(struct cuda_device *device, cudaStream_t stream, void *to, const void *from,
                 size_t size_bytes, struct err *err)
{
    struct staging_rows rows = {
        .to = to, .pitch_bytes = size_bytes, .from = from, .row_bytes = size_bytes, .row_count = 1};
    return staging_copy_rows(device, stream, &rows, err);
}
