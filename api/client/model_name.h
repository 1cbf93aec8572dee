/*
 * How people name a model: "owner/name", "file:/path", or a path that begins with a slash or a dot.
 */
#ifndef BIFURCATED_API_CLIENT_MODEL_NAME_H
#define BIFURCATED_API_CLIENT_MODEL_NAME_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

/* Appends the name as the daemon has it: a path becomes "file:" and the absolute path. ERR_INVALID;
 * ERR_NOT_FOUND: there is no such folder. */
int client_model_name(const char *model, struct buf *name, struct err *err);

/* Appends "/v1/models/owner/name". The same errors. */
int client_model_target(struct buf *target, const char *model, struct err *err);

/* Says on stderr that a name is the hub's, where a folder has it, too. */
void client_model_note_folder(const char *model);

#endif
