/*
 * From a role ("the unembedding") to the name of the tensor that plays it in a model.
 */
#ifndef BIFURCATED_MODEL_ROLE_H
#define BIFURCATED_MODEL_ROLE_H

#include "daemon/base/err.h"
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/model/config.h"

enum model_role {
    MODEL_ROLE_UNEMBEDDING, /* W_U: hidden states to logits, [vocabulary, hidden] */
    MODEL_ROLE_EMBEDDING,   /* tokens to hidden states, [vocabulary, hidden] */
};

/* Finds the tensor: by the names of its family (model_type), then by those of all families; a name may also
 * stand behind wrappers ("state_dict.", "model.", "module.", "_orig_mod."). A tied model that stores no
 * unembedding of its own uses the input embedding; an untied one does not. ERR_NOT_FOUND lists what was
 * looked for. *ret_name is borrowed from the checkpoint. */
int model_role_find(const struct model_config *config, const struct checkpoint *checkpoint,
                    enum model_role role, const char **ret_name, struct err *err);

/* The checkpoint's own copy of a name that stands in it, behind as few wrappers as there are; NULL: none
 * does. */
const char *model_role_find_name(const struct checkpoint *checkpoint, const char *name);

#endif
