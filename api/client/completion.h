/*
 * `bifurcate --complete WORD...`: what a shell offers when Tab is pressed. bash, zsh and fish ask it, so
 * that none of them has lists of its own (deploy/completion).
 */
#ifndef BIFURCATED_API_CLIENT_COMPLETION_H
#define BIFURCATED_API_CLIENT_COMPLETION_H

#include <stdio.h>

/* What the shell puts in by itself: names of files; of "--option=na" behind the "=". */
#define CLIENT_COMPLETION_FILES ":files"

/*
 * Prints, a line each, what the last of `words` may become, with a tabulator and its meaning where there is
 * one: commands, options, values of options, models that the daemon knows. `words` are those behind the
 * program's name up to the cursor; the last one may be empty. Whatever goes wrong, nothing is offered and
 * nothing is said.
 */
void client_complete(int count, char **words, FILE *stream);

#endif
