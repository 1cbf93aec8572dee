#include "daemon/checkpoint/chunk_shelf.h"

#include "daemon/base/keyed_lock.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *key; /* NULL: nobody else can ask for it */
    struct chunk_index *index;
    size_t size_bytes;
    int user_count;
    struct entry *next; /* which was given back earlier, or is older */
};

static struct entry *entries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of entries */
static struct keyed_locks reading, parsing;              /* by key; one at a time */
static pthread_once_t locks_once = PTHREAD_ONCE_INIT;

static void init_locks(void)
{
    keyed_locks_init(&reading);
    keyed_locks_init(&parsing);
}

static void free_entry(struct entry *entry)
{
    chunk_index_free(entry->index);
    free(entry->key);
    free(entry);
}

/* Forgets what is too much of what nobody uses; the lock is held. */
static void trim(void)
{
    size_t kept = 0;
    for (struct entry **at = &entries; *at;) {
        struct entry *entry = *at;
        kept += entry->user_count ? 0 : entry->size_bytes;
        if (entry->user_count || (entry->key && kept <= CHUNK_SHELF_BYTES)) {
            at = &entry->next;
        } else {
            kept -= entry->size_bytes;
            *at = entry->next;
            free_entry(entry);
        }
    }
}

static const struct chunk_index *find(const char *key)
{
    const struct chunk_index *index = NULL;
    (void)pthread_mutex_lock(&lock);
    for (struct entry *entry = entries; entry && !index; entry = entry->next) {
        if (!entry->key || strcmp(entry->key, key) != 0)
            continue;
        entry->user_count++;
        index = entry->index;
    }
    (void)pthread_mutex_unlock(&lock);
    return index;
}

static void put(struct entry *entry)
{
    (void)pthread_mutex_lock(&lock);
    entry->next = entries;
    entries = entry;
    (void)pthread_mutex_unlock(&lock);
}

void chunk_shelf_give(const struct chunk_index *index)
{
    (void)pthread_mutex_lock(&lock);
    for (struct entry **at = &entries; index && *at; at = &(*at)->next) {
        struct entry *entry = *at;
        if (entry->index != index)
            continue;
        entry->user_count--;
        *at = entry->next;
        entry->next = entries;
        entries = entry;
        break;
    }
    trim();
    (void)pthread_mutex_unlock(&lock);
}

/* -- Reading -- */

static int parse(struct source *source, const char *name, const atomic_bool *cancel,
                 struct chunk_index **ret_index, struct err *err)
{
    struct keyed_lock turn = {.name = ""};
    unsigned char *data = NULL;
    int code = 0;
    if (source->size_bytes > LIMIT_PICKLE_BYTES)
        return err_set(err, ERR_LIMIT, "%s: %" PRIu64 " bytes exceed the limit of %zu", name,
                       source->size_bytes, LIMIT_PICKLE_BYTES);
    if (!(data = malloc((size_t)source->size_bytes + 1)))
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    code = source_read(source, 0, data, (size_t)source->size_bytes, err);
    if (!code && !(code = keyed_locks_take(&parsing, &turn, cancel, err))) {
        code = chunk_index_parse(data, (size_t)source->size_bytes, ret_index, err);
        keyed_locks_give(&parsing, &turn);
        if (code)
            code = err_wrap(err, "%s", name);
    }
    free(data);
    return code;
}

static int read_entry(const struct checkpoint_files *files, struct source *source, const char *name,
                      const char *key, const struct chunk_index **ret_index, struct err *err)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry && key)
        entry->key = strdup(key);
    if (!entry || (key && !entry->key)) {
        free(entry);
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    }
    int code = parse(source, name, files->cancel, &entry->index, err);
    if (code) {
        free_entry(entry);
        return code;
    }
    entry->size_bytes = chunk_index_memory(entry->index);
    entry->user_count = 1;
    *ret_index = entry->index;
    put(entry);
    return 0;
}

/* A file is named by what it is now, too: in a folder it may have been written again. NULL: without memory.
 */
static char *make_key(const struct checkpoint_files *files, struct source *source, const char *name)
{
    struct source_identity identity = {0};
    (void)source_identify(source, &identity);
    const size_t size = strlen(files->content) + strlen(name) + 128;
    char *key = malloc(size);
    if (key)
        (void)snprintf(key, size, "%s\n%s\n%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64,
                       files->content, name, identity.device, identity.inode, source->size_bytes,
                       identity.modified_ns, identity.changed_ns);
    return key;
}

static int take_shared(const struct checkpoint_files *files, struct source *source, const char *name,
                       const struct chunk_index **ret_index, struct err *err)
{
    char *key = make_key(files, source, name);
    if (!key)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    struct keyed_lock own = {.name = key};
    int code = keyed_locks_take(&reading, &own, files->cancel, err);
    if (!code) {
        *ret_index = find(key);
        if (!*ret_index)
            code = read_entry(files, source, name, key, ret_index, err);
        keyed_locks_give(&reading, &own);
    }
    free(key);
    return code;
}

int chunk_shelf_take(const struct checkpoint_files *files, const char *metadata,
                     const struct chunk_index **ret_index, struct err *err)
{
    struct source *source = NULL;
    int code = files->open(files->context, metadata, &source, err);
    if (code)
        return code;
    (void)pthread_once(&locks_once, init_locks);
    code = files->content ? take_shared(files, source, metadata, ret_index, err)
                          : read_entry(files, source, metadata, NULL, ret_index, err);
    source_close(source);
    return code;
}
