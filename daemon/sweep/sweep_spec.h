/*
 * What a sweep asks for, parsed from the JSON that the API stored with it.
 */
#ifndef BIFURCATED_SWEEP_SWEEP_SPEC_H
#define BIFURCATED_SWEEP_SWEEP_SPEC_H

#include "daemon/base/err.h"
#include "daemon/model/revision.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

struct sweep_spec {
    char **tensors; /* names or shell patterns; none: the unembedding */
    size_t tensor_count;
    int wants_statistics;
    int wants_perplexity;
    int64_t step_min, step_max; /* inclusive */
    int64_t every;              /* of the selected revisions, every n-th and the last; 1 = all */
    char **names;               /* exact revision names; none: all with a step */
    size_t name_count;
    char **names_sorted; /* the same texts, for sweep_spec_selects */
    char *reference;     /* revision name; NULL: the first in step order */
    char *rule;          /* template for revision names (base/name_rule.h); NULL: the table, or
                            sweep_spec_remember_rule() */
    /* perplexity */
    char *dataset; /* "owner/name", "owner/name:path", "file:/path"; NULL: EleutherAI/lambada_openai */
    char *field;   /* of the data set's JSON objects; NULL: text */
    char *mode;    /* "last_word", "tokens", "text_mean"; NULL: last_word */
    int64_t limit; /* documents; 0: all */
    int64_t window, stride;
    char *tokenizer; /* "agreed", "file"; NULL: agreed */
};

/* Parses; unknown members are ignored here (the API refused them). The caller frees *spec with
 * sweep_spec_free, also after an error. ERR_FORMAT, ERR_INVALID, ERR_NO_MEMORY. */
int sweep_spec_parse(const char *json, size_t size, struct sweep_spec *spec, struct err *err);

/* Where the spec names no rule: that of the newest planned sweep of the model that did. Else a sweep of one
 * revision would take the steps from all others. */
int sweep_spec_remember_rule(struct sweep_spec *spec, struct store *store, int64_t model_id, struct err *err);

void sweep_spec_free(struct sweep_spec *spec);

/* Whether the spec names this revision, or it is a step within the bounds. `every` is applied afterwards. */
int sweep_spec_selects(const struct sweep_spec *spec, const char *name, const struct model_revision *place);

#endif
