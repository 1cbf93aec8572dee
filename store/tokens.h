/*
 * Tokens: who may do what over the API.
 *
 * Only the SHA-256 of a token is kept, which is enough since a token has 256 random bits. Making and revoking
 * count up a version of their own (tokens_version), and not that of the store: no read shows tokens. All
 * functions also work on a store that was opened beside a running daemon (store_open_shared).
 */
#ifndef BIFURCATED_STORE_TOKENS_H
#define BIFURCATED_STORE_TOKENS_H

#include "daemon/base/digest.h"
#include "store/store.h"
#include "store/token_text.h"

#define TOKEN_NAME_SIZE 65
#define TOKEN_SCOPES_SIZE 32 /* "read,sweep,worker,admin" */
#define TOKEN_EXPIRES_DAYS_MAX 36500

/* What a token allows; a set of bits. TOKEN_SCOPE_ADMIN allows everything. */
enum token_scope {
    TOKEN_SCOPE_READ = 1,   /* look, where reading needs a token */
    TOKEN_SCOPE_SWEEP = 2,  /* start and cancel sweeps, keep watches */
    TOKEN_SCOPE_WORKER = 4, /* claim tasks and hand in what was measured */
    TOKEN_SCOPE_ADMIN = 8,  /* the rest, such as tokens */
};

struct token_row {
    int64_t id;
    char name[TOKEN_NAME_SIZE];
    unsigned char digest[DIGEST_SHA256_BYTES];
    unsigned scopes;
    int64_t created_ms;
    int64_t expires_ms;   /* 0: never */
    int64_t last_used_ms; /* to the minute; 0: never */
    int64_t revoked_ms;   /* 0: it counts */
};

struct token_request {
    const char *name; /* 1 to 64 of letters, digits, "-_.", with a letter among them */
    unsigned scopes;
    int64_t expires_ms; /* 0: never */
};

/* "read,sweep" to a set; also "read, sweep". Returns 0 for an empty or unknown one. */
unsigned token_scopes_parse(const char *text);
void token_scopes_format(unsigned scopes, char text[TOKEN_SCOPES_SIZE]);
const char *token_scope_name(enum token_scope scope);

/* Whether the set allows what needs `scope`. */
int token_scopes_allow(unsigned scopes, enum token_scope scope);

/* Makes a token; `text` is the only copy of it. *ret_row (may be NULL) becomes what is kept. ERR_INVALID
 * (name, scopes, or an end that has passed), ERR_CONFLICT (another token has the name), ERR_LIMIT
 * (LIMIT_TOKENS count already). */
int tokens_create(struct store *store, const struct token_request *request, char text[TOKEN_TEXT_SIZE],
                  struct token_row *ret_row, struct err *err);

/* ERR_NOT_FOUND. */
int tokens_get(struct store *store, int64_t id, struct token_row *ret_row, struct err *err);

/* The valid one with this name, or any with this number. ERR_NOT_FOUND. */
int tokens_find(struct store *store, const char *name_or_id, struct token_row *ret_row, struct err *err);

/* Those after `after_id`, revoked and expired ones as well, by number, at most `limit`. */
int tokens_list(struct store *store, int64_t after_id, int limit,
                int (*row)(void *context, const struct token_row *row), void *context, struct err *err);

/* Only those that are not revoked (they may have expired), by number. */
int tokens_list_live(struct store *store, int (*row)(void *context, const struct token_row *row),
                     void *context, struct err *err);

/* It is no longer valid from now on; *ret_row (may be NULL) becomes what is kept. ERR_NOT_FOUND,
 * ERR_CONFLICT: it was revoked before. */
int tokens_revoke(struct store *store, int64_t id, struct token_row *ret_row, struct err *err);

/* Notes when it was last used, which is also told of one that was revoked since; nothing for an unknown one.
 */
int tokens_touch(struct store *store, int64_t id, int64_t used_ms, struct err *err);

/* Grows with each token that was made or revoked, by whatever process. */
int tokens_version(struct store *store, int64_t *ret_version, struct err *err);

#endif
