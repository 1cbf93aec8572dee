#include "daemon/model/opensci_config.h"

#include "daemon/model/config_doubt.h"

#include <string.h>

void opensci_config_prepare(const json_t *root, const struct family *family, struct model_config *config)
{
    if (strcmp(family->model_type, "opensci") != 0)
        return;
    /* Its class fails without it. A later one always has the norms, by other names. */
    if (!config_doubt_flag(root, "qk_layernorm", 0, config->doubt))
        config_doubt_set(config->doubt, "\"qk_layernorm\" is not true");
}
