/* The hub's options out of the environment, as huggingface_hub reads it. */
#include "daemon/hub/hub.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/hub/token.h"
#include "daemon/hub/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifndef BIFURCATED_VERSION
#define BIFURCATED_VERSION "0"
#endif

/* NULL for a variable that is unset or empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static const char *first_variable(const char *a, const char *b)
{
    const char *value = variable(a);
    return value ? value : variable(b);
}

static int is_true(const char *value)
{
    static const char *const words[] = {"1", "ON", "YES", "TRUE"};
    for (size_t i = 0; value && i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(value, words[i]) == 0)
            return 1;
    }
    return 0;
}

int hub_options_set(char **member, const char *value, struct err *err)
{
    char *copy = value ? strdup(value) : NULL;
    if (value && !copy)
        return err_set(err, ERR_NO_MEMORY, "options: out of memory");
    free(*member);
    *member = copy;
    return 0;
}

void hub_options_free(struct hub_options *options)
{
    if (!options)
        return;
    free(options->endpoint);
    free(options->token);
    free(options->token_path);
    free(options->token_problem);
    free(options->cache_folder);
    free(options->state_folder);
    free(options->ca_file);
    free(options->user_agent);
    *options = (struct hub_options){0};
}

static char *join_expanded(const char *folder, const char *name)
{
    char *joined = file_join(folder, name);
    char *expanded = joined ? file_expand(joined) : NULL;
    free(joined);
    return expanded;
}

/* $HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface. */
static char *home_folder(void)
{
    const char *home = variable("HF_HOME"), *cache = variable("XDG_CACHE_HOME");
    return home ? file_expand(home) : join_expanded(cache ? cache : "~/.cache", "huggingface");
}

static int set_cache(struct hub_options *options, const char *home, struct err *err)
{
    const char *named = first_variable("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE");
    char *folder = named ? file_expand(named) : file_join(home, "hub");
    char *absolute = folder;
    if (!folder)
        return err_set(err, ERR_NO_MEMORY, "options: out of memory");
    if (folder[0] != '/') {
        char *here = realpath(".", NULL);
        absolute = here ? file_join(here, folder) : NULL;
        free(here);
        free(folder);
        if (!absolute)
            return err_set(err, ERR_NO_MEMORY, "options: out of memory");
    }
    free(options->cache_folder);
    options->cache_folder = absolute;
    return 0;
}

/* Whoever has a token must learn why it does not count; most have none, and that is no problem. What somebody
 * has to correct is an error. */
static int read_token_file(struct hub_options *options, int is_named, struct err *err)
{
    char text[TOKEN_SIZE];
    struct err reason = ERR_INIT;
    int code = token_read_file(options->token_path, text, &reason);
    if (!code)
        return hub_options_set(&options->token, text, err);
    if (code == ERR_INVALID) {
        *err = reason;
        return code;
    }
    return is_named || code != ERR_NOT_FOUND ? hub_options_set(&options->token_problem, reason.message, err)
                                             : 0;
}

static int find_token(struct hub_options *options, const char *home, struct err *err)
{
    char text[TOKEN_SIZE];
    const char *token = first_variable("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN");
    const char *named = variable("HF_TOKEN_PATH");
    if (is_true(variable("HF_HUB_DISABLE_IMPLICIT_TOKEN")))
        return 0; /* neither of the environment nor of the file */
    if (token) {
        int code = token_parse(token, "HF_TOKEN", text, err);
        if (code || text[0])
            return code ? code : hub_options_set(&options->token, text, err);
    }
    options->token_path = named ? file_expand(named) : file_join(home, "token");
    if (!options->token_path)
        return err_set(err, ERR_NO_MEMORY, "options: out of memory");
    return read_token_file(options, named != NULL, err);
}

static int set_endpoint(struct hub_options *options, struct err *err)
{
    const char *endpoint = variable("HF_ENDPOINT");
    int code = hub_options_set(&options->endpoint, endpoint ? endpoint : "https://huggingface.co", err);
    if (code)
        return code;
    for (size_t size = strlen(options->endpoint); size && options->endpoint[size - 1] == '/'; size--)
        options->endpoint[size - 1] = 0;
    if (!url_is_endpoint(options->endpoint))
        return err_set(err, ERR_INVALID, "HF_ENDPOINT: %.200s: not an http or https address",
                       options->endpoint);
    return 0;
}

int hub_options_from_environment(struct hub_options *ret_options, struct err *err)
{
    struct hub_options options = {
        .is_offline = is_true(first_variable("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")),
        .keep = HUB_KEEP_NOTHING,
        .connections_max = 16,
        .connections_per_file_max = 4,
        .connect_timeout_ms = 15000,
        .stall_timeout_ms = 30000,
        .backoff_ms = 500,
        .backoff_max_ms = 16000,
        .wait_max_ms = 330000, /* a whole window of the hub's rate limit, and a little */
        .attempts_max = LIMIT_HUB_ATTEMPTS,
        .request_budget = 2500,
        .outage_longest_ms = 300000,
        .outage_limit_ms = INT64_C(86400000),
    };
    char *home = home_folder();
    int code = home ? 0 : err_set(err, ERR_NO_MEMORY, "options: out of memory");
    if (!code)
        code = set_endpoint(&options, err);
    if (!code)
        code = set_cache(&options, home, err);
    if (!code)
        code = find_token(&options, home, err);
    if (!code)
        code = hub_options_set(&options.ca_file, first_variable("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), err);
    if (!code)
        code = hub_options_set(&options.user_agent, "bifurcated/" BIFURCATED_VERSION, err);
    free(home);
    if (code)
        hub_options_free(&options);
    else
        *ret_options = options;
    return code;
}
