/*
 * Whether a text could be the name of a repository on the hub.
 */
#ifndef BIFURCATED_BASE_REPOSITORY_NAME_H
#define BIFURCATED_BASE_REPOSITORY_NAME_H

#include <stddef.h>

#define REPOSITORY_NAME_SIZE 97 /* "owner/name" has at most 96 bytes */

/* [A-Za-z0-9._-], at most one '/', at most 96 bytes; a part neither begins nor ends with '-' or '.'. */
int repository_name_is_valid(const char *name);

/* The bytes of a valid name's owner; 0 for a name without one ("gpt2"). */
size_t repository_name_owner_size(const char *name);

#endif
