/* Reading one range: pieces, redirects, retries, and the checks that hold them together. */
#include "daemon/hub/remote.h"

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/hub/url.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES_MAX (8 * MIB)
#define PIECE_BYTES_MIN (1 * MIB)
#define SLOTS_MAX 32
#define SKIP_BYTES_MAX (1 * MIB)  /* of a whole answer to a request for a range */
#define SUBMISSIONS_MAX 1000      /* of one piece: a server that gives a byte at a time */
#define EXPIRIES_MAX 3            /* re-resolutions without a byte in between */
#define ATTEMPTS_AT_ONE_ADDRESS 2 /* then the hub is asked for a fresh one */

enum slot_state { SLOT_STATE_IDLE, SLOT_STATE_PENDING, SLOT_STATE_SENT };

/* One piece in flight. While it is SENT, the network thread writes data, got, skip and answer_end, and reads
 * nothing of the remote but the copy in `known`. */
struct slot {
    struct transfer transfer;
    struct remote *remote;
    enum slot_state state;
    char *url; /* a copy: remote->url may change meanwhile */
    struct remote_identity known;
    uint64_t begin, end;
    uint64_t answer_end; /* of the answer that is being received */
    uint64_t got, got_before;
    uint64_t skip;
    unsigned char *data;
    int attempt, submission_count, hop_count;
};

struct range {
    struct remote *remote;
    unsigned char *data;
    uint64_t begin, end, next; /* [next, end) is not yet given to a slot */
    uint64_t piece_bytes;
    size_t slot_count;
    struct slot slots[SLOTS_MAX];
};

/* -- Checks --------------------------------------------------------------------------------------------- */

static int is_digest(const char *text)
{
    return digest_is_hex(text, REPOSITORY_SHA256_SIZE - 1) || digest_is_hex(text, REPOSITORY_COMMIT_SIZE - 1);
}

/* What the hub says about a file must not contradict what it said before. */
static int check_identity(const struct remote_identity *known, const struct headers *headers, int is_endpoint,
                          struct err *err)
{
    const char *digest = headers->linked_etag[0] ? headers->linked_etag : is_endpoint ? headers->etag : "";
    if (headers->repo_commit[0] && strcmp(headers->repo_commit, known->commit) != 0)
        return err_set(err, ERR_MISMATCH, "the hub serves commit %.40s where %s was asked for",
                       headers->repo_commit, known->commit);
    if (headers->has_linked_size && known->has_size && headers->linked_size_bytes != known->size_bytes)
        return err_set(err, ERR_MISMATCH, "the hub now says %" PRIu64 " bytes where it said %" PRIu64,
                       headers->linked_size_bytes, known->size_bytes);
    if (known->blob_id[0] && is_digest(digest) && strlen(digest) == strlen(known->blob_id) &&
        strcmp(digest, known->blob_id) != 0)
        return err_set(err, ERR_MISMATCH,
                       "the hub now serves other content (%.16s... where %.16s... was listed)", digest,
                       known->blob_id);
    return 0;
}

static int check_etag(const struct remote_identity *known, const struct headers *headers, struct err *err)
{
    if (known->etag[0] && headers->etag[0] && strcmp(known->etag, headers->etag) != 0)
        return err_set(err, ERR_MISMATCH,
                       "the file changed while it was read: its ETag was %.40s and is now %.40s", known->etag,
                       headers->etag);
    return 0;
}

static int check_size(const struct remote_identity *known, int has_size, uint64_t size_bytes, struct err *err)
{
    if (known->has_size && has_size && size_bytes != known->size_bytes)
        return err_set(err, ERR_MISMATCH, "the file has %" PRIu64 " bytes where %" PRIu64 " were promised",
                       size_bytes, known->size_bytes);
    return 0;
}

static int check_partial(const struct slot *slot, const struct headers *headers, struct err *err)
{
    uint64_t wanted = slot->begin + slot->got;
    if (!headers->has_content_range || headers->range_begin != wanted || headers->range_end <= wanted ||
        headers->range_end > slot->end)
        return err_set(err, ERR_HTTP,
                       "the server answers with bytes %" PRIu64 "-%" PRIu64 " where %" PRIu64 "-%" PRIu64
                       " were asked for",
                       headers->range_begin, headers->range_end, wanted, slot->end);
    if (!slot->known.has_size && !headers->has_range_total)
        return err_set(err, ERR_HTTP, "the server does not say how large the file is");
    return check_size(&slot->known, headers->has_range_total, headers->range_total_bytes, err);
}

/* On the network thread, before the first byte of content. */
static int take_headers(struct transfer *transfer, struct err *refusal)
{
    struct slot *slot = transfer->context;
    const struct headers *headers = &transfer->headers;
    if (headers->is_encoded)
        return err_set(refusal, ERR_HTTP, "the server compresses a range of bytes");
    if (check_identity(&slot->known, headers, transfer->bucket != TRANSFER_BUCKET_NONE, refusal) ||
        check_etag(&slot->known, headers, refusal))
        return refusal->code;
    slot->skip = 0;
    slot->answer_end = slot->end;
    if (transfer->status == 206) {
        slot->answer_end = headers->range_end;
        return check_partial(slot, headers, refusal);
    }
    if (check_size(&slot->known, headers->has_content_length, headers->content_length_bytes, refusal))
        return refusal->code;
    slot->skip = slot->begin + slot->got;
    if (slot->skip > SKIP_BYTES_MAX)
        return err_set(
            refusal, ERR_HTTP,
            "the server ignores Range and would send the whole file: choose another endpoint or keep "
            "whole files");
    return 0;
}

static int take_body(struct transfer *transfer, const char *data, size_t size, struct err *refusal)
{
    struct slot *slot = transfer->context;
    if (slot->skip) {
        size_t skipped = size < slot->skip ? size : (size_t)slot->skip;
        slot->skip -= skipped;
        data += skipped;
        size -= skipped;
    }
    uint64_t room = slot->answer_end - slot->begin - slot->got;
    size_t taken = size < room ? size : (size_t)room;
    if (taken)
        memcpy(slot->data + slot->got, data, taken);
    slot->got += taken;
    if (size == taken)
        return 0;
    if (transfer->status == 206)
        return err_set(refusal, ERR_HTTP, "the server sends more bytes than it announced");
    return 1; /* enough of a whole file */
}

/* -- Addresses ------------------------------------------------------------------------------------------ */

static int replace_text(char **member, const char *text, struct err *err)
{
    char *copy = strdup(text);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    free(*member);
    *member = copy;
    return 0;
}

static int set_address(struct remote *remote, const char *url, int is_settled, struct err *err)
{
    int code = replace_text(&remote->url, url, err);
    if (code)
        return code;
    remote->is_settled = is_settled;
    return 0;
}

static void set_size(struct remote *remote, uint64_t size_bytes)
{
    remote->known.has_size = 1;
    remote->known.size_bytes = remote->source.size_bytes = size_bytes;
}

/* Back to the hub for a fresh address, unless another piece has done so already. */
static int resolve_again(struct slot *slot, struct err *err)
{
    struct remote *remote = slot->remote;
    slot->state = SLOT_STATE_PENDING;
    slot->hop_count = 0;
    if (strcmp(slot->url, remote->url) != 0)
        return 0;
    return set_address(remote, remote->resolve_url, 0, err);
}

static int follow_redirect(struct slot *slot, struct err *err)
{
    struct remote *remote = slot->remote;
    const struct headers *headers = &slot->transfer.headers;
    char *next = NULL;
    int code = check_identity(&remote->known, headers, slot->transfer.bucket != TRANSFER_BUCKET_NONE, err);
    if (code)
        return code;
    if (++slot->hop_count > LIMIT_HUB_REDIRECTS)
        return err_set(err, ERR_HTTP, "more than %d redirects", LIMIT_HUB_REDIRECTS);
    code = url_follow(slot->url, headers->location, &next, err);
    if (code)
        return code;
    if (!remote->known.blob_id[0] && is_digest(headers->linked_etag))
        (void)snprintf(remote->known.blob_id, sizeof remote->known.blob_id, "%s", headers->linked_etag);
    if (!remote->known.has_size && headers->has_linked_size && headers->linked_size_bytes <= INT64_MAX)
        set_size(remote, headers->linked_size_bytes);
    if (strcmp(slot->url, remote->url) == 0)
        code = set_address(remote, next, !client_is_endpoint(remote->repository->hub, next), err);
    free(next);
    slot->state = SLOT_STATE_PENDING;
    slot->transfer.start_at_ms = 0;
    return code;
}

/* -- Pieces --------------------------------------------------------------------------------------------- */

static int submit(struct slot *slot, struct err *err)
{
    struct remote *remote = slot->remote;
    struct hub *hub = remote->repository->hub;
    int code = replace_text(&slot->url, remote->url, err);
    if (code)
        return code;
    int is_endpoint = client_is_endpoint(hub, slot->url);
    struct transfer *transfer = &slot->transfer;
    transfer->url = slot->url;
    transfer->token = is_endpoint ? hub->options.token : NULL;
    transfer->bucket = is_endpoint ? TRANSFER_BUCKET_FILES : TRANSFER_BUCKET_NONE;
    transfer->range_begin = slot->begin + slot->got;
    transfer->range_end = slot->end;
    transfer->take_headers = take_headers;
    transfer->take_body = take_body;
    transfer->context = slot;
    slot->known = remote->known;
    if (!remote->etag_url || !url_is_same_origin(remote->etag_url, slot->url))
        slot->known.etag[0] = 0; /* each host has ETags of its own */
    slot->got_before = slot->got;
    slot->submission_count++;
    slot->state = SLOT_STATE_SENT;
    transfers_submit(hub->transfers, transfer);
    return 0;
}

/* A good answer: remember what it tells. */
static int note_answer(struct slot *slot, struct err *err)
{
    struct remote *remote = slot->remote;
    const struct headers *headers = &slot->transfer.headers;
    int code = 0;
    if (strcmp(slot->url, remote->url) == 0)
        remote->is_settled = 1;
    if (headers->etag[0] && remote->etag_url && url_is_same_origin(remote->etag_url, slot->url)) {
        code =
            check_etag(&remote->known, headers, err); /* pieces that were sent before any answer was known */
    } else if (headers->etag[0] && !headers->is_etag_weak) {
        (void)snprintf(remote->known.etag, sizeof remote->known.etag, "%s", headers->etag);
        code = replace_text(&remote->etag_url, slot->url, err);
    }
    if (code)
        return code;
    if (!remote->known.blob_id[0] && slot->transfer.bucket != TRANSFER_BUCKET_NONE &&
        is_digest(headers->etag))
        (void)snprintf(remote->known.blob_id, sizeof remote->known.blob_id, "%s", headers->etag);
    if (!remote->known.has_size) {
        uint64_t size_bytes = slot->begin + slot->got;
        if (headers->has_range_total)
            size_bytes = headers->range_total_bytes;
        else if (headers->has_content_length)
            size_bytes = headers->content_length_bytes;
        else if (size_bytes == slot->end)
            return err_set(err, ERR_HTTP, "the server does not say how large the file is");
        if (size_bytes > INT64_MAX)
            return err_set(err, ERR_HTTP, "the server gives the file an impossible size");
        set_size(remote, size_bytes);
    }
    if (slot->end > remote->source.size_bytes)
        slot->end = remote->source.size_bytes;
    return 0;
}

/* Signed addresses expire; storage answers so in many ways. */
static int is_expired(const struct slot *slot)
{
    int status = slot->transfer.has_taken_headers ? slot->transfer.status : 0;
    return slot->transfer.bucket == TRANSFER_BUCKET_NONE &&
           (status == 400 || status == 401 || status == 403 || status == 404 || status == 410);
}

static int retry(struct slot *slot, struct err *err)
{
    struct remote *remote = slot->remote;
    const struct hub_options *options = &remote->repository->hub->options;
    if (++slot->attempt >= options->attempts_max || slot->submission_count >= SUBMISSIONS_MAX)
        return err_wrap(err, "given up after %d attempts", slot->submission_count);
    int64_t delay_ms = client_retry_delay_ms(remote->repository, &slot->transfer, slot->attempt, err);
    if (delay_ms < 0)
        return err->code;
    client_count_retry(remote->repository, &remote->usage);
    slot->transfer.start_at_ms = clock_monotonic_ms() + delay_ms;
    slot->state = SLOT_STATE_PENDING;
    if (slot->attempt > ATTEMPTS_AT_ONE_ADDRESS && slot->transfer.bucket == TRANSFER_BUCKET_NONE)
        return resolve_again(slot, err);
    return 0;
}

/* Whether the answer says that the file is empty, which a server cannot put into a range. */
static int is_empty_file(const struct slot *slot)
{
    const struct headers *headers = &slot->transfer.headers;
    return slot->transfer.status == 416 && slot->begin == 0 && headers->has_content_range &&
           headers->has_range_total && headers->range_total_bytes == 0 &&
           (!slot->remote->known.has_size || slot->remote->known.size_bytes == 0);
}

static int handle(struct slot *slot, struct err *err)
{
    struct remote *remote = slot->remote;
    slot->state = SLOT_STATE_IDLE;
    if (slot->got > slot->got_before) {
        slot->attempt = 0;
        remote->expiry_count = 0;
    }
    if (is_empty_file(slot)) {
        set_size(remote, 0);
        return 0;
    }
    /* All bytes came, after headers that were checked: how the connection ended does not matter. */
    if (slot->transfer.has_taken_headers && !slot->transfer.refusal.code && slot->got > slot->got_before &&
        slot->begin + slot->got >= slot->end)
        return note_answer(slot, err);
    int code = 0;
    switch (client_judge(remote->repository, &slot->transfer, err)) {
    case CLIENT_VERDICT_OK:
        code = note_answer(slot, err);
        if (code || slot->begin + slot->got >= slot->end)
            return code;
        (void)err_set(err, ERR_NETWORK, "the server sends less than was asked for");
        return retry(slot, err);
    case CLIENT_VERDICT_REDIRECT:
        return follow_redirect(slot, err);
    case CLIENT_VERDICT_RETRY:
        return retry(slot, err);
    case CLIENT_VERDICT_FAILED:
        break;
    }
    if (is_expired(slot) && ++remote->expiry_count <= EXPIRIES_MAX) {
        slot->transfer.start_at_ms = 0;
        return resolve_again(slot, err);
    }
    if (slot->transfer.refusal.code == ERR_HTTP)
        return retry(slot, err);
    return err->code;
}

/* Gives work to idle slots and sends what is pending. Until it is known where the bytes are, one asks alone.
 */
static int send_pending(struct range *range, struct err *err)
{
    struct remote *remote = range->remote;
    size_t sent_count = 0;
    for (size_t i = 0; i < range->slot_count; i++)
        sent_count += range->slots[i].state == SLOT_STATE_SENT;
    for (size_t i = 0; i < range->slot_count; i++) {
        struct slot *slot = &range->slots[i];
        if (slot->state == SLOT_STATE_SENT || (!remote->is_settled && sent_count > 0))
            continue;
        if (slot->state == SLOT_STATE_IDLE) {
            if (range->next >= range->end)
                continue;
            uint64_t left = range->end - range->next;
            slot->begin = range->next;
            slot->end = slot->begin + (left < range->piece_bytes ? left : range->piece_bytes);
            slot->data = range->data + (slot->begin - range->begin);
            slot->got = 0;
            slot->attempt = slot->submission_count = slot->hop_count = 0;
            slot->transfer.start_at_ms = 0;
            range->next = slot->end;
        }
        int code = submit(slot, err);
        if (code)
            return code;
        sent_count++;
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
        if (code)
            return code;
        for (size_t i = 0; i < range->slot_count; i++) {
            if (range->slots[i].state == SLOT_STATE_SENT) {
                sent[i] = &range->slots[i].transfer;
                sent_count++;
            }
        }
        if (sent_count == 0)
            return 0;
        code = transfers_wait_any(remote->repository->hub->transfers, sent, range->slot_count,
                                  remote->repository->cancel, &index, err);
        if (code)
            return code;
        client_count(remote->repository, &remote->usage, sent[index]);
        code = handle(&range->slots[index], err);
        if (code)
            return code;
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
        if (range->slots[i].state == SLOT_STATE_SENT)
            sent[i] = &range->slots[i].transfer;
    }
    transfers_abort(remote->repository->hub->transfers, sent, range->slot_count);
    for (size_t i = 0; i < range->slot_count; i++) {
        if (sent[i])
            client_count(remote->repository, &remote->usage, sent[i]);
        transfer_reset(&range->slots[i].transfer);
        free(range->slots[i].url);
    }
}

int remote_read_range(struct remote *remote, uint64_t begin, uint64_t size, unsigned char *data,
                      struct err *err)
{
    const struct hub_options *options = &remote->repository->hub->options;
    struct range *range = calloc(1, sizeof *range);
    if (!range)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", remote->path);
    range->remote = remote;
    range->data = data;
    range->begin = range->next = begin;
    range->end = begin + size;
    uint64_t share = size / (uint64_t)options->connections_per_file_max + 1;
    range->piece_bytes = share > PIECE_BYTES_MAX   ? PIECE_BYTES_MAX
                         : share < PIECE_BYTES_MIN ? PIECE_BYTES_MIN
                                                   : share;
    range->slot_count = (size_t)options->connections_per_file_max;
    if (range->slot_count > SLOTS_MAX)
        range->slot_count = SLOTS_MAX;
    for (size_t i = 0; i < range->slot_count; i++) {
        transfer_init(&range->slots[i].transfer);
        range->slots[i].remote = remote;
    }
    int code = run(range, err);
    end_slots(range);
    free(range);
    return code ? err_wrap(err, "%s", remote->path) : 0;
}
