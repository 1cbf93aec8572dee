#include "daemon/measure/hub_setup.h"

#include <string.h>

int hub_setup_options(const struct options *options, struct hub_options *ret_hub, struct err *err)
{
    struct hub_options hub = {0};
    int code = hub_options_from_environment(&hub, err);
    if (!code && options->endpoint[0])
        code = hub_options_set(&hub.endpoint, options->endpoint, err);
    if (!code && options->hub_cache[0])
        code = hub_options_set(&hub.cache_folder, options->hub_cache, err);
    if (!code && options->ca_file[0])
        code = hub_options_set(&hub.ca_file, options->ca_file, err);
    if (!code)
        code = hub_options_set(&hub.state_folder, options->state, err);
    if (!code)
        code = hub_options_set(&hub.user_agent, "bifurcated/" BIFURCATED_VERSION, err);
    if (code)
        goto out;
    hub.is_offline = hub.is_offline || options->offline;
    hub.keep = strcmp(options->keep, "files") == 0    ? HUB_KEEP_FILES
               : strcmp(options->keep, "ranges") == 0 ? HUB_KEEP_RANGES
                                                      : HUB_KEEP_NOTHING;
    hub.connections_max = (int)options->connections;
    if (hub.connections_per_file_max > hub.connections_max)
        hub.connections_per_file_max = hub.connections_max;
    hub.request_budget = (int)options->request_budget;
    hub.stall_timeout_ms = options->stall_timeout_s * 1000;
    hub.cache_budget_bytes = (uint64_t)options->cache_budget_mb * 1000000;
out:
    if (code)
        hub_options_free(&hub);
    else
        *ret_hub = hub;
    return code;
}
