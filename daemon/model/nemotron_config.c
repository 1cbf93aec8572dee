#include "daemon/model/nemotron_config.h"

#include "daemon/model/config_doubt.h"

#include <stddef.h>
#include <string.h>

static const char *const never_null[] = {"norm_eps", "partial_rotary_factor", "num_key_value_heads", NULL};

void nemotron_config_prepare(json_t *root, const struct family *family, struct model_config *config)
{
    if (strcmp(family->model_type, "nemotron") != 0)
        return;
    config_doubt_nulls(root, never_null, config->doubt);
    /* Its class has no number of its own, and does not take that of the heads. */
    if (!json_object_get(root, "num_key_value_heads"))
        config_doubt_set(config->doubt, "\"num_key_value_heads\" is not there");
    config_doubt_rename(root, "norm_eps", "rms_norm_eps");
}
