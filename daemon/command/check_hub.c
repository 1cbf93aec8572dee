/* The hub, the token, its rate limit, and the cache. */
#include "daemon/base/file.h"
#include "daemon/command/check.h"
#include "daemon/measure/hub_setup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define AHEAD_MS_MAX 120000
#define ROOM_GB 2.0 /* a checkpoint of pythia-1b */

/* Times are recorded by our clock, and watches at a time of the day go by it. */
static void check_clock(const char *endpoint, int64_t ahead_ms, struct check_report *report)
{
    if (llabs(ahead_ms) > AHEAD_MS_MAX)
        check_add(report, CHECK_LEVEL_WARNING, "clock",
                  "this machine's clock is %lld s %s that of %s: set it (timedatectl)",
                  llabs((long long)ahead_ms) / 1000, ahead_ms > 0 ? "ahead of" : "behind", endpoint);
}

static void check_answer(const struct hub_options *setup, struct check_report *report)
{
    struct err err = ERR_INIT;
    struct hub_probe probe;
    struct hub *hub = NULL;
    if (hub_open(setup, &hub, &err) || hub_ask(hub, &probe, &err)) {
        check_add(report, CHECK_LEVEL_ERROR, "hub", "%s", err.message);
    } else {
        if (probe.knows_users)
            check_add(report, CHECK_LEVEL_OK, "hub", "%s answers in %" PRId64 " ms", setup->endpoint,
                      probe.answer_ms);
        else
            check_add(report, CHECK_LEVEL_WARNING, "hub",
                      "%s answers in %" PRId64
                      " ms, but 404 to /api/whoami-v2, as mirrors do: a first sweep shows "
                      "whether it has models; if it is not a mirror, correct HF_ENDPOINT",
                      setup->endpoint, probe.answer_ms);
        check_clock(setup->endpoint, probe.ahead_ms, report);
        if (setup->token_problem)
            check_add(report, CHECK_LEVEL_WARNING, "hub token",
                      "none, though there should be one: %s: let this user read the file, or set HF_TOKEN",
                      setup->token_problem);
        else if (setup->token && !probe.knows_users)
            check_add(report, CHECK_LEVEL_WARNING, "hub token",
                      "there is one, but a mirror does not say whether it counts");
        else if (setup->token)
            check_add(report, CHECK_LEVEL_OK, "hub token", "belongs to %s, of %s", probe.user,
                      setup->token_path ? setup->token_path
                                        : "HF_TOKEN, which counts before the file of hf auth login");
        else
            check_add(report, CHECK_LEVEL_OK, "hub token",
                      "none: public models only, and a lower rate limit; HF_TOKEN sets one%s%s",
                      setup->token_path ? ", or else the file " : "",
                      setup->token_path ? setup->token_path : "");
        if (probe.requests_left >= 0)
            check_add(report, probe.requests_left < 50 ? CHECK_LEVEL_WARNING : CHECK_LEVEL_OK, "hub limit",
                      "%" PRId64 " requests of its API are left for the next %" PRId64 " s",
                      probe.requests_left,
                      probe.requests_reset_ms < 0 ? INT64_C(300) : probe.requests_reset_ms / 1000);
    }
    hub_close(hub);
}

/* Whether there is room for whole checkpoints. */
static void check_room(const struct hub_options *setup, const char *folder, struct check_report *report)
{
    struct statvfs info;
    if (statvfs(folder, &info))
        return;
    double free_gb = (double)info.f_bavail * (double)info.f_frsize / 1e9;
    if (free_gb < ROOM_GB)
        check_add(report, CHECK_LEVEL_WARNING, "hub cache",
                  "%s: %.1f GB are free, and keep = files puts whole checkpoints there: free space, or set "
                  "cache-budget-mb, or another hub-cache",
                  setup->cache_folder, free_gb);
}

/* Where there is none yet, the folder counts in which it will be made. */
static void check_cache(const struct hub_options *setup, struct check_report *report)
{
    int is_there = file_exists(setup->cache_folder), keeps = setup->keep == HUB_KEEP_FILES;
    char *folder = check_existing_folder(setup->cache_folder);
    int is_writable = folder && access(folder, W_OK | X_OK) == 0;
    if (is_there && access(setup->cache_folder, R_OK | X_OK))
        check_add(report, CHECK_LEVEL_WARNING, "hub cache", "%s cannot be read by this user",
                  setup->cache_folder);
    else if (!is_writable && (keeps || !setup->is_offline))
        check_add(report, keeps ? CHECK_LEVEL_ERROR : CHECK_LEVEL_WARNING, "hub cache",
                  "%s cannot be %s, but %s there: change its owner, or hub-cache", setup->cache_folder,
                  is_there ? "written" : "made",
                  keeps ? "keep = files puts files" : "perplexity puts its texts");
    else
        check_add(report, CHECK_LEVEL_OK, "hub cache", "%s%s", setup->cache_folder,
                  is_there ? "" : " (there is none yet)");
    if (folder && is_writable && keeps)
        check_room(setup, folder, report);
    free(folder);
}

void check_hub(const struct options *options, struct check_report *report)
{
    struct err err = ERR_INIT;
    struct hub_options setup;
    if (hub_setup_options(options, &setup, &err)) {
        check_add(report, CHECK_LEVEL_ERROR, "hub", "%s", err.message);
        return;
    }
    setup.attempts_max = 1;
    if (setup.is_offline)
        check_add(report, CHECK_LEVEL_WARNING, "hub",
                  "is not asked (offline, or HF_HUB_OFFLINE): only what the cache holds can be measured");
    else
        check_answer(&setup, report);
    check_cache(&setup, report);
    if (setup.is_offline)
        check_cached(&setup, report);
    hub_options_free(&setup);
}
