#include "tests/gpu/cases_score.h"

#include <stdio.h>

/* The attention on matrix units has an instance for each kind of layer, element type and largest head: all of
 * them, but those that GPT-NeoX in float16 (cases_score.c) launches anyway. */

enum kind { KIND_EACH, KIND_SHARED, KIND_WINDOW, KIND_SLOPES, KIND_COUNT };

static const char *const kinds[] = {"a key for each", "shared keys", "windows", "slopes"};
static const uint64_t head_sizes[] = {24, 64, 72, 128, 248}; /* for instances of 32, 64, 80, 128 and 256 */

static void run(struct cases *cases, enum kind kind, enum tensor_dtype dtype, uint64_t head_size)
{
    struct score_config config = {.architecture = "llama",
                                  .hidden_size = 48,
                                  .head_count = 2,
                                  .head_size = head_size,
                                  .rotary_dimensions = head_size,
                                  .intermediate_size = 40};
    char what[64];
    if (kind == KIND_SHARED)
        config.key_value_head_count = 1;
    if (kind == KIND_WINDOW) {
        config.sliding_layers[0] = 1 << 0 | 1 << 1;
        config.window_tokens = 41;
    }
    if (kind == KIND_SLOPES)
        config = (struct score_config){.architecture = "bloom",
                                       .hidden_size = 2 * head_size,
                                       .head_count = 2,
                                       .intermediate_size = 40,
                                       .activation = SCORE_ACTIVATION_GELU_TANH};
    (void)snprintf(what, sizeof(what), "attention, %s, heads of %llu", kinds[kind],
                   (unsigned long long)head_size);
    const struct family_case family = {
        what,
        {.precision = SCORE_PRECISION_HALF, .dtype = dtype, .config = config, .documents = 4, .longest = 131},
        CASE_COST_QUICK};
    case_family(cases, &family);
}

void cases_attention(struct cases *cases)
{
    const enum tensor_dtype dtypes[] = {TENSOR_DTYPE_F16, TENSOR_DTYPE_BF16};
    for (enum kind kind = KIND_EACH; kind < KIND_COUNT; kind++)
        for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++)
            for (size_t j = 0; j < sizeof(head_sizes) / sizeof(head_sizes[0]); j++)
                if (kind != KIND_EACH || dtypes[i] != TENSOR_DTYPE_F16)
                    run(cases, kind, dtypes[i], head_sizes[j]);
}
