/*
 * The option cors-origin: "*", or origins with blanks or commas between them.
 */
#ifndef BIFURCATED_OPTIONS_ORIGINS_H
#define BIFURCATED_OPTIONS_ORIGINS_H

#include "daemon/base/err.h"

/* ERR_INVALID with the first one that no page has: it would be compared with what browsers send, and never
 * be equal. */
int origins_check(const char *value, struct err *err);

#endif
