#include "daemon/model/masked.h"

#include <stddef.h>
#include <string.h>

static const char *const types[] = {
    "albert",   "bert",        "camembert",      "convbert",
    "deberta",  "deberta-v2",  "distilbert",     "electra",
    "ernie",    "eurobert",    "ltgbert",        "modernbert",
    "mpnet",    "nomic_bert",  "roberta",        "roberta-prelayernorm",
    "roformer", "xlm-roberta", "xlm-roberta-xl",
};

static int ends_with(const char *text, const char *end)
{
    const size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

int masked_model_is_discriminator(const struct model_config *config)
{
    return strcmp(config->architecture, "ElectraForPreTraining") == 0;
}

int masked_model_is(const struct model_config *config)
{
    const char *architecture = config->architecture;
    if (architecture[0])
        return ends_with(architecture, "ForMaskedLM") || ends_with(architecture, "ForPreTraining");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i], config->model_type) == 0)
            return 1;
    return 0;
}
