/*
 * The commands of tokens: tokens, issue, revoke.
 */
#include "api/client/commands.h"

#include "api/client/sweep_ids.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

int client_run_tokens(const struct client_arguments *arguments)
{
    static const struct client_column columns[] = {
        {"id", "TOKEN"},           {"name", "NAME"},         {"scopes", "SCOPES"},
        {"expires_at", "EXPIRES"}, {"last_used_at", "USED"}, {"revoked_at", "REVOKED"},
    };
    return client_list(arguments, "/v1/tokens?limit=1000", "tokens", columns, COUNT(columns),
                       "no token was made; `bifurcate issue NAME --scopes read` makes one");
}

/* One exchange, whose answer is a token; the caller releases *ret_token. */
static int exchange(const struct client_arguments *arguments, const char *method, const char *target,
                    const char *body, json_t **ret_token, struct err *err)
{
    struct client_link *link = NULL;
    struct buf answer;
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    int code = client_link_open(arguments, &link, err);
    if (!code)
        code = client_link_request(link, method, target, body, NULL, &answer, err);
    if (!code && !(*ret_token = client_link_load(link, buf_text(&answer), answer.size)))
        code = err_set(err, ERR_FORMAT, "the answer of %s is not a token", client_link_server(link));
    buf_free(&answer);
    client_link_close(link);
    return code;
}

/* {"name": "ci", "scopes": ["read", "sweep"], "expires_days": 30}; the caller frees it. */
static int make_request(const struct client_arguments *arguments, char **ret_text, struct err *err)
{
    const char *given = arguments->values[CLIENT_OPTION_SCOPES];
    const char *scopes = given ? given : "read,sweep"; /* as of `bifurcated token create` */
    json_t *root = json_object(), *list = json_array();
    char *copy = strdup(scopes), *rest = NULL;
    for (char *name = copy ? strtok_r(copy, ",", &rest) : NULL; name; name = strtok_r(NULL, ",", &rest))
        (void)json_array_append_new(list, json_string(name));
    free(copy);
    (void)json_object_set_new(root, "name", json_string(arguments->words[0]));
    (void)json_object_set_new(root, "scopes", list);
    int code = client_parse_number("expires-days", arguments->values[CLIENT_OPTION_EXPIRES_DAYS], root,
                                   "expires_days", err);
    if (!code && !(*ret_text = json_text_dump(root, JSON_COMPACT)))
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
    json_decref(root);
    return code;
}

int client_run_issue(const struct client_arguments *arguments)
{
    struct err err = ERR_INIT;
    json_t *token = NULL;
    char *body = NULL;
    int code = make_request(arguments, &body, &err);
    if (!code)
        code = exchange(arguments, "POST", "/v1/tokens", body, &token, &err);
    const char *text = json_string_value(json_object_get(token, "token"));
    if (!code && !text)
        code =
            err_set(&err, ERR_FORMAT, "the answer has no token; see `bifurcate tokens` whether one was made");
    if (!code && arguments->values[CLIENT_OPTION_JSON])
        client_print_json(token);
    else if (!code) /* alone, so that a script can take it */
        (void)printf("%s\n", text);
    if (!code && !arguments->values[CLIENT_OPTION_SCOPES])
        (void)fprintf(stderr, "this token reads and starts sweeps (read,sweep); --scopes names others\n");
    json_decref(token);
    free(body);
    return code ? client_report(&err) : CLIENT_EXIT_DONE;
}

int client_run_revoke(const struct client_arguments *arguments)
{
    struct err err = ERR_INIT;
    struct buf target;
    json_t *token = NULL;
    buf_init(&target, LIMIT_URL_BYTES);
    int64_t id = 0;
    int code = client_parse_id(arguments->words[0], "token", "tokens", &id, &err);
    buf_appendf(&target, "/v1/tokens/%" PRId64, id);
    if (!code)
        code = buf_check(&target, "URL", &err);
    if (!code)
        code = exchange(arguments, "DELETE", buf_text(&target), NULL, &token, &err);
    const char *name = json_string_value(json_object_get(token, "name"));
    if (!code && arguments->values[CLIENT_OPTION_JSON])
        client_print_json(token);
    else if (!code)
        (void)printf("the token %s (%s) counts no more\n", arguments->words[0], name ? name : "-");
    json_decref(token);
    buf_free(&target);
    return code ? client_report(&err) : CLIENT_EXIT_DONE;
}
