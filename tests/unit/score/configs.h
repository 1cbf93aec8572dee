/* Configurations for tests, and what is said of those that are refused. */
#ifndef BIFURCATED_TESTS_SCORE_CONFIGS_H
#define BIFURCATED_TESTS_SCORE_CONFIGS_H

#include "gpu/score.h"
#include "tests/tools/random_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static inline void assert_refused(struct score_config config, int code, const char *words)
{
    struct err err = ERR_INIT;
    assert_int_equal(score_config_check(&config, &err), code);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static inline struct score_config config_of(const char *size)
{
    struct score_config config;
    assert_int_equal(random_model_config(size, &config), 0);
    return config;
}

/* A small model of a family, its heads grouped and of a size of their own where it may have that. */
static inline struct score_config family_of(const char *architecture)
{
    struct score_config config = {.vocabulary_rows = 12,
                                  .hidden_size = 6,
                                  .layer_count = 2,
                                  .head_count = 4,
                                  .key_value_head_count = 2,
                                  .head_size = 8,
                                  .intermediate_size = 10,
                                  .max_positions = 8,
                                  .rotary_dimensions = 8,
                                  .rotary_base = 10000,
                                  .activation = SCORE_ACTIVATION_SILU};
    (void)snprintf(config.architecture, sizeof config.architecture, "%s", architecture);
    return config;
}

#endif
