/*
 * Text of the daemon for a terminal. Names and messages come from the hub, from folders and from whoever
 * answers at the address, so nothing of them may steer the terminal or pass for another line.
 */
#ifndef BIFURCATED_API_CLIENT_PLAIN_H
#define BIFURCATED_API_CLIENT_PLAIN_H

#include <jansson.h>
#include <stdio.h>

/* From now on, '?' stands for every character beyond ASCII, too: for a terminal of another encoding. JSON
 * escapes them. */
void client_plain_keep_ascii(void);

/* Puts '?' in the place of control characters (line ends and those beyond ASCII as well) and of those that
 * turn the direction of writing. */
void client_plain_text(char *text);

/* The same for all texts and all keys of a document. */
void client_plain_document(json_t *document);

/* Copies a text of a document so; `standard` for what is no text. What does not fit is cut and ends with "…".
 */
void client_plain_copy(const json_t *value, const char *standard, char *text, size_t size);

/* Makes a text that fills its buffer of `size` bytes, since it was cut, end with "…". */
void client_plain_mark_cut(char *text, size_t size);

/* Writes JSON in which control characters beyond those that JSON excludes are escaped as well: the same
 * document, without effect on a terminal. */
void client_plain_print_json(const json_t *document, FILE *stream);

#endif
