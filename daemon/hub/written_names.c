/* The names of a commit that was downloaded, in the cache's refs. */
#include "daemon/hub/client.h"

#include <stdlib.h>
#include <string.h>

/* Whether refs/<name> may lead to this commit. A name was resolved or listed some time ago, and another
 * program may have downloaded a newer commit since: what is there goes back only if the hub says so. */
static int may_write_ref(struct hub_repository *repository, const char *name, const char *commit)
{
    char known[REPOSITORY_COMMIT_SIZE], now[REPOSITORY_COMMIT_SIZE];
    struct err ignored = ERR_INIT;
    if (strpbrk(name, ":^")) /* a place, which no other program knows */
        return 1;
    if (cache_read_ref(&repository->cache, name, known, &ignored) || strcmp(known, commit) == 0)
        return 1;
    return !listing_resolve(&repository->repository, name, now, &ignored) && strcmp(now, commit) == 0;
}

/* A name that has no place beside another ("a" and "a/b") costs no download: it is missed only offline, and
 * told there. */
static int write_ref(struct hub_repository *repository, const char *name, const char *commit, struct err *err)
{
    if (!may_write_ref(repository, name, commit))
        return 0;
    int code = cache_write_ref(&repository->cache, name, commit, err);
    /* No git ref is called like a place, so a disk may refuse it: it is missed only offline, too. */
    return code == ERR_CONFLICT || (code && strpbrk(name, ":^")) ? 0 : code;
}

/* The name of this number, if it has this commit; NULL without memory, too. */
static char *copy_name(struct hub_repository *repository, size_t number, const char *commit)
{
    char *name = NULL;
    (void)pthread_mutex_lock(&repository->mutex);
    const struct repository_refs *resolved = &repository->resolved;
    if (number < resolved->count && strcmp(resolved->rows[number].commit, commit) == 0)
        name = strdup(resolved->rows[number].name);
    (void)pthread_mutex_unlock(&repository->mutex);
    return name;
}

int client_write_names(struct hub_repository *repository, const char *commit, struct err *err)
{
    int code = 0;
    (void)pthread_mutex_lock(&repository->mutex);
    const size_t count = repository->resolved.count;
    (void)pthread_mutex_unlock(&repository->mutex);
    for (size_t i = 0; i < count && !code; i++) {
        char *name = copy_name(repository, i, commit);
        if (name)
            code = write_ref(repository, name, commit, err);
        free(name);
    }
    return code;
}
