/* The hub's options out of the environment, as huggingface_hub reads it. */
#include "daemon/hub/hub.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"
#include "daemon/hub/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifndef BIFURCATED_VERSION
#define BIFURCATED_VERSION "0"
#endif

#define TOKEN_BYTES_MAX 4000 /* what a header field has room for (transfer.c) */

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

static int is_true(const char *name)
{
    static const char *const words[] = {"1", "ON", "YES", "TRUE"};
    const char *value = variable(name);
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

/* Python strips white space and line ends from tokens, and so must we: they would break the header. `place`
 * says where it is from. */
static int set_token(struct hub_options *options, const char *text, const char *place, struct err *err)
{
    size_t begin = strspn(text, " \t\r\n"), end = strlen(text);
    while (end > begin && strchr(" \t\r\n", text[end - 1]))
        end--;
    if (end == begin)
        return 0;
    if (end - begin > TOKEN_BYTES_MAX)
        return err_set(err, ERR_INVALID, "%s: has %zu bytes, which is no token: correct it", place,
                       end - begin);
    for (size_t i = begin; i < end; i++) {
        if (text[i] <= 0x20 || text[i] == 0x7f)
            return err_set(err, ERR_INVALID, "%s: the token has a character that no token has: correct it",
                           place);
    }
    char *token = strndup(text + begin, end - begin);
    if (!token)
        return err_set(err, ERR_NO_MEMORY, "options: out of memory");
    free(options->token);
    options->token = token;
    return 0;
}

/* Whoever has a token must learn why it does not count; most have none, and that is no problem. */
static int read_token_file(struct hub_options *options, const char *path, int is_named, struct err *err)
{
    struct buf text;
    struct err reason = ERR_INIT;
    int code = 0;
    buf_init(&text, 2 * TOKEN_BYTES_MAX);
    if (file_read(path, &text, &reason) == 0)
        code = set_token(options, buf_text(&text), path, err);
    if (!code && !reason.code && !options->token)
        (void)err_set(&reason, ERR_FORMAT, "%s: the file is empty", path);
    if (!code && reason.code && (is_named || reason.code != ERR_NOT_FOUND))
        code = hub_options_set(&options->token_problem, reason.message, err);
    buf_free(&text);
    return code;
}

static int find_token(struct hub_options *options, const char *home, struct err *err)
{
    const char *token = first_variable("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN");
    const char *named = variable("HF_TOKEN_PATH");
    if (token)
        return set_token(options, token, "HF_TOKEN", err);
    if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        return 0;
    char *path = named ? file_expand(named) : file_join(home, "token");
    if (!path)
        return err_set(err, ERR_NO_MEMORY, "options: out of memory");
    int code = read_token_file(options, path, named != NULL, err);
    free(path);
    return code;
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
        .is_offline = is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"),
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
