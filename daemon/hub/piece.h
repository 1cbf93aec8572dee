/*
 * A piece of a range: one request after another until its bytes are complete, and the checks that make sure
 * that they belong to the file.
 */
#ifndef BIFURCATED_HUB_PIECE_H
#define BIFURCATED_HUB_PIECE_H

#include "daemon/base/err.h"
#include "daemon/hub/remote.h"
#include "daemon/hub/transfer.h"

#include <stdint.h>

enum piece_state {
    PIECE_STATE_IDLE,
    PIECE_STATE_PENDING, /* has a piece that must be asked for */
    PIECE_STATE_SENT,
    PIECE_STATE_FULL, /* of a stream: its piece waits for the ones before it */
};

/* One piece in flight. While it is SENT, the network thread writes data, got, skip and answer_end, and reads
 * nothing of the remote but the copy in `known`. */
struct piece {
    struct transfer transfer;
    struct remote *remote;
    enum piece_state state;
    char *url; /* a copy: remote->url may change meanwhile */
    struct remote_identity known;
    uint64_t begin, end;
    uint64_t answer_end; /* of the answer that is being received */
    uint64_t got, got_before;
    uint64_t skip;
    unsigned char *data;
    int attempt, submission_count, hop_count;
};

/* Asks for what is missing of the piece, where the remote says that the bytes are now. */
int piece_submit(struct piece *piece, struct err *err);

/*
 * Deals with the end of its transfer. Afterwards the piece is IDLE (complete) or PENDING (to be submitted
 * again: after a redirect, an expired address, or, from transfer.start_at_ms on, a failure). An error is
 * final.
 */
int piece_handle(struct piece *piece, struct err *err);

#endif
