#include "api/client/answer.h"

#include "api/client/link.h"
#include "api/client/model_name.h"
#include "api/client/pages.h"
#include "api/client/terminal.h"
#include "daemon/base/limits.h"

#include <string.h>

#define WIDTH 92    /* of a line, where the terminal is not narrower */
#define TEXT_MIN 32 /* of it for the text beside its head, else it stands below */
#define INDENT_BELOW 4

enum step_unit client_answer_unit(const json_t *document)
{
    return step_unit_find(member_text(document, "step_unit"));
}

void client_answer_wrap(const char *head, size_t indent, const char *text)
{
    size_t at = strlen(head), width = client_terminal_width(stdout);
    width = width && width < WIDTH ? width : WIDTH;
    if (indent + TEXT_MIN > width) {
        while (at && head[at - 1] == ' ')
            at--;
        (void)printf("%.*s\n", (int)at, head);
        indent = INDENT_BELOW;
        head = "";
        at = 0;
    }
    (void)printf("%s%*s", head, at < indent ? (int)(indent - at) : 0, "");
    at = at < indent ? indent : at;
    for (int is_first = 1; *text; is_first = 0) {
        size_t length = strcspn(text, " ");
        if (!is_first && at + 1 + length > width) {
            (void)printf("\n%*s", (int)indent, "");
            at = indent;
        } else if (!is_first) {
            (void)putchar(' ');
            at++;
        }
        (void)printf("%.*s", (int)length, text);
        at += length;
        text += length;
        text += strspn(text, " ");
    }
    (void)putchar('\n');
}

void client_answer_line(json_t *line)
{
    const char *text = json_string_value(line);
    if (text && client_terminal_width(stdout))
        client_answer_wrap("", 0, text);
    else if (text)
        (void)puts(text);
    json_decref(line);
}

void client_answer_begin(struct client_answer *answer, const struct client_arguments *arguments,
                         const char *model)
{
    *answer = (struct client_answer){.arguments = arguments, .model = model};
    buf_init(&answer->target, 2 * LIMIT_URL_BYTES);
    answer->code = client_link_open(arguments, &answer->link, &answer->err);
    if (!answer->code && model)
        answer->code = client_model_target(&answer->target, model, &answer->err);
}

void client_answer_name_revision(struct client_answer *answer, const char *revision)
{
    answer->revision = revision;
    buf_append_text(&answer->target, "/revisions/");
    client_link_encode(&answer->target, revision);
}

void client_answer_ask(struct client_answer *answer, const struct client_parameter *parameters,
                       size_t parameter_count)
{
    for (size_t i = 0; i < parameter_count; i++)
        client_link_append(&answer->target, parameters[i].name,
                           answer->arguments->values[parameters[i].option]);
}

void client_answer_get(struct client_answer *answer, const char *key)
{
    const char *target = buf_text(&answer->target);
    if (!answer->code)
        answer->code = buf_check(&answer->target, "URL", &answer->err);
    if (!answer->code && key)
        answer->code = pages_get(answer->link, target, key, &answer->document, &answer->err);
    else if (!answer->code)
        answer->code = client_link_get(answer->link, target, &answer->document, &answer->err);
}

void client_answer_check_model(struct client_answer *answer, int is_empty)
{
    if (answer->link)
        answer->code = client_check_model(answer->link, answer->model, answer->code, is_empty, &answer->err);
    if (answer->link && answer->revision)
        answer->code =
            client_check_revision(answer->link, answer->model, answer->revision, answer->code, &answer->err);
}

void client_answer_print(const struct client_answer *answer, void (*print)(const json_t *document))
{
    if (!answer->code && answer->arguments->values[CLIENT_OPTION_JSON])
        client_print_json(answer->document);
    else if (!answer->code)
        print(answer->document);
}

int client_answer_end(struct client_answer *answer)
{
    json_decref(answer->document);
    buf_free(&answer->target);
    client_link_close(answer->link);
    return answer->code ? client_report(&answer->err) : CLIENT_EXIT_DONE;
}

int client_answer_run(const struct client_arguments *arguments, const char *model, const char *path,
                      const struct client_parameter *parameters, size_t parameter_count,
                      void (*print)(const json_t *document))
{
    struct client_answer answer;
    client_answer_begin(&answer, arguments, model);
    buf_append_text(&answer.target, path);
    client_answer_ask(&answer, parameters, parameter_count);
    client_answer_get(&answer, NULL);
    if (!answer.code && model && !json_is_string(json_object_get(answer.document, "model")))
        answer.code = err_set(&answer.err, ERR_FORMAT, "%s%s: the answer names no model; is it a bifurcated?",
                              client_link_server(answer.link), buf_text(&answer.target));
    if (model)
        client_answer_check_model(&answer, member_integer(answer.document, "revisions_known") == 0);
    client_answer_print(&answer, print);
    return client_answer_end(&answer);
}
