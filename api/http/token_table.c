#include "api/http/token_table.h"

#include "daemon/base/digest.h"
#include "daemon/base/limits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define USE_STEP_MS INT64_C(60000) /* how coarsely uses are noted */
#define USES_AT_ONCE 64

struct entry {
    struct token_row row;
    _Atomic int64_t used_ms; /* newer than row.last_used_ms where it was used since */
};

struct api_token_table {
    struct store *store; /* NULL: the token of the file alone */
    int has_file_token;
    unsigned char file_digest[DIGEST_SHA256_BYTES]; /* under `lock` */
    pthread_mutex_t refreshing;                     /* one at a time */
    int64_t version;                                /* of the store's tokens, as read; under `refreshing` */
    pthread_rwlock_t lock;                          /* of what can be found */
    struct entry *entries;
    size_t count;
};

struct reader {
    struct entry *entries;
    size_t count;
    int has_no_memory;
};

static int take_row(void *context, const struct token_row *row)
{
    struct reader *reader = context;
    struct entry *entries = realloc(reader->entries, (reader->count + 1) * sizeof *entries);
    if (!entries) {
        reader->has_no_memory = 1;
        return 1;
    }
    reader->entries = entries;
    entries[reader->count].row = *row;
    atomic_init(&entries[reader->count].used_ms, row->last_used_ms);
    reader->count++;
    return 0;
}

/* Under `refreshing`. */
static int load(struct api_token_table *table, struct err *err)
{
    struct reader reader = {0};
    int code = tokens_list_live(table->store, take_row, &reader, err);
    if (!code && reader.has_no_memory)
        code = err_set(err, ERR_NO_MEMORY, "tokens: out of memory");
    if (code) {
        free(reader.entries);
        return code;
    }
    (void)pthread_rwlock_wrlock(&table->lock);
    struct entry *old = table->entries;
    table->entries = reader.entries;
    table->count = reader.count;
    (void)pthread_rwlock_unlock(&table->lock);
    free(old);
    return 0;
}

int api_token_table_new(struct store *store, const char *file_token, struct api_token_table **ret_table,
                        struct err *err)
{
    struct api_token_table *table = calloc(1, sizeof *table);
    if (!table)
        return err_set(err, ERR_NO_MEMORY, "tokens: out of memory");
    (void)pthread_mutex_init(&table->refreshing, NULL);
    (void)pthread_rwlock_init(&table->lock, NULL);
    int code = 0;
    if (file_token) {
        table->has_file_token = 1;
        code = digest_sha256(file_token, strlen(file_token), table->file_digest, err);
    }
    if (!code && store) {
        table->store = store;
        code = api_token_table_refresh(table, err);
    }
    if (code < 0) {
        api_token_table_free(table);
        return code;
    }
    *ret_table = table;
    return 0;
}

int api_token_table_replace_file_token(struct api_token_table *table, const char *file_token, struct err *err)
{
    unsigned char digest[DIGEST_SHA256_BYTES];
    int code = table->has_file_token ? digest_sha256(file_token, strlen(file_token), digest, err) : 0;
    if (code || !table->has_file_token)
        return code;
    (void)pthread_rwlock_wrlock(&table->lock);
    int is_other = !digest_is_equal(digest, table->file_digest, sizeof digest);
    memcpy(table->file_digest, digest, sizeof digest);
    (void)pthread_rwlock_unlock(&table->lock);
    return is_other;
}

void api_token_table_free(struct api_token_table *table)
{
    if (!table)
        return;
    api_token_table_save_uses(table);
    (void)pthread_rwlock_destroy(&table->lock);
    (void)pthread_mutex_destroy(&table->refreshing);
    free(table->entries);
    free(table);
}

int api_token_table_refresh(struct api_token_table *table, struct err *err)
{
    int64_t version = 0;
    if (!table->store)
        return 0;
    (void)pthread_mutex_lock(&table->refreshing);
    int code = tokens_version(table->store, &version, err);
    int is_new = !code && version != table->version;
    if (is_new)
        api_token_table_save_uses(table);
    if (is_new)
        code = load(table, err);
    if (!code)
        table->version = version;
    (void)pthread_mutex_unlock(&table->refreshing);
    return code ? code : is_new;
}

void api_token_table_forget(struct api_token_table *table, int64_t id)
{
    (void)pthread_mutex_lock(&table->refreshing); /* so that nobody puts it back who read it before */
    api_token_table_save_uses(table);
    (void)pthread_rwlock_wrlock(&table->lock);
    for (size_t i = 0; i < table->count; i++) {
        if (table->entries[i].row.id == id)
            table->entries[i--] = table->entries[--table->count];
    }
    (void)pthread_rwlock_unlock(&table->lock);
    (void)pthread_mutex_unlock(&table->refreshing);
}

static enum api_token_state find(struct api_token_table *table, const unsigned char *digest, int64_t now_ms,
                                 struct api_identity *identity)
{
    enum api_token_state state = API_TOKEN_UNKNOWN;
    struct entry *found = NULL;
    (void)pthread_rwlock_rdlock(&table->lock);
    if (table->has_file_token && digest_is_equal(digest, table->file_digest, DIGEST_SHA256_BYTES)) {
        *identity = (struct api_identity){.name = "token-file", .scopes = TOKEN_SCOPE_ADMIN};
        state = API_TOKEN_VALID;
    }
    for (size_t i = 0; state == API_TOKEN_UNKNOWN && i < table->count; i++) {
        if (digest_is_equal(table->entries[i].row.digest, digest, DIGEST_SHA256_BYTES))
            found = &table->entries[i];
    }
    if (found && found->row.expires_ms && found->row.expires_ms <= now_ms) {
        state = API_TOKEN_EXPIRED;
    } else if (found) {
        state = API_TOKEN_VALID;
        identity->token_id = found->row.id;
        identity->scopes = found->row.scopes;
        memcpy(identity->name, found->row.name, sizeof identity->name);
        if (now_ms - atomic_load(&found->used_ms) >= USE_STEP_MS)
            atomic_store(&found->used_ms, now_ms);
    }
    (void)pthread_rwlock_unlock(&table->lock);
    return state;
}

enum api_token_state api_token_table_find(struct api_token_table *table, const char *text, int64_t now_ms,
                                          struct api_identity *identity)
{
    unsigned char digest[DIGEST_SHA256_BYTES];
    struct err err = ERR_INIT;
    *identity = (struct api_identity){0};
    if (digest_sha256(text, strlen(text), digest, &err))
        return API_TOKEN_UNKNOWN;
    enum api_token_state state = find(table, digest, now_ms, identity);
    if (state != API_TOKEN_UNKNOWN || !token_text_has_prefix(text))
        return state;
    if (!token_text_is_whole(text))
        return API_TOKEN_MISTYPED;
    /* Perhaps it was made a moment ago. */
    return api_token_table_refresh(table, &err) > 0 ? find(table, digest, now_ms, identity) : state;
}

struct use {
    int64_t id, used_ms;
};

/* Takes the uses that are news, at most `max`; from then on they count as written. */
static size_t take_uses(struct api_token_table *table, struct use *uses, size_t max)
{
    size_t count = 0;
    (void)pthread_rwlock_wrlock(&table->lock);
    for (size_t i = 0; i < table->count && count < max; i++) {
        struct entry *entry = &table->entries[i];
        int64_t used_ms = atomic_load(&entry->used_ms);
        if (used_ms <= entry->row.last_used_ms)
            continue;
        uses[count++] = (struct use){entry->row.id, used_ms};
        entry->row.last_used_ms = used_ms;
    }
    (void)pthread_rwlock_unlock(&table->lock);
    return count;
}

void api_token_table_save_uses(struct api_token_table *table)
{
    struct use uses[USES_AT_ONCE];
    size_t count = USES_AT_ONCE;
    while (table->store && count == USES_AT_ONCE) {
        count = take_uses(table, uses, USES_AT_ONCE);
        for (size_t i = 0; i < count; i++) {
            struct err err = ERR_INIT;
            (void)tokens_touch(table->store, uses[i].id, uses[i].used_ms, &err);
        }
    }
}

size_t api_token_table_count(struct api_token_table *table, int64_t now_ms)
{
    size_t count = (size_t)table->has_file_token;
    (void)pthread_rwlock_rdlock(&table->lock);
    for (size_t i = 0; i < table->count; i++)
        count += !table->entries[i].row.expires_ms || table->entries[i].row.expires_ms > now_ms;
    (void)pthread_rwlock_unlock(&table->lock);
    return count;
}
