/*
 * A file on the hub, read by ranges.
 *
 * The hub's resolve address redirects to where the bytes are: a signed address at a CDN, which expires, or a
 * path of the hub itself. The redirect is asked for once and remembered; when the CDN refuses it later, it is
 * asked for again. Everything that an answer tells about its content is held against what is known already:
 * commit, digest, size, and the ETag of the same host across ranges. So pieces that were fetched at different
 * times are pieces of one file, or the read fails with ERR_MISMATCH.
 */
#ifndef BIFURCATED_HUB_REMOTE_H
#define BIFURCATED_HUB_REMOTE_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"
#include "daemon/hub/client.h"

#include <pthread.h>
#include <stdint.h>

#define REMOTE_BLOCK_COUNT 3

/* Bytes kept in memory because small reads beside the first one are likely. */
struct remote_block {
    unsigned char *data;
    uint64_t begin, end;
};

/* What is known about a file's content. */
struct remote_identity {
    char commit[REPOSITORY_COMMIT_SIZE];
    char blob_id[REPOSITORY_SHA256_SIZE]; /* SHA-256 of LFS files, else git's blob id; "" if unknown */
    char etag[HEADERS_ETAG_SIZE];         /* of the host that serves the bytes; "" if unknown */
    int has_size;
    uint64_t size_bytes;
};

struct remote {
    struct source source;
    struct hub_repository *repository;
    char *path;
    char *resolve_url;
    char *url;        /* where the bytes are; equal to resolve_url until a redirect was followed */
    char *etag_url;   /* address at the host that gave `known.etag`, or NULL */
    int is_settled;   /* url served bytes or was given by a redirect to another host */
    int expiry_count; /* re-resolutions since bytes last arrived */
    struct remote_identity known;
    pthread_mutex_t mutex; /* one read at a time; a big one uses many connections by itself */
    struct remote_block head, tail, window;
    uint64_t window_begin, window_end; /* announced by will_need, not fetched yet */
};

/*
 * Reads [begin, begin + size) into `data`, split over several connections. The mutex is held. Where the size
 * of the file is not known yet, it is learned, and less than `size` may be read if the file is shorter.
 */
int remote_read_range(struct remote *remote, uint64_t begin, uint64_t size, unsigned char *data,
                      struct err *err);

/* Takes the next bytes of a stream; a nonzero return ends it. */
typedef int remote_take(void *context, const unsigned char *data, size_t size, struct err *err);

/* Reads an open remote file from `begin` to its end and hands the bytes on in order, on the calling thread,
 * while later ones are still on their way. Memory: a few pieces of at most 8 MiB. */
int remote_read_stream(struct source *source, uint64_t begin, remote_take *take, void *context,
                       struct err *err);

#endif
