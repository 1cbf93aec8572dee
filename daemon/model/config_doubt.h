/*
 * Why a config.json cannot be scored: where transformers' versions make different models of it, or none,
 * nobody can say what its perplexity is. A doubt is one clause that names the key, or several.
 *
 * What families have in common; neox_config.h, llama_config.h, experts_config.h, gpt2_config.h,
 * bloom_config.h, modernbert_config.h, hf_olmo_config.h, stablelm_config.h, nemotron_config.h,
 * opensci_config.h, baichuan_config.h and crystal_config.h know the rest.
 */
#ifndef BIFURCATED_MODEL_CONFIG_DOUBT_H
#define BIFURCATED_MODEL_CONFIG_DOUBT_H

#include <jansson.h>
#include <stddef.h>

#define CONFIG_DOUBT_BYTES 256

/* Whether a value is there, and not null. */
int config_doubt_is_there(const json_t *value);

/* Each adds a doubt to `doubt` (of CONFIG_DOUBT_BYTES), or leaves it as it is. */
void config_doubt_set(char *doubt, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Of the names, ended by NULL, one whose value is null: transformers 5 refuses these; 4 takes null for false,
 * or fails in the middle. */
void config_doubt_nulls(const json_t *root, const char *const *names, char *doubt);

/* The flag, or `absent` where it is not there; what is neither true nor false is a doubt. */
int config_doubt_flag(const json_t *root, const char *name, int absent, char *doubt);

/* Two names for one thing, of which a family takes either: both are there, and differ. */
void config_doubt_pair(const json_t *root, const char *own, const char *other, char *doubt);

/* Of families whose own key is "max_position_embeddings": "n_positions", which lm-evaluation-harness takes
 * for the length of the context, says another. */
void config_doubt_positions(const json_t *root, char *doubt);

/* Keys that no family's forward pass here follows. */
void config_doubt_foreign(const json_t *root, char *doubt);

/* Both spellings of the type of rotary embeddings are there, and differ: 4 and 5 prefer each another. */
void config_doubt_rotary_types(const json_t *root, char *doubt);

/* Puts what stands under a family's own name to the name that others have for the same, whatever stood there;
 * null is taken for nothing. */
void config_doubt_rename(json_t *root, const char *own, const char *other);

/* Takes out the names that other families have for the same things, or for what this one does not have: all
 * but its own, ended by NULL. */
void config_doubt_drop_others(json_t *root, const char *const *own);

#endif
