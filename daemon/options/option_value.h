/*
 * For this folder only: an option by its name, and its value, checked and stored.
 */
#ifndef BIFURCATED_OPTIONS_OPTION_VALUE_H
#define BIFURCATED_OPTIONS_OPTION_VALUE_H

#include "daemon/base/err.h"
#include "daemon/base/guess.h"
#include "daemon/options/options.h"
#include "daemon/options/options_table.h"

#include <stddef.h>

/* The option of this name, or NULL. */
const struct option_row *option_find(const char *name);

/* What the name of an option that does not exist is meant for, else where the names are. */
const char *option_ask(const char *name, const char *prefix, char question[GUESS_QUESTION_SIZE]);

/* Checks and stores one value; `where` says who gave it ("--listen", "BIFURCATED_LISTEN", "file.conf:12"). */
int option_set(struct options *options, const struct option_row *row, const char *value, const char *where,
               struct err *err);

/* Puts a copy of a text into the member at this offset. */
int option_set_text(struct options *options, size_t offset, const char *value, struct err *err);

#endif
