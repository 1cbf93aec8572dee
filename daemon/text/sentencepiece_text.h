/*
 * What SentencePiece makes of a text before it cuts it: pieces of it become others by the charsmap, spaces
 * are removed, marked, and one is put before or behind the text. (sentencepiece/src/normalizer.cc,
 * Normalizer::Normalize)
 */
#ifndef BIFURCATED_TEXT_SENTENCEPIECE_TEXT_H
#define BIFURCATED_TEXT_SENTENCEPIECE_TEXT_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/text/added_tokens.h"
#include "daemon/text/sentencepiece.h"

#include <stdatomic.h>
#include <stddef.h>

/* Writes valid UTF-8 anew, into `out`, whose max is set here. user: the user-defined pieces, which stay as
 * they are. ERR_LIMIT for a text that grows more than sixteenfold, or a charsmap that looks too far ahead;
 * ERR_CANCELLED once *cancel (which may be NULL) is true; ERR_NO_MEMORY. */
int sentencepiece_normalize(const struct sentencepiece *model, const struct added_tokens *user,
                            const char *text, size_t size, const atomic_bool *cancel, struct buf *out,
                            struct err *err);

#endif
