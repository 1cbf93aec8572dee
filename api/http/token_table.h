/*
 * The valid tokens, in memory, so that a request costs no look into the store.
 *
 * Tokens of the store are made and revoked by other processes, too (`bifurcated token`): the server's clock
 * calls api_token_table_refresh() a few times a second, which reads one number unless something changed. A
 * token that is not known is looked for at once, so that a new one works from its first use.
 */
#ifndef BIFURCATED_API_HTTP_TOKEN_TABLE_H
#define BIFURCATED_API_HTTP_TOKEN_TABLE_H

#include "daemon/base/err.h"
#include "store/tokens.h"

#include <stddef.h>
#include <stdint.h>

struct api_token_table;

enum api_token_state {
    API_TOKEN_VALID,
    API_TOKEN_MISTYPED, /* looks like a token, but its checksum is wrong */
    API_TOKEN_UNKNOWN,  /* never made, or revoked */
    API_TOKEN_EXPIRED,
};

/* Whom a token stands for. */
struct api_identity {
    int64_t token_id; /* 0: none, or that of the option token-file */
    char name[TOKEN_NAME_SIZE];
    unsigned scopes;
};

/* `file_token` is one more token, with every scope, or NULL. */
int api_token_table_new(struct store *store, const char *file_token, struct api_token_table **ret_table,
                        struct err *err);

/* Another token takes the place of the file's from here on. Returns 1, or 0 if it is the same or the table
 * was made without one. */
int api_token_table_replace_file_token(struct api_token_table *table, const char *file_token,
                                       struct err *err);

/* Writes what was noted of uses, then frees. NULL is allowed. */
void api_token_table_free(struct api_token_table *table);

/* Fills in *identity if the token is valid, and notes the use. The time does not tell how much of a wrong
 * token is right: digests are compared, all of them, each in constant time. */
enum api_token_state api_token_table_find(struct api_token_table *table, const char *text, int64_t now_ms,
                                          struct api_identity *identity);

/* A token that was revoked counts no more from here on. Cannot fail. */
void api_token_table_forget(struct api_token_table *table, int64_t id);

/* Reads the tokens again if they changed. Returns whether they did, or an error. */
int api_token_table_refresh(struct api_token_table *table, struct err *err);

/* Writes when each token was used last, where that is news by a minute or more. */
void api_token_table_save_uses(struct api_token_table *table);

/* Tokens that count: neither revoked nor expired, that of the file included. */
size_t api_token_table_count(struct api_token_table *table, int64_t now_ms);

#endif
