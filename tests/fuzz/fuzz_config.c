/*
 * config.json, and the same bytes as a tokenizer.json whose tokens are counted.
 */
#include "daemon/model/config.h"
#include "daemon/model/config_scoring.h"
#include "daemon/model/vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_config config;
    struct err err = ERR_INIT;
    uint64_t number = 0;
    if (!model_config_parse((const char *)data, size, &config, &err)) {
        (void)model_config_check_scoring(&config, &err);
        (void)model_config_parameter_count(&config, &number, &err);
    }
    (void)model_vocabulary_count_rows((const char *)data, size, &number, &err);
    return 0;
}
