/*
 * What transformers' classes of Llama and those after it make of the rotary embeddings in a config.json, in
 * the spelling of version 4 (rope_theta, rope_scaling) or of version 5 (rope_parameters).
 */
#ifndef BIFURCATED_MODEL_ROTARY_CONFIG_H
#define BIFURCATED_MODEL_ROTARY_CONFIG_H

#include "daemon/model/config.h"
#include "daemon/model/family.h"

#include <jansson.h>

/* What not all of the classes do. */
struct rotary_rules {
    int has_each_kind;       /* sliding layers and full ones: version 5 has a base for each */
    int has_default_scaling; /* where nothing says how they are scaled */
    int has_strict_scaling;  /* version 4 takes linear and dynamic alone, in the old spelling */
    int is_partial;          /* heads are rotated in part */
    int lacks_parameters;    /* the class passes over "rope_parameters" */
    int lacks_scaling;       /* not all versions take "rope_scaling" */
};

/* Fills in how they are scaled, and the doubt. Of a file with an object for each kind of layer, that of full
 * layers takes the place of all in `root`. */
void rotary_config_read(json_t *root, const struct family *family, const struct rotary_rules *rules,
                        struct model_config *config);

#endif
