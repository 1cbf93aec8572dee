#include "daemon/measure/tensor_reader.h"

#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "gpu/cpu/threads.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES (4 * MIB)
#define THREAD_BYTES (8 * MIB) /* of work that a further thread pays for */

/* A tensor's pieces; none where the caller reads it whole. */
struct part {
    struct source *source; /* NULL: a copy */
    uint64_t offset;
    size_t first, end; /* its pieces, of all */
    size_t left;       /* that are not there yet: lock */
};

struct reader {
    const struct tensor_read *reads;
    struct part *parts;
    size_t count, piece_count;
    const atomic_bool *cancel;
    struct pulse *pulse; /* the caller's, that all beat */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t next, next_part; /* the piece that is taken next, and whose it is: lock */
    int code;               /* of the first that failed: lock */
    struct err reason;
};

static int is_cancelled(const struct reader *reader)
{
    return reader->cancel && atomic_load(reader->cancel);
}

static int read_piece(const struct reader *reader, size_t number, size_t piece, struct err *err)
{
    const struct tensor_read *read = &reader->reads[number];
    const struct part *part = &reader->parts[number];
    uint64_t begin = (piece - part->first) * (uint64_t)PIECE_BYTES, left = read->tensor->size_bytes - begin;
    size_t size = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    if (is_cancelled(reader))
        return err_set(err, ERR_CANCELLED, "reading the weights was cancelled");
    if (part->source)
        return source_read(part->source, part->offset + begin, (char *)read->data + begin, size, err);
    memcpy((char *)read->data + begin, (const char *)read->copy_of + begin, size);
    pulse_beat();
    return 0;
}

/* Takes the next piece and reads it, with the lock, which is let go of meanwhile; 0: there is none. */
static int take_piece(struct reader *reader)
{
    struct err reason = ERR_INIT;
    if (reader->code || reader->next == reader->piece_count)
        return 0;
    size_t piece = reader->next++;
    while (piece >= reader->parts[reader->next_part].end)
        reader->next_part++;
    size_t number = reader->next_part;
    (void)pthread_mutex_unlock(&reader->lock);
    int code = read_piece(reader, number, piece, &reason);
    (void)pthread_mutex_lock(&reader->lock);
    if (code && !reader->code) {
        reader->code = code;
        reader->reason = reason;
    }
    if (--reader->parts[number].left == 0 || code)
        (void)pthread_cond_broadcast(&reader->changed);
    return 1;
}

static void *run_thread(void *context)
{
    struct reader *reader = context;
    pulse_attach(reader->pulse);
    (void)pthread_mutex_lock(&reader->lock);
    while (take_piece(reader))
        ;
    (void)pthread_mutex_unlock(&reader->lock);
    return NULL;
}

/* Until the tensor is there; the caller's thread reads like the others meanwhile. */
static int await_pieces(struct reader *reader, size_t number, struct err *err)
{
    (void)pthread_mutex_lock(&reader->lock);
    while (reader->parts[number].left && !reader->code)
        if (!take_piece(reader))
            (void)pthread_cond_wait(&reader->changed, &reader->lock);
    int code = reader->code;
    if (code)
        *err = reader->reason;
    (void)pthread_mutex_unlock(&reader->lock);
    return code;
}

static int read_whole(const struct reader *reader, size_t number, struct err *err)
{
    const struct tensor_read *read = &reader->reads[number];
    if (is_cancelled(reader))
        return err_set(err, ERR_CANCELLED, "reading the weights was cancelled");
    if (read->copy_of) /* of nothing: it has no pieces */
        return 0;
    return checkpoint_read(read->checkpoint, read->tensor, read->data, (size_t)read->tensor->size_bytes, err);
}

/* In order, so that who is told can go on with one while the next ones come. */
static int read_all(struct reader *reader, tensor_reader_note *note, void *context, struct err *err)
{
    for (size_t i = 0; i < reader->count; i++) {
        const struct part *part = &reader->parts[i];
        int code = part->first < part->end ? await_pieces(reader, i, err) : read_whole(reader, i, err);
        if (code)
            return code;
        if (note)
            note(context, i);
    }
    return 0;
}

/* Returns the bytes that threads can share. */
static uint64_t cut(struct reader *reader)
{
    uint64_t shared_bytes = 0;
    for (size_t i = 0; i < reader->count; i++) {
        const struct tensor_read *read = &reader->reads[i];
        struct part *part = &reader->parts[i];
        uint64_t size = read->tensor->size_bytes;
        part->first = part->end = reader->piece_count;
        if (!size || (!read->copy_of &&
                      !checkpoint_locate(read->checkpoint, read->tensor, &part->source, &part->offset)))
            continue;
        part->left = (size_t)((size - 1) / PIECE_BYTES) + 1;
        part->end = reader->piece_count += part->left;
        shared_bytes += size;
    }
    return shared_bytes;
}

static int choose_threads(const struct reader *reader, uint64_t shared_bytes)
{
    uint64_t usable = (uint64_t)cpu_threads_usable(), useful = 1 + shared_bytes / THREAD_BYTES;
    useful = useful > reader->piece_count ? reader->piece_count : useful;
    useful = useful > usable ? usable : useful;
    return useful < TENSOR_READER_THREADS_MAX ? (int)useful : TENSOR_READER_THREADS_MAX;
}

int tensor_reader_run(const struct tensor_read *reads, size_t count, int thread_count,
                      const atomic_bool *cancel, tensor_reader_note *note, void *context, struct err *err)
{
    struct reader reader = {.reads = reads, .count = count, .cancel = cancel, .pulse = pulse_own()};
    pthread_t threads[TENSOR_READER_THREADS_MAX];
    int started = 0;
    reader.parts = calloc(count + 1, sizeof *reader.parts);
    if (!reader.parts)
        return err_set(err, ERR_NO_MEMORY, "no memory to read %zu tensors", count);
    (void)pthread_mutex_init(&reader.lock, NULL);
    (void)pthread_cond_init(&reader.changed, NULL);
    uint64_t shared_bytes = cut(&reader);
    if (!thread_count)
        thread_count = choose_threads(&reader, shared_bytes);
    if (thread_count > TENSOR_READER_THREADS_MAX)
        thread_count = TENSOR_READER_THREADS_MAX;
    while (started < thread_count - 1 && !pthread_create(&threads[started], NULL, run_thread, &reader))
        started++;
    int code = read_all(&reader, note, context, err);
    if (code) {
        (void)pthread_mutex_lock(&reader.lock);
        reader.code = code; /* the others take nothing more */
        (void)pthread_mutex_unlock(&reader.lock);
    }
    while (started > 0)
        (void)pthread_join(threads[--started], NULL);
    (void)pthread_cond_destroy(&reader.changed);
    (void)pthread_mutex_destroy(&reader.lock);
    free(reader.parts);
    return code;
}
