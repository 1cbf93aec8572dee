/*
 * `bifurcate remove`: what goes is printed and asked for, and then it goes.
 */
#include "api/client/commands.h"
#include "api/client/member.h"
#include "api/client/model_name.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One exchange, whose answer says what goes, or went; the caller releases *ret_removal. */
static int exchange(struct client_link *link, const char *model, int is_dry_run, json_t **ret_removal,
                    struct err *err)
{
    struct buf target, answer;
    buf_init(&target, LIMIT_URL_BYTES);
    buf_init(&answer, CLIENT_BODY_BYTES_MAX);
    int code = client_model_target(&target, model, err);
    if (!code && is_dry_run)
        client_link_append(&target, "dry_run", "true");
    if (!code)
        code = buf_check(&target, "URL", err);
    if (!code)
        code = client_link_request(link, "DELETE", buf_text(&target), NULL, NULL, &answer, err);
    if (!code && !(*ret_removal = client_link_load(link, buf_text(&answer), answer.size)))
        code = err_set(err, ERR_FORMAT, "the answer of %s does not say what goes", client_link_server(link));
    buf_free(&target);
    buf_free(&answer);
    return code;
}

static void print_removal(const json_t *removal, FILE *stream)
{
    const char *name = json_string_value(json_object_get(removal, "model"));
    int64_t kept = member_integer(removal, "kept_contents");
    (void)fprintf(stream,
                  "%s\n"
                  "  revisions     %" PRId64 "\n"
                  "  tensors       %" PRId64 ", with all that was measured of them (%.1f MB)\n"
                  "  perplexities  %" PRId64 "\n"
                  "  sweeps        %" PRId64 ", with %" PRId64 " tasks\n",
                  name ? name : "-", member_integer(removal, "revisions"),
                  member_integer(removal, "contents"), (double)member_integer(removal, "size_bytes") / 1e6,
                  member_integer(removal, "perplexities"), member_integer(removal, "sweeps"),
                  member_integer(removal, "tasks"));
    if (json_is_true(json_object_get(removal, "is_watched")))
        (void)fprintf(stream, "  watch         with %" PRId64 " deliveries\n",
                      member_integer(removal, "deliveries"));
    if (kept)
        (void)fprintf(stream, "  Not %" PRId64 " more tensors, which another model has, too.\n", kept);
}

/* ERR_CANCELLED: the answer was no. */
static int ask(struct err *err)
{
    char line[16] = "";
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return err_set(err, ERR_INVALID,
                       "there is no terminal to ask on: repeat it with --yes, or with --dry-run");
    (void)fputs("Delete this, for everybody and for ever? [y/N] ", stderr);
    const int is_answered = fgets(line, sizeof line, stdin) != NULL;
    if (!is_answered)
        (void)fputc('\n', stderr); /* Ctrl-C or Ctrl-D: the question's line has not ended */
    if (!is_answered || (strcmp(line, "y\n") != 0 && strcmp(line, "yes\n") != 0))
        return err_set(err, ERR_CANCELLED, "nothing was removed");
    return 0;
}

int client_run_remove(const struct client_arguments *arguments)
{
    const char *model = arguments->words[0];
    int is_json = arguments->values[CLIENT_OPTION_JSON] != NULL;
    int is_dry_run = arguments->values[CLIENT_OPTION_DRY_RUN] != NULL;
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    json_t *planned = NULL, *removal = NULL;
    int code = client_link_open(arguments, &link, &err);
    if (!code && (is_dry_run || !arguments->values[CLIENT_OPTION_YES]))
        code = exchange(link, model, 1, &planned, &err);
    if (!code && planned && !(is_dry_run && is_json))
        print_removal(planned, is_dry_run ? stdout : stderr);
    if (!code && planned && !is_dry_run)
        code = ask(&err);
    if (!code && !is_dry_run)
        code = exchange(link, model, 0, &removal, &err);
    if (!code && is_json)
        client_print_json(is_dry_run ? planned : removal);
    else if (!code && !is_dry_run) {
        if (!planned)
            print_removal(removal, stdout);
        (void)puts("All of it is removed.");
    }
    json_decref(planned);
    json_decref(removal);
    client_link_close(link);
    return code ? client_report(&err) : CLIENT_EXIT_DONE;
}
