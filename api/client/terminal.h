/*
 * What is at the other end of a stream: how wide it is, which characters it shows, whether a line can be
 * rewritten. Files and pipes are for programs: they get every byte and every column.
 */
#ifndef BIFURCATED_API_CLIENT_TERMINAL_H
#define BIFURCATED_API_CLIENT_TERMINAL_H

#include <stddef.h>
#include <stdio.h>

/* Characters of a line; 0 for what is no terminal, and for one that does not say. */
size_t client_terminal_width(FILE *stream);

/* Whether it takes the sequence that clears a line: a terminal whose TERM is neither unset nor "dumb". */
int client_terminal_can_rewrite(FILE *stream);

/* False only for a terminal whose locale has another encoding. Needs setlocale(). */
int client_terminal_shows_utf8(FILE *stream);

#endif
