/*
 * An answer of the API that is one document, fetched and printed for people.
 */
#ifndef BIFURCATED_API_CLIENT_ANSWER_H
#define BIFURCATED_API_CLIENT_ANSWER_H

#include "api/client/commands.h"
#include "api/client/member.h"
#include "daemon/base/buf.h"
#include "daemon/base/step_unit.h"

#include <jansson.h>

/* A parameter of the request that an option gives. */
struct client_parameter {
    const char *name;
    enum client_option option;
};

/* A request for what a command prints. What goes wrong stays in `err`, and the steps after it do nothing. */
struct client_answer {
    const struct client_arguments *arguments;
    const char *model;    /* NULL: it is of none */
    const char *revision; /* NULL: of none, or of many */
    struct client_link *link;
    struct buf target;
    json_t *document; /* NULL: not there yet */
    int code;
    struct err err;
};

/* Opens the link; the target is the model's path so far, or "". */
void client_answer_begin(struct client_answer *answer, const struct client_arguments *arguments,
                         const char *model);

/* Appends "/revisions/NAME" to the target. */
void client_answer_name_revision(struct client_answer *answer, const char *revision);

/* Appends those options as parameters that are given. */
void client_answer_ask(struct client_answer *answer, const struct client_parameter *parameters,
                       size_t parameter_count);

/* GET of the target; of all pages of the list `key`, unless that is NULL. */
void client_answer_get(struct client_answer *answer, const char *key);

/* After it: says what is known of the model where nothing was found, or `is_empty` (client_check_model()). */
void client_answer_check_model(struct client_answer *answer, int is_empty);

/* Prints the document with `print`, or as it is for --json. */
void client_answer_print(const struct client_answer *answer, void (*print)(const json_t *document));

/* Frees; reports the error, if there is one. The exit status. */
int client_answer_end(struct client_answer *answer);

/* All of these: GET of a resource of the model (NULL: `path` is whole). */
int client_answer_run(const struct client_arguments *arguments, const char *model, const char *path,
                      const struct client_parameter *parameters, size_t parameter_count,
                      void (*print)(const json_t *document));

/* What the steps of a document count. */
enum step_unit client_answer_unit(const json_t *document);

/* Prints `text` after `head`, broken between words; further lines begin under the text. */
void client_answer_wrap(const char *head, size_t indent, const char *text);

/* Prints a line whole, unless a terminal would break it anywhere. Takes the reference. */
void client_answer_line(json_t *line);

#endif
