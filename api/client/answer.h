/*
 * An answer of the API that is one document, fetched and printed for people.
 */
#ifndef BIFURCATED_API_CLIENT_ANSWER_H
#define BIFURCATED_API_CLIENT_ANSWER_H

#include "api/client/commands.h"
#include "daemon/base/step_unit.h"

#include <jansson.h>

/* A parameter of the request that an option gives. */
struct client_parameter {
    const char *name;
    enum client_option option;
};

/* GET of a resource of the model (NULL: `path` is whole), with those options as parameters that are given;
 * prints it with `print`, or as it is for --json. */
int client_answer_run(const struct client_arguments *arguments, const char *model, const char *path,
                      const struct client_parameter *parameters, size_t parameter_count,
                      void (*print)(const json_t *document));

/* A member; "", 0 where it is none. */
const char *client_answer_text(const json_t *object, const char *key);
int64_t client_answer_integer(const json_t *object, const char *key);
double client_answer_real(const json_t *object, const char *key);

/* Whether a member is a number. */
int client_answer_has(const json_t *object, const char *key);

/* What the steps of a document count. */
enum step_unit client_answer_unit(const json_t *document);

/* Prints `text` after `head`, broken between words; further lines begin under the text. */
void client_answer_wrap(const char *head, size_t indent, const char *text);

/* Prints a line whole, unless a terminal would break it anywhere. Takes the reference. */
void client_answer_line(json_t *line);

#endif
