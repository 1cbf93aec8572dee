/*
 * Where a model or a data set lies, by its name: "owner/name" is on the hub, "file:/path" on this machine.
 */
#ifndef BIFURCATED_BASE_LOCAL_NAME_H
#define BIFURCATED_BASE_LOCAL_NAME_H

#include <string.h>

#define LOCAL_NAME_PREFIX "file:"

static inline int local_name_is(const char *name)
{
    return strncmp(name, LOCAL_NAME_PREFIX, sizeof LOCAL_NAME_PREFIX - 1) == 0;
}

/* The path of a name that is local, or of a path; borrowed. */
static inline const char *local_name_path(const char *name)
{
    return local_name_is(name) ? name + sizeof LOCAL_NAME_PREFIX - 1 : name;
}

#endif
