/*
 * The table of options: one row each, from which parsing, help and the printed file are made.
 */
#ifndef BIFURCATED_OPTIONS_OPTIONS_TABLE_H
#define BIFURCATED_OPTIONS_OPTIONS_TABLE_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum option_kind { OPTION_KIND_TEXT, OPTION_KIND_CHOICE, OPTION_KIND_INT, OPTION_KIND_BOOL };

struct option_row {
    const char *section;
    const char *name; /* as on the command line and in the file; the environment has BIFURCATED_ before it */
    enum option_kind kind;
    size_t offset;          /* of the member of struct options */
    const char *standard;   /* default, as text */
    const char *choices;    /* OPTION_KIND_CHOICE: "a|b|c" */
    int64_t minimum;        /* OPTION_KIND_INT */
    int64_t maximum;        /* OPTION_KIND_INT */
    int may_change;         /* taken over by SIGHUP */
    const char *value_name; /* in --help */
    const char *help;
    /* OPTION_KIND_TEXT: ERR_INVALID for what cannot be meant; NULL: any text */
    int (*check)(const char *value, struct err *err);
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;

#endif
