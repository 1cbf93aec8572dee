/*
 * For tests of what goes wrong: the module on an emulated device, a small random model, and documents to
 * score.
 */
#ifndef BIFURCATED_TESTS_EMULATION_FAULTY_H
#define BIFURCATED_TESTS_EMULATION_FAULTY_H

#include "gpu/backend.h"
#include "tests/emulation/answers.h"
#include "tests/emulation/checks.h"
#include "tests/emulation/runtime.h"
#include "tests/tools/random_model.h"

#include <driver_types.h>
#include <string.h>

const struct backend_table *bifurcated_backend(uint32_t host_abi_version);

static const struct emulation_device plain = {.seed = 11,
                                              .haste = 30,
                                              .multiprocessor_count = 2,
                                              .shared_bytes_max = 232448,
                                              .memory_bytes = 4ULL << 30};

static struct score_config config = SMALL_CONFIG(SCORE_ACTIVATION_GELU);

static const struct backend_table *backend;
static struct random_model model;
static struct random_documents documents;

static inline struct score_model_source source_of(enum score_precision precision)
{
    return (struct score_model_source){.config = config,
                                       .tensors = model.tensors,
                                       .tensor_count = model.tensor_count,
                                       .precision = precision};
}

static inline int load_and_score(void *device, const struct score_model_source *source, struct answer *answer,
                                 struct err *err)
{
    return answer_load(backend, device, source, &documents.request, answer, err);
}

static inline int open_new(const struct emulation_device *as, void **ret_device, struct err *err)
{
    char why[BACKEND_WHY_BYTES];
    emulation_reset(as);
    return backend->probe(why, sizeof why) || backend->device_open(0, NULL, ret_device, err);
}

static inline void close_whole(void *device)
{
    backend->device_close(device);
    CHECK(emulation_object_count() == 0);
}

/* 0, or 1 without memory for the model. */
static inline int faulty_begin(void)
{
    backend = bifurcated_backend(BACKEND_ABI_VERSION);
    return random_model_init(&model, &config) ||
           random_documents_init(&documents, 2, 20, (uint32_t)config.vocabulary_rows);
}

/* From now on a model with all that GPT-NeoX does not have. */
static inline int faulty_change(void)
{
    random_model_free(&model);
    (void)snprintf(config.architecture, sizeof config.architecture, "olmoe");
    config.expert_count = 4;
    config.experts_per_input = 2;
    config.head_count = 2;
    config.key_value_head_count = 1;
    config.head_size = 16;
    config.has_parallel_residual = 0;
    return random_model_init(&model, &config);
}

/* The status of the program, which says so if all went well. */
static inline int faulty_end(const char *said)
{
    random_model_free(&model);
    random_documents_free(&documents);
    if (!failures)
        puts(said);
    return failures != 0;
}

#endif
