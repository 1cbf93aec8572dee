/* A tokenizer.model put together from parts. */
#ifndef BIFURCATED_TESTS_UNIT_TEXT_MODEL_WRITER_H
#define BIFURCATED_TESTS_UNIT_TEXT_MODEL_WRITER_H

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/text/sentencepiece.h"

#include <string.h>

static inline void put_varint(struct buf *out, uint64_t value)
{
    for (; value > 0x7F; value >>= 7)
        (void)buf_append_char(out, (char)(value | 0x80));
    (void)buf_append_char(out, (char)value);
}

static inline void put_number(struct buf *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static inline void put_bytes(struct buf *out, unsigned field, const void *data, size_t size)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, size);
    (void)buf_append(out, data, size);
}

static inline void put_piece(struct buf *out, const char *text, size_t size, float score, unsigned type)
{
    struct buf piece;
    buf_init(&piece, MIB);
    put_bytes(&piece, 1, text, size);
    put_varint(&piece, 2 << 3 | 5);
    (void)buf_append(&piece, &score, sizeof score);
    put_number(&piece, 3, type);
    put_bytes(out, 1, piece.data, piece.size);
    buf_free(&piece);
}

/* Two letters, their pair, a mark for spaces, and the three that every model has; BPE, spaces as they are. */
static inline void put_model(struct buf *out)
{
    static const unsigned char trainer[] = {3 << 3, 2}, normalizer[] = {4 << 3, 0};
    put_piece(out, "<unk>", 5, 0, SENTENCEPIECE_UNKNOWN);
    put_piece(out, "<s>", 3, 0, SENTENCEPIECE_CONTROL);
    put_piece(out, "</s>", 4, 0, SENTENCEPIECE_CONTROL);
    put_piece(out, "ab", 2, -1, SENTENCEPIECE_NORMAL);
    put_piece(out, "a", 1, -2, SENTENCEPIECE_NORMAL);
    put_piece(out, "b", 1, -2, SENTENCEPIECE_NORMAL);
    put_piece(out, "\xE2\x96\x81", 3, -2, SENTENCEPIECE_NORMAL);
    put_bytes(out, 2, trainer, sizeof trainer);
    put_bytes(out, 3, normalizer, sizeof normalizer);
}

#endif
