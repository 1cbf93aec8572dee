#include "daemon/hub/hub.h"

#include "daemon/base/file.h"
#include "daemon/base/local_name.h"
#include "daemon/base/repository_name.h"
#include "daemon/hub/client.h"
#include "daemon/hub/folder.h"
#include "daemon/hub/guarded_folder.h"
#include "daemon/hub/hub_repository.h"
#include "daemon/hub/range_store.h"
#include "daemon/hub/url.h"
#include "daemon/hub/view.h"

#include <stdlib.h>
#include <string.h>

#define FOLDER_SILENT_MS 10000

/* -- The hub --------------------------------------------------------------------------------------- */

static int copy_options(const struct hub_options *from, struct hub_options *to, struct err *err)
{
    const struct {
        char **to;
        const char *from;
    } texts[] = {
        {&to->endpoint, from->endpoint},         {&to->token, from->token},
        {&to->token_path, from->token_path},     {&to->token_problem, from->token_problem},
        {&to->cache_folder, from->cache_folder}, {&to->state_folder, from->state_folder},
        {&to->ca_file, from->ca_file},           {&to->user_agent, from->user_agent},
    };
    int code = 0;
    *to = *from;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i].to = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && !code; i++)
        code = hub_options_set(texts[i].to, texts[i].from, err);
    return code;
}

static int check_options(struct hub_options *options, struct err *err)
{
    if (!options->endpoint || !options->cache_folder || !options->user_agent)
        return err_set(err, ERR_INVALID, "hub: endpoint, cache folder and user agent must be set");
    for (size_t size = strlen(options->endpoint); size && options->endpoint[size - 1] == '/'; size--)
        options->endpoint[size - 1] = 0;
    if (!url_is_endpoint(options->endpoint))
        return err_set(err, ERR_INVALID, "hub: %.200s: not an http or https address", options->endpoint);
    if (options->connections_max < 1 || options->connections_per_file_max < 1 || options->attempts_max < 1)
        return err_set(err, ERR_INVALID, "hub: connections and attempts must be at least 1");
    if (options->connect_timeout_ms < 1 || options->stall_timeout_ms < 1 || options->backoff_ms < 0)
        return err_set(err, ERR_INVALID, "hub: times must be positive");
    if (options->ca_file && !file_exists(options->ca_file))
        return err_set(err, ERR_INVALID, "hub: %s: no such file of certificates", options->ca_file);
    return 0;
}

/* After how long a folder that does not answer is left alone. */
static int64_t silence_ms(int64_t hang_ms)
{
    return hang_ms && hang_ms / 4 < FOLDER_SILENT_MS ? hang_ms / 4 : FOLDER_SILENT_MS;
}

int hub_open(const struct hub_options *options, struct hub **ret_hub, struct err *err)
{
    struct hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return err_set(err, ERR_NO_MEMORY, "hub: out of memory");
    int code = copy_options(options, &hub->options, err);
    if (!code)
        code = check_options(&hub->options, err);
    refusals_init(&hub->refusals);
    small_files_init(&hub->small_files);
    int queue_code = cache_queue_init(&hub->cache_queue, &hub->options, code ? &(struct err)ERR_INIT : err);
    code = code ? code : queue_code;
    if (!code)
        code = folder_hints_new(&hub->folder_hints, err);
    if (!code)
        code = folder_hints_new(&hub->place_hints, err);
    if (!code)
        code = errands_new(silence_ms(options->hang_ms), options->hang_ms, &hub->errands, err);
    if (!code)
        code = token_new(&hub->options, &hub->token, err);
    if (!code)
        code = transfers_open(&hub->options, hub->token, &hub->transfers, err);
    if (code) {
        hub_close(hub);
        return code;
    }
    const struct range_store kept = {hub->options.state_folder, RANGE_STORE_FETCHED, 0};
    if (kept.state_folder)
        range_store_clean(&kept);
    *ret_hub = hub;
    return 0;
}

void hub_close(struct hub *hub)
{
    if (!hub)
        return;
    transfers_close(hub->transfers);
    token_free(hub->token);
    errands_free(hub->errands);
    folder_hints_free(hub->folder_hints);
    folder_hints_free(hub->place_hints);
    refusals_free(&hub->refusals);
    small_files_free(&hub->small_files);
    cache_queue_free(&hub->cache_queue);
    hub_options_free(&hub->options);
    free(hub);
}

void hub_cancel(struct hub *hub)
{
    atomic_store(&hub->is_cancelled, 1);
    transfers_cancel(hub->transfers);
}

void hub_counters(struct hub *hub, struct repository_counters *counters)
{
    usage_read(&hub->usage, counters);
}

int hub_is_down(struct hub *hub)
{
    return transfers_refuse(hub->transfers, NULL, NULL);
}

void hub_read_problem(struct hub *hub, char problem[ERR_MESSAGE_BYTES])
{
    transfers_read_problem(hub->transfers, problem);
}

uint64_t hub_outage_mark(struct hub *hub)
{
    return transfers_read_mark(hub->transfers);
}

void hub_doubt(struct hub *hub)
{
    if (!hub->options.is_offline)
        transfers_doubt(hub->transfers);
}

void hub_forget_refusals(struct hub *hub, const char *name)
{
    refusals_forget(&hub->refusals, name);
}

uint64_t hub_token_mark(struct hub *hub)
{
    return token_refresh(hub->token);
}

void hub_read_wait(struct hub *hub, struct hub_wait *ret_wait)
{
    transfers_read_wait(hub->transfers, ret_wait);
    cache_queue_read_wait(&hub->cache_queue, ret_wait);
}

/* -- The verbs of a repository --------------------------------------------------------------------------- */

void hub_expect_repository(struct repository *repository)
{
    struct hub_repository *hub_repository = client_repository_of(repository);
    if (hub_repository)
        hub_repository->is_expected = 1;
}

int hub_works_offline(const struct hub *hub)
{
    return hub->options.is_offline;
}

int hub_is_offline(struct repository *repository)
{
    const struct hub_repository *hub_repository = client_repository_of(view_below(repository));
    return hub_repository && hub_repository->hub->options.is_offline;
}

static int has_room(struct repository *repository, enum transfer_bucket bucket)
{
    const struct hub_repository *hub_repository = client_repository_of(view_below(repository));
    if (!hub_repository || hub_repository->hub->options.is_offline)
        return 1;
    return transfers_has_room(hub_repository->hub->transfers, bucket);
}

int hub_has_room(struct repository *repository)
{
    return has_room(repository, TRANSFER_BUCKET_API);
}

int hub_has_room_for_files(struct repository *repository)
{
    return has_room(repository, TRANSFER_BUCKET_FILES);
}

void hub_forget_ranges(struct repository *repository, const char *digest)
{
    const struct hub_repository *hub_repository = client_repository_of(view_below(repository));
    const char *state_folder = hub_repository ? hub_repository->hub->options.state_folder : NULL;
    const struct range_store kept = {state_folder, RANGE_STORE_FETCHED, 0};
    if (state_folder && digest[0])
        range_store_forget(&kept, digest);
}

int hub_open_guarded(struct hub *hub, const char *name, const atomic_bool *cancel,
                     struct repository **ret_repository, struct err *err)
{
    if (local_name_is(name))
        return guarded_folder_open_repository(name, hub->folder_hints, hub->errands, cancel, ret_repository,
                                              err);
    return hub_open_repository(hub, REPOSITORY_KIND_MODEL, name, cancel, ret_repository, err);
}

int hub_check_folder(struct hub *hub, const char *name, struct err *err)
{
    return local_name_is(name) ? errands_check_place(hub->errands, local_name_path(name), err) : 0;
}

int hub_visit_folder(struct hub *hub, const char *name, struct err *err)
{
    return local_name_is(name) ? guarded_folder_visit(name, hub->errands, err) : 0;
}

int hub_silent_count(struct hub *hub)
{
    return errands_silent_count(hub->errands);
}

int hub_open_repository(struct hub *hub, enum repository_kind kind, const char *name,
                        const atomic_bool *cancel, struct repository **ret_repository, struct err *err)
{
    if (local_name_is(name))
        return folder_open_repository(name, hub->folder_hints, cancel, ret_repository, err);
    if (!repository_name_is_valid(name))
        return err_set(err, ERR_INVALID, "%.100s: a model is written owner/name or file:/absolute/path",
                       name);
    return hub_repository_open(hub, kind, name, cancel, ret_repository, err);
}
