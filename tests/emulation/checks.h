/* What the tests of this folder share: a check that lets the rest go on, and the model that most of them run.
 */
#ifndef BIFURCATED_TESTS_EMULATION_CHECKS_H
#define BIFURCATED_TESTS_EMULATION_CHECKS_H

#include <stdio.h>

static int failures; /* of the program */

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                            \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

#define SMALL_VOCABULARY 53

/* Initialises a struct score_config: one head, three layers. */
#define SMALL_CONFIG(function)                                                                               \
    {                                                                                                        \
        .architecture = "gpt_neox", .vocabulary_rows = SMALL_VOCABULARY, .hidden_size = 16,                  \
        .layer_count = 3, .head_count = 1, .intermediate_size = 24, .max_positions = 64,                     \
        .rotary_dimensions = 8, .rotary_base = 10000, .norm_epsilon = 1e-5, .activation = (function),        \
        .has_parallel_residual = 1, .has_attention_bias = 1                                                  \
    }

#endif
