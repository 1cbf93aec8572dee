/*
 * Why a config.json cannot be scored: where transformers' versions make different models of it, or none,
 * nobody can say what its perplexity is. A doubt is one clause that names the key.
 *
 * What families have in common; neox_config.h, llama_config.h, gpt2_config.h and bloom_config.h know the
 * rest.
 */
#ifndef BIFURCATED_MODEL_CONFIG_DOUBT_H
#define BIFURCATED_MODEL_CONFIG_DOUBT_H

#include <jansson.h>
#include <stddef.h>

#define CONFIG_DOUBT_BYTES 96

/* Whether a value is there, and not null. */
int config_doubt_is_there(const json_t *value);

/* Each writes a doubt to `doubt` (of CONFIG_DOUBT_BYTES), or leaves it as it is. */
void config_doubt_set(char *doubt, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Of the names, ended by NULL, one whose value is null: transformers 5 refuses these; 4 takes null for false,
 * or fails in the middle. */
void config_doubt_nulls(const json_t *root, const char *const *names, char *doubt);

/* Of families whose own key is "max_position_embeddings": "n_positions", which lm-evaluation-harness takes
 * for the length of the context, says another. */
void config_doubt_positions(const json_t *root, char *doubt);

/* Keys that no family's forward pass here follows. */
void config_doubt_foreign(const json_t *root, char *doubt);

/* Both spellings of the type of rotary embeddings are there, and differ: 4 and 5 prefer each another. */
void config_doubt_rotary_types(const json_t *root, char *doubt);

/* Takes the names, ended by NULL, out of the object. */
void config_doubt_drop(json_t *root, const char *const *names);

/* Takes out the names that neither GPT-NeoX nor Llama's family reads, and others have for the same things. */
void config_doubt_drop_others(json_t *root);

#endif
