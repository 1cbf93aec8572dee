/*
 * For this folder and the daemon's log: until when a browser login is valid.
 *
 * `hf auth login` keeps beside the token's file, in stored_tokens, when the token of such a login expires and
 * what renews it. Python's client renews it with the first request in the day before that; this program does
 * not, since the files are the user's, and may be out of a service's reach: it says what to do.
 */
#ifndef BIFURCATED_HUB_LOGIN_H
#define BIFURCATED_HUB_LOGIN_H

#include <stdint.h>

/* What helps against its end, for messages. */
#define LOGIN_REMEDY                                                                                         \
    "`hf auth whoami` renews it, in its last day or later; a token made in the hub's settings need not "     \
    "expire"

/* Milliseconds since 1970, by the stored_tokens beside `token_path`; 0: they say nothing of this token. */
int64_t login_expiry_ms(const char *token_path, const char *token);

#endif
