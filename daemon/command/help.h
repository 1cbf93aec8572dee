/* What the program says of itself, made from the tables of commands and options so that it is whole. */
#ifndef BIFURCATED_COMMAND_HELP_H
#define BIFURCATED_COMMAND_HELP_H

#include <stdio.h>

struct command;

/* The text of --help. */
void help_print(FILE *out);

/* The text of --help of a command that has details. */
void help_print_command(const struct command *command, FILE *out);

/* The INI file that documents every option with its default: what deploy/bifurcated.conf is made of. */
void help_print_config(FILE *out);

/* The manual page bifurcated(8), in roff. */
void help_print_man(FILE *out);

#endif
