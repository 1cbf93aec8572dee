/*
 * For this folder only: the token that the hub is asked with.
 *
 * Out of the environment it stays what it was at the start. Out of a file (HF_TOKEN_PATH, $HF_HOME/token) it
 * is read anew whenever that changes, as Python's client reads it for each request: somebody logs in, renews
 * what expires, or logs out, while the daemon runs. A file that cannot be read, is empty (in the midst of a
 * login) or holds no token leaves the one before; one that is gone leaves none. Safe from any thread.
 */
#ifndef BIFURCATED_HUB_TOKEN_H
#define BIFURCATED_HUB_TOKEN_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"

#include <stdint.h>

#define TOKEN_SIZE 4001 /* what a header field has room for (exchange.c) */

/* What a text holds as a token, without the white space around it, which would break a header, into
 * text[TOKEN_SIZE]; "" where that is all. ERR_INVALID says what is wrong with `place`, without the text. */
int token_parse(const char *raw, const char *place, char *text, struct err *err);

/* The token of a file, as above. ERR_NOT_FOUND: there is no file; ERR_FORMAT: it is empty. */
int token_read_file(const char *path, char *text, struct err *err);

struct token;

/* Begins with options->token; looks at options->token_path, unless that is NULL, and tells
 * options->tell_token, which must outlive it. */
int token_new(const struct hub_options *options, struct token **ret_token, struct err *err);
void token_free(struct token *token);

/* Reads the file if it has changed. Returns the serial of the token, or of there being none:
 * equal for as long as that is the same. */
uint64_t token_refresh(struct token *token);

/* The present token into text[TOKEN_SIZE], "" for none; its serial. Never waits for the disk. */
uint64_t token_copy(struct token *token, char *text);

#endif
