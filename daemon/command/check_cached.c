/* What the cache holds that can be measured where the hub is not asked. */
#include "daemon/base/limits.h"
#include "daemon/base/repository_name.h"
#include "daemon/command/check.h"
#include "daemon/hub/hub.h"
#include "daemon/sweep/cached_revisions.h"
#include "daemon/sweep/revision_list.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define NAMED_MAX 5 /* models that are named; one of them shows whether this is the cache that was meant */

struct cached {
    struct hub *hub;
    int model_count, named_count;
    size_t revision_count;
    char names[NAMED_MAX * (REPOSITORY_NAME_SIZE + 24)];
};

/* "models--owner--name" is "owner/name"; neither part holds "--". */
static int read_name(const char *folder, char name[REPOSITORY_NAME_SIZE])
{
    static const char kind[] = "models--";
    if (strncmp(folder, kind, strlen(kind)) != 0)
        return 0;
    const char *owner = folder + strlen(kind), *end = strstr(owner, "--");
    int length = end ? snprintf(name, REPOSITORY_NAME_SIZE, "%.*s/%s", (int)(end - owner), owner, end + 2)
                     : snprintf(name, REPOSITORY_NAME_SIZE, "%s", owner);
    return length > 0 && length < REPOSITORY_NAME_SIZE && repository_name_is_valid(name);
}

static size_t count_revisions(struct hub *hub, const char *name)
{
    struct err ignored = ERR_INIT;
    struct repository *repository = NULL;
    struct revision_list list = {.rows = NULL};
    const struct sweep_spec all = {.step_max = INT64_MAX, .every = 1};
    size_t count = 0;
    if (hub_open_repository(hub, REPOSITORY_KIND_MODEL, name, NULL, &repository, &ignored))
        return 0;
    if (!revision_list_read(&list, repository, &all, &ignored) &&
        !cached_revisions_find(&list, repository, &all, &ignored))
        for (size_t i = 0; i < list.count; i++)
            count += list.rows[i].cached == REVISION_CACHED_HERE;
    revision_list_free(&list);
    repository_close(repository);
    return count;
}

static void take_model(struct cached *cached, const char *name)
{
    const size_t count = count_revisions(cached->hub, name), used = strlen(cached->names);
    if (!count)
        return;
    cached->model_count++;
    cached->revision_count += count;
    if (cached->named_count++ < NAMED_MAX)
        (void)snprintf(cached->names + used, sizeof cached->names - used, "%s%s (%zu)", used ? ", " : "",
                       name, count);
}

void check_cached(const struct hub_options *setup, struct check_report *report)
{
    struct cached cached = {.model_count = 0};
    struct err err = ERR_INIT;
    char name[REPOSITORY_NAME_SIZE];
    DIR *stream = opendir(setup->cache_folder);
    if (!stream || hub_open(setup, &cached.hub, &err)) {
        if (stream)
            (void)closedir(stream);
        return; /* others tell of it */
    }
    for (struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        if (read_name(entry->d_name, name))
            take_model(&cached, name);
    }
    (void)closedir(stream);
    hub_close(cached.hub);
    if (cached.model_count)
        check_add(report, CHECK_LEVEL_OK, "hub cache", "offline: %zu training steps of %d models: %s%s",
                  cached.revision_count, cached.model_count, cached.names,
                  cached.named_count > NAMED_MAX ? ", ..." : "");
    else
        check_add(report, CHECK_LEVEL_WARNING, "hub cache",
                  "offline: no branch or tag that is a training step has weights there: where there is a "
                  "network, hf download OWNER/NAME --revision STEP");
}
