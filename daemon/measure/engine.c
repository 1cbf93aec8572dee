#include "daemon/measure/engine.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/log.h"
#include "daemon/base/main_memory.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/login.h"
#include "daemon/measure/device_turns.h"
#include "daemon/measure/hub_setup.h"
#include "daemon/measure/scorer.h"
#include "gpu/cpu/backend.h"
#include "gpu/registry.h"

/* What is started again is back in seconds; and a question each five minutes, which are reached after nine,
 * is nothing to a hub. */
#define OUTAGE_FIRST_MS 2000
#define TENSOR_BYTES_UNKNOWN 1000000000 /* where the machine does not tell its size */
#define PASSAGES_CACHE_BYTES (64 * MIB) /* LAMBADA takes about 2 MB */

struct backend_options engine_backend_options(const struct options *options)
{
    return (struct backend_options){.thread_count = (int)options->threads,
                                    .memory_bytes_max = (uint64_t)options->device_memory_mb * 1000000};
}

static int open_device(struct engine *engine, const struct options *options, struct err *err)
{
    struct backend_options backend = engine_backend_options(options);
    int code =
        registry_new(cpu_backend(), registry_module_path(options->cuda_module), &engine->registry, err);
    if (!code)
        code = device_open(engine->registry, options->device, &backend, &engine->device, err);
    if (code)
        return code;
    const struct registry_device *device = device_info(engine->device);
    const char *why = device_passed_over(engine->device);
    log_info("compute device", log_text("device", device->id), log_text("name", device->description.name),
             log_int("memory_limit_mb", options->device_memory_mb),
             log_text("no_cuda_because", registry_absence(engine->registry)), log_end);
    if (why[0])
        log_warning("a GPU is present but not used", log_text("reason", why), log_text("used", device->id),
                    log_text("remedy", "see what holds it (nvidia-smi), then start the daemon again"),
                    log_end);
    return 0;
}

/* The context that the next model is loaded in while one is scored. It is a help, not a need. */
static void open_second(struct engine *engine, const struct options *options)
{
    const struct backend_options backend = engine_backend_options(options);
    struct err err = ERR_INIT;
    if (!device_backend(engine->device)->model_need)
        return;
    if (device_open(engine->registry, device_info(engine->device)->id, &backend, &engine->second, &err))
        log_warning("models are loaded one after the other", log_text("because", err.message), log_end);
}

/* What to change so that a wait does not come again. */
static const char *remedy_of(enum hub_wait_reason reason, int has_token)
{
    if (reason == HUB_WAIT_REQUEST_BUDGET)
        return has_token
                   ? "raise request-budget, as far as the account's limit allows"
                   : "set HF_TOKEN, since accounts have a limit of their own, then raise request-budget";
    if (reason == HUB_WAIT_RATE_LIMIT)
        return has_token ? "lower request-budget, or use the token of an account with a higher limit"
                         : "set HF_TOKEN: the hub allows more requests with a token";
    return "nothing; the hub is busy";
}

/* A sweep that waits for a limit stands still, which nobody should have to guess. */
static void log_wait(void *context, const struct hub_wait *wait)
{
    struct engine *engine = context;
    char until[CLOCK_TEXT_SIZE];
    if (!wait->reason) {
        log_info("requests to the hub continue",
                 log_real("waited_s_since_start", (double)wait->waited_ms / 1000.0), log_end);
        return;
    }
    clock_format(wait->until_ms, until, sizeof until);
    log_warning("requests wait for the hub", log_text("limit", hub_wait_reason_name(wait->reason)),
                log_int("request_budget", engine->request_budget),
                log_int("seconds", (wait->until_ms - clock_wall_ms() + 999) / 1000), log_text("until", until),
                log_text("remedy", remedy_of(wait->reason, atomic_load(&engine->has_hub_token))), log_end);
}

/* A budget that is too small for all that is fetched at once slows each sweep down, so this comes again. */
static void log_cache(void *context, int waiting_count)
{
    const struct engine *engine = context;
    log_warning("downloads wait for the cache budget, which others have", log_int("downloads", waiting_count),
                log_int("cache_budget_mb", engine->cache_budget_mb),
                log_text("remedy", "raise cache-budget-mb, or lower fetchers"), log_end);
}

static void log_outage(void *context, const struct hub_outage *outage)
{
    (void)context;
    if (outage->is_over)
        log_info("requests to the hub continue", log_text("host", outage->host), log_end);
    else if (outage->is_endured)
        log_error(outage->is_partial
                      ? "a host of the hub's files is down for a day; what needs it fails from now on"
                      : "the hub is down for a day; what needs it fails from now on",
                  log_text("host", outage->host), log_text("reason", outage->reason),
                  log_text("remedy", "see what the reason names; then start the sweeps again"), log_end);
    else
        log_warning(outage->is_partial
                        ? "a host of the hub's files is down; what needs it waits and counts no attempt"
                        : "the hub is down; what needs it waits and counts no attempt",
                    log_text("host", outage->host), log_text("reason", outage->reason),
                    log_text("remedy", "none if the hub is at fault; else see what the reason names"),
                    log_end);
}

static void log_token(void *context, const struct hub_token_news *news)
{
    struct engine *engine = context;
    atomic_store(&engine->has_hub_token, news->has_token);
    if (news->problem)
        log_warning("the token file cannot be used; the hub is asked as before",
                    log_text("token", news->has_token ? "yes" : "no"), log_text("because", news->problem),
                    log_text("remedy", "log in once more (hf auth login), and let this user read the file"),
                    log_end);
    else
        log_info(news->has_token ? "the hub is asked with another token" : "the hub is asked without a token",
                 log_text("because_of", news->path), log_end);
}

/* Of a login that somebody else has to renew, with a daemon that runs for weeks. */
static void warn_of_expiry(int64_t expiry_ms)
{
    char when[CLOCK_TEXT_SIZE];
    if (!expiry_ms)
        return;
    clock_format(expiry_ms, when, sizeof when);
    log_warning("the hub's token is of a login that expires", log_text("at", when),
                log_text("remedy", LOGIN_REMEDY), log_end);
}

static int open_hub(struct engine *engine, const struct options *options, const char *state, struct err *err)
{
    struct hub_options hub = {0};
    int code = hub_setup_options(options, &hub, err);
    if (!code)
        code = hub_options_set(&hub.state_folder, state, err);
    hub.outage_first_ms = OUTAGE_FIRST_MS;
    hub.hang_ms = options->hang_after_s * 1000;
    hub.is_reached = engine->is_of_worker;
    hub.tell_wait = log_wait;
    hub.tell_outage = log_outage;
    hub.tell_token = log_token;
    hub.tell_cache = log_cache;
    hub.tell_context = engine;
    engine->request_budget = hub.request_budget;
    engine->cache_budget_mb = options->cache_budget_mb;
    atomic_store(&engine->has_hub_token, hub.token != NULL);
    if (!code)
        code = hub_open(&hub, &engine->hub, err);
    if (!code)
        log_info("hub", log_text("endpoint", hub.endpoint), log_text("cache", hub.cache_folder),
                 log_text("token", hub.token ? "yes" : "no"), log_end);
    if (!code && hub.token_problem)
        log_warning("the hub is asked without a token", log_text("because", hub.token_problem),
                    log_text("remedy", "let this user read the file, or set HF_TOKEN"), log_end);
    if (!code && hub.token && hub.token_path)
        warn_of_expiry(login_expiry_ms(hub.token_path, hub.token));
    hub_options_free(&hub);
    return code;
}

static void log_reference(void *context, const struct err *reason)
{
    (void)context;
    if (reason)
        log_warning("the tensor that a folder's displacements start from is not kept; they end with this "
                    "process where a trainer has deleted it",
                    log_text("reason", reason->message),
                    log_text("remedy", "make room on the disk, or raise references-mb"), log_end);
    else
        log_info("tensors that displacements of folders start from are kept again", log_end);
}

static int open_references(struct engine *engine, const struct options *options, const char *state,
                           struct err *err)
{
    const struct references_options references = {
        .state_folder = state,
        .budget_bytes = engine->is_temporary ? 0 : (uint64_t)options->references_mb * 1000000,
        .tell = log_reference};
    return references_new(&references, &engine->references, err);
}

/* A quarter for one process. With a process for each GPU, half of the memory for all of them. */
uint64_t engine_tensor_bytes(const struct options *options, const struct registry *registry,
                             uint64_t *ret_machine_bytes)
{
    const uint64_t machine_bytes = main_memory_bytes(MAIN_MEMORY_NODES);
    uint64_t gpu_count = registry ? registry_device_count(registry) - 1 : 0; /* the first one is the CPU */
    *ret_machine_bytes = machine_bytes;
    if (options->memory_mb > 0)
        return (uint64_t)options->memory_mb * 1000000;
    return machine_bytes ? machine_bytes / (gpu_count > 2 ? 2 * gpu_count : 4) : TENSOR_BYTES_UNKNOWN;
}

/* Beside a GPU, the processor's memory is that of the tensors: as much again for a model, of which a larger
 * one goes through it layer by layer. */
static int open_scorers(struct engine *engine, const struct options *options, struct err *err)
{
    uint64_t machine_bytes = 0;
    const struct backend_options processor = {
        .thread_count = (int)options->threads,
        .memory_bytes_max = engine_tensor_bytes(options, engine->registry, &machine_bytes)};
    return scorers_new(engine->registry, engine->device, engine->turns, &processor, &engine->scorers, err);
}

int engine_open(struct engine *engine, const struct options *options, const char *state, struct err *err)
{
    uint64_t machine_bytes = 0;
    int code = open_device(engine, options, err);
    if (!code)
        open_second(engine, options);
    if (!code)
        code = device_turns_new(engine->device, engine->second, &engine->device_busy_us, &engine->turns, err);
    if (!code)
        code = open_scorers(engine, options, err);
    if (!code)
        code = open_hub(engine, options, state, err);
    if (!code)
        code = tensor_pool_new(engine_tensor_bytes(options, engine->registry, &machine_bytes), &engine->pool,
                               err);
    if (!code)
        code = open_references(engine, options, state, err);
    if (!code)
        code = location_cache_new(&engine->locations, err);
    if (!code)
        code = data_cache_new(engine->hub, &engine->data, err);
    if (!code)
        code = file_digests_new(FILE_DIGESTS_SETTLED_MS, &engine->digests, err);
    if (!code)
        code = passages_cache_new(PASSAGES_CACHE_BYTES, &engine->passages, err);
    return code;
}

void engine_share(struct engine *engine, struct store *store, struct measure_shared *shared)
{
    *shared = (struct measure_shared){.store = store,
                                      .hub = engine->hub,
                                      .pool = engine->pool,
                                      .references = engine->references,
                                      .locations = engine->locations,
                                      .data = engine->data,
                                      .digests = engine->digests,
                                      .passages = engine->passages,
                                      .device = engine->device,
                                      .turns = engine->turns,
                                      .scorers = engine->scorers};
}

void engine_close(struct engine *engine)
{
    tensor_pool_free(engine->pool);
    references_free(engine->references);
    location_cache_free(engine->locations);
    data_cache_free(engine->data);
    file_digests_free(engine->digests);
    passages_cache_free(engine->passages);
    hub_close(engine->hub);
    scorers_free(engine->scorers);
    device_turns_free(engine->turns);
    device_close(engine->second);
    device_close(engine->device);
    registry_free(engine->registry);
}
