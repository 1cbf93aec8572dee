#include "api/http/parts.h"

#include "api/http/deliver.h"
#include "api/http/state.h"
#include "daemon/base/limits.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (64 * KIB)
#define PART_BYTES_MAX (64 * MIB)

struct sending {
    struct api_request *request; /* outlives the sending, but not this struct */
    struct api_parts parts;
    struct buf part;
    size_t sent;          /* bytes of the part */
    atomic_size_t *total; /* of all answers; the memory of this one is in it */
};

/* It says 200 already, so that nobody but the log is told why it ends. */
static void log_failure(struct api_request *request, const struct err *err)
{
    const struct api_access_log *log = &request->http->options.access_log;
    if (log->failed)
        log->failed(log->context, api_request_id(request), request->target, err->message);
}

static ssize_t read_parts(void *context, uint64_t at, char *data, size_t size)
{
    struct sending *sending = context;
    struct err err = ERR_INIT;
    (void)at;
    if (sending->sent == sending->part.size) {
        sending->sent = 0;
        buf_clear(&sending->part);
        if (sending->parts.next(sending->parts.context, &sending->part, &err)) {
            log_failure(sending->request, &err);
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        if (sending->part.size == 0)
            return MHD_CONTENT_READER_END_OF_STREAM;
    }
    size_t left = sending->part.size - sending->sent;
    if (size > left)
        size = left;
    memcpy(data, sending->part.data + sending->sent, size);
    sending->sent += size;
    sending->request->answer_bytes += size;
    return (ssize_t)size;
}

static void free_sending(void *context)
{
    struct sending *sending = context;
    atomic_fetch_sub(sending->total, sending->parts.memory_bytes);
    sending->parts.free(sending->parts.context);
    buf_free(&sending->part);
    free(sending);
}

int api_parts_answer(struct api_request *request, const struct api_parts *parts,
                     struct api_response *response, struct err *err)
{
    struct sending *sending = calloc(1, sizeof *sending);
    if (!sending) {
        parts->free(parts->context);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    *sending = (struct sending){.request = request, .parts = *parts, .total = &request->http->answer_bytes};
    const size_t before = atomic_fetch_add(sending->total, parts->memory_bytes);
    buf_init(&sending->part, PART_BYTES_MAX);
    response->stream =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_parts, sending, free_sending);
    response->is_in_parts = response->stream != NULL;
    if (response->stream)
        return api_deliver_check_room(request, parts->memory_bytes, before, err);
    free_sending(sending);
    return err_set(err, ERR_NO_MEMORY, "out of memory");
}
