#include "api/client/answer.h"

#include "api/client/link.h"
#include "api/client/terminal.h"
#include "daemon/base/limits.h"

#include <string.h>

#define WIDTH 92    /* of a line, where the terminal is not narrower */
#define TEXT_MIN 32 /* of it for the text beside its head, else it stands below */
#define INDENT_BELOW 4

const char *client_answer_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

int64_t client_answer_integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

double client_answer_real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

int client_answer_has(const json_t *object, const char *key)
{
    return json_is_number(json_object_get(object, key));
}

enum step_unit client_answer_unit(const json_t *document)
{
    return step_unit_find(client_answer_text(document, "step_unit"));
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

int client_answer_run(const struct client_arguments *arguments, const char *model, const char *path,
                      const struct client_parameter *parameters, size_t parameter_count,
                      void (*print)(const json_t *document))
{
    struct client_link *link = NULL;
    struct err err = ERR_INIT;
    struct buf target;
    json_t *document = NULL;
    buf_init(&target, 2 * LIMIT_URL_BYTES);
    int code = client_link_open(arguments, &link, &err);
    if (!code && model)
        code = client_link_model(&target, model, &err);
    buf_append_text(&target, path);
    for (size_t i = 0; i < parameter_count; i++)
        client_link_append(&target, parameters[i].name, arguments->values[parameters[i].option]);
    if (!code)
        code = buf_check(&target, "URL", &err);
    if (!code)
        code = client_link_get(link, buf_text(&target), &document, &err);
    if (!code && model && !json_is_string(json_object_get(document, "model")))
        code = err_set(&err, ERR_FORMAT, "%s%s: the answer names no model; is it a bifurcated?",
                       client_link_server(link), buf_text(&target));
    if (link && model)
        code = client_check_model(link, model, code, client_answer_integer(document, "revisions_known") == 0,
                                  &err);
    if (!code && arguments->values[CLIENT_OPTION_JSON])
        client_print_json(document);
    else if (!code)
        print(document);
    json_decref(document);
    buf_free(&target);
    client_link_close(link);
    return code ? client_report(&err) : CLIENT_EXIT_DONE;
}
