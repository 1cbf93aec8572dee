/*
 * What a token looks like: "bif_", 64 hexadecimal digits of randomness, 8 of a checksum.
 *
 * The prefix lets scanners of repositories and logs find tokens that leaked (bif_[0-9a-f]{72}); the checksum,
 * the first digits of the SHA-256 of all that is before it, tells a mistyped token from one that is not
 * known, without asking anybody.
 */
#ifndef BIFURCATED_STORE_TOKEN_TEXT_H
#define BIFURCATED_STORE_TOKEN_TEXT_H

#include "daemon/base/err.h"

#define TOKEN_TEXT_PREFIX "bif_"
#define TOKEN_TEXT_SIZE 77 /* with the final 0 */

/* A new token from 256 bits of the kernel's randomness. ERR_INTERNAL: there is none. */
int token_text_make(char text[TOKEN_TEXT_SIZE], struct err *err);

/* Whether text begins as tokens do. */
int token_text_has_prefix(const char *text);

/* Whether text has the form of a token and its checksum. */
int token_text_is_whole(const char *text);

#endif
