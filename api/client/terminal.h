/*
 * What is at the other end of a stream: how wide it is, which characters it shows, whether a line can be
 * rewritten. Files and pipes are for programs: they get every byte and every column.
 */
#ifndef BIFURCATED_API_CLIENT_TERMINAL_H
#define BIFURCATED_API_CLIENT_TERMINAL_H

#include <stddef.h>
#include <stdio.h>

/* Columns of a line; 0 for what is no terminal, and for one that does not say. */
size_t client_terminal_width(FILE *stream);

/* The columns that a text takes: on a terminal as its characters do (of Chinese two, of an accent that is
 * combined with the letter before it none), in a file one for each character, whatever the locale. */
size_t client_terminal_columns(const char *text, int is_terminal);

/* The bytes of the longest beginning of a text that takes so many columns at most; it ends before what is no
 * whole character of UTF-8. */
size_t client_terminal_fit(const char *text, size_t columns, int is_terminal);

/* Whether it takes the sequence that clears a line: a terminal whose TERM is neither unset nor "dumb". */
int client_terminal_can_rewrite(FILE *stream);

/* False only for a terminal whose locale has another encoding. Needs setlocale(). */
int client_terminal_shows_utf8(FILE *stream);

#endif
