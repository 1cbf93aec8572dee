/*
 * The ways to cut texts into what is scored (daemon/text/passages.h), by the names that sweeps have for them.
 */
#ifndef BIFURCATED_TEXT_PASSAGES_MODE_H
#define BIFURCATED_TEXT_PASSAGES_MODE_H

#include "daemon/base/err.h"

enum passages_mode { PASSAGES_MODE_LAST_WORD, PASSAGES_MODE_TOKENS, PASSAGES_MODE_TEXT_MEAN };

/* "last_word", and back: ERR_INVALID for an unknown name. */
const char *passages_mode_name(enum passages_mode mode);
int passages_mode_parse(const char *name, enum passages_mode *ret_mode, struct err *err);

#endif
