#include "daemon/hub/piece.h"

#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/limits.h"
#include "daemon/hub/url.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIP_BYTES_MAX (1 * MIB)  /* of a whole answer to a request for a range */
#define SUBMISSIONS_MAX 1000      /* of one piece: a server that gives a byte at a time */
#define EXPIRIES_MAX 3            /* re-resolutions without a byte in between */
#define ATTEMPTS_AT_ONE_ADDRESS 2 /* then the hub is asked for a fresh one */

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

static int check_partial(const struct piece *piece, const struct headers *headers, struct err *err)
{
    uint64_t wanted = piece->begin + piece->got;
    if (!headers->has_content_range)
        return err_set(err, ERR_HTTP,
                       "the server does not say which bytes it gives, or gives several ranges where one was "
                       "asked for: check HF_ENDPOINT and proxies");
    if (headers->range_begin != wanted || headers->range_end <= wanted || headers->range_end > piece->end)
        return err_set(err, ERR_HTTP,
                       "the server answers with bytes %" PRIu64 "-%" PRIu64 " where %" PRIu64 "-%" PRIu64
                       " were asked for",
                       headers->range_begin, headers->range_end, wanted, piece->end);
    if (!piece->known.has_size && !headers->has_range_total)
        return err_set(err, ERR_HTTP, "the server does not say how large the file is");
    return check_size(&piece->known, headers->has_range_total, headers->range_total_bytes, err);
}

/* On the network thread, before the first byte of content. */
static int take_headers(struct transfer *transfer, struct err *refusal)
{
    struct piece *piece = transfer->context;
    const struct headers *headers = &transfer->headers;
    if (headers->is_encoded)
        return err_set(refusal, ERR_HTTP,
                       "the server, or a proxy before it, compresses a range of bytes, which cannot be put "
                       "together: check HF_ENDPOINT and proxies");
    if (check_identity(&piece->known, headers, transfer->bucket != TRANSFER_BUCKET_NONE, refusal) ||
        check_etag(&piece->known, headers, refusal))
        return refusal->code;
    piece->skip = 0;
    piece->answer_end = piece->end;
    if (transfer->status == 206) {
        piece->answer_end = headers->range_end;
        return check_partial(piece, headers, refusal);
    }
    if (check_size(&piece->known, headers->has_content_length, headers->content_length_bytes, refusal))
        return refusal->code;
    piece->skip = piece->begin + piece->got;
    if (piece->skip > SKIP_BYTES_MAX)
        return err_set(
            refusal, ERR_HTTP,
            "the server ignores Range and would send the whole file: choose another endpoint or keep "
            "whole files");
    return 0;
}

static int take_body(struct transfer *transfer, const char *data, size_t size, struct err *refusal)
{
    struct piece *piece = transfer->context;
    if (piece->skip) {
        size_t skipped = size < piece->skip ? size : (size_t)piece->skip;
        piece->skip -= skipped;
        data += skipped;
        size -= skipped;
    }
    uint64_t room = piece->answer_end - piece->begin - piece->got;
    size_t taken = size < room ? size : (size_t)room;
    if (taken)
        memcpy(piece->data + piece->got, data, taken);
    piece->got += taken;
    if (size == taken)
        return 0;
    if (transfer->status == 206)
        return err_set(refusal, ERR_HTTP, "the server sends more bytes than it announced");
    /* A whole file, perhaps of a length that was not announced. */
    if (piece->known.has_size && piece->end == piece->known.size_bytes)
        return err_set(refusal, ERR_MISMATCH,
                       "the file has more bytes than the %" PRIu64 " that were promised",
                       piece->known.size_bytes);
    return 1; /* enough of it */
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
static int resolve_again(struct piece *piece, struct err *err)
{
    struct remote *remote = piece->remote;
    piece->state = PIECE_STATE_PENDING;
    piece->hop_count = 0;
    if (strcmp(piece->url, remote->url) != 0)
        return 0;
    return set_address(remote, remote->resolve_url, 0, err);
}

static int follow_redirect(struct piece *piece, struct err *err)
{
    struct remote *remote = piece->remote;
    const struct headers *headers = &piece->transfer.headers;
    char *next = NULL;
    int code = check_identity(&remote->known, headers, piece->transfer.bucket != TRANSFER_BUCKET_NONE, err);
    if (code)
        return code;
    if (++piece->hop_count > LIMIT_HUB_REDIRECTS)
        return err_set(err, ERR_HTTP, "more than %d redirects", LIMIT_HUB_REDIRECTS);
    code = url_follow(piece->url, headers->location, &next, err);
    if (code)
        return code;
    if (!remote->known.blob_id[0] && is_digest(headers->linked_etag))
        (void)snprintf(remote->known.blob_id, sizeof remote->known.blob_id, "%s", headers->linked_etag);
    if (!remote->known.has_size && headers->has_linked_size && headers->linked_size_bytes <= INT64_MAX)
        set_size(remote, headers->linked_size_bytes);
    if (strcmp(piece->url, remote->url) == 0)
        code = set_address(remote, next, !client_is_endpoint(remote->repository->hub, next), err);
    free(next);
    piece->state = PIECE_STATE_PENDING;
    piece->transfer.start_at_ms = 0;
    return code;
}

/* -- Pieces --------------------------------------------------------------------------------------------- */

int piece_submit(struct piece *piece, struct err *err)
{
    struct remote *remote = piece->remote;
    struct hub *hub = remote->repository->hub;
    int code = replace_text(&piece->url, remote->url, err);
    if (code)
        return code;
    int is_endpoint = client_is_endpoint(hub, piece->url);
    if (is_endpoint)
        code = refusals_find(&hub->refusals, remote->repository->kind, remote->repository->repository.name,
                             token_refresh(hub->token), clock_monotonic_ms(), err);
    if (code)
        return code;
    struct transfer *transfer = &piece->transfer;
    transfer->url = piece->url;
    transfer->bucket = is_endpoint ? TRANSFER_BUCKET_FILES : TRANSFER_BUCKET_NONE;
    transfer->range_begin = piece->begin + piece->got;
    transfer->range_end = piece->end;
    transfer->take_headers = take_headers;
    transfer->take_body = take_body;
    transfer->context = piece;
    piece->known = remote->known;
    if (!remote->etag_url || !url_is_same_origin(remote->etag_url, piece->url))
        piece->known.etag[0] = 0; /* each host has ETags of its own */
    piece->got_before = piece->got;
    piece->submission_count++;
    piece->state = PIECE_STATE_SENT;
    transfers_submit(hub->transfers, transfer);
    return 0;
}

/* What the endpoint gives, or says where it is, is not kept from us. */
static void note_given(const struct piece *piece)
{
    const struct hub_repository *repository = piece->remote->repository;
    if (piece->transfer.bucket == TRANSFER_BUCKET_FILES)
        refusals_note_given(&repository->hub->refusals, repository->kind, repository->repository.name,
                            piece->transfer.token_serial, clock_monotonic_ms());
}

/* A good answer: remember what it tells. */
static int note_answer(struct piece *piece, struct err *err)
{
    struct remote *remote = piece->remote;
    const struct headers *headers = &piece->transfer.headers;
    int code = 0;
    note_given(piece);
    if (strcmp(piece->url, remote->url) == 0)
        remote->is_settled = 1;
    if (headers->etag[0] && remote->etag_url && url_is_same_origin(remote->etag_url, piece->url)) {
        code =
            check_etag(&remote->known, headers, err); /* pieces that were sent before any answer was known */
    } else if (headers->etag[0] && !headers->is_etag_weak) {
        (void)snprintf(remote->known.etag, sizeof remote->known.etag, "%s", headers->etag);
        code = replace_text(&remote->etag_url, piece->url, err);
    }
    if (code)
        return code;
    if (!remote->known.blob_id[0] && piece->transfer.bucket != TRANSFER_BUCKET_NONE &&
        is_digest(headers->etag))
        (void)snprintf(remote->known.blob_id, sizeof remote->known.blob_id, "%s", headers->etag);
    if (!remote->known.has_size) {
        uint64_t size_bytes = piece->begin + piece->got;
        if (headers->has_range_total)
            size_bytes = headers->range_total_bytes;
        else if (headers->has_content_length)
            size_bytes = headers->content_length_bytes;
        else if (size_bytes == piece->end)
            return err_set(err, ERR_HTTP, "the server does not say how large the file is");
        if (size_bytes > INT64_MAX)
            return err_set(err, ERR_HTTP, "the server gives the file an impossible size");
        set_size(remote, size_bytes);
    }
    if (piece->end > remote->source.size_bytes)
        piece->end = remote->source.size_bytes;
    return 0;
}

/* Signed addresses expire; storage answers so in many ways. */
static int is_expired(const struct piece *piece)
{
    int status = piece->transfer.has_taken_headers ? piece->transfer.status : 0;
    return piece->transfer.bucket == TRANSFER_BUCKET_NONE && !client_is_refused_elsewhere(&piece->transfer) &&
           (status == 400 || status == 401 || status == 403 || status == 404 || status == 410);
}

static int retry(struct piece *piece, struct err *err)
{
    struct remote *remote = piece->remote;
    const struct hub_options *options = &remote->repository->hub->options;
    if (++piece->attempt == options->attempts_max &&
        transfers_accuse(remote->repository->hub->transfers, &piece->transfer)) {
        piece->transfer.start_at_ms = 0;
        piece->state = PIECE_STATE_PENDING;
        return 0;
    }
    if (piece->attempt >= options->attempts_max || piece->submission_count >= SUBMISSIONS_MAX)
        return err_wrap(err, "given up after %d attempts", piece->submission_count);
    int64_t delay_ms = client_retry_delay_ms(remote->repository, &piece->transfer, piece->attempt, err);
    if (delay_ms < 0)
        return err->code;
    client_count_retry(remote->repository);
    piece->transfer.start_at_ms = clock_monotonic_ms() + delay_ms;
    piece->state = PIECE_STATE_PENDING;
    if (piece->attempt > ATTEMPTS_AT_ONE_ADDRESS && piece->transfer.bucket == TRANSFER_BUCKET_NONE)
        return resolve_again(piece, err);
    return 0;
}

/* Whether the answer says that the file is empty, which a server cannot put into a range. */
static int is_empty_file(const struct piece *piece)
{
    const struct headers *headers = &piece->transfer.headers;
    return piece->transfer.status == 416 && piece->begin == 0 && headers->has_content_range &&
           headers->has_range_total && headers->range_total_bytes == 0 &&
           (!piece->remote->known.has_size || piece->remote->known.size_bytes == 0);
}

int piece_handle(struct piece *piece, struct err *err)
{
    struct remote *remote = piece->remote;
    piece->state = PIECE_STATE_IDLE;
    if (piece->got > piece->got_before) {
        piece->attempt = 0;
        remote->expiry_count = 0;
    }
    if (is_empty_file(piece)) {
        set_size(remote, 0);
        return 0;
    }
    /* All bytes came, after headers that were checked: how the connection ended does not matter. */
    if (piece->transfer.has_taken_headers && !piece->transfer.refusal.code &&
        piece->got > piece->got_before && piece->begin + piece->got >= piece->end)
        return note_answer(piece, err);
    int code = 0;
    switch (client_judge(remote->repository, &piece->transfer, err)) {
    case CLIENT_VERDICT_OK:
        code = note_answer(piece, err);
        if (code || piece->begin + piece->got >= piece->end)
            return code;
        (void)err_set(err, ERR_NETWORK, "the server sends less than was asked for");
        return retry(piece, err);
    case CLIENT_VERDICT_REDIRECT:
        note_given(piece);
        return follow_redirect(piece, err);
    case CLIENT_VERDICT_RETRY:
        return retry(piece, err);
    case CLIENT_VERDICT_FAILED:
        break;
    }
    /* Of pieces that were sent to one address together, the first that is refused counts: the others go where
     * it has asked for, since. */
    int is_noted = strcmp(piece->url, remote->url) != 0;
    if (is_expired(piece) && (is_noted || ++remote->expiry_count <= EXPIRIES_MAX)) {
        piece->transfer.start_at_ms = 0;
        return resolve_again(piece, err);
    }
    if (piece->transfer.refusal.code == ERR_HTTP)
        return retry(piece, err);
    return err->code;
}
