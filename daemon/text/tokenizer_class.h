/*
 * Which tokenizer transformers' versions make of a "tokenizer_class", for a "model_type" of config.json.
 *
 * 4 takes the class by its name and tokenizer.json as it is. 5 builds some classes anew from vocabulary,
 * merges and added tokens; for which, the model's type says, too: of some types it always takes
 * tokenizer.json as it is, of Qwen 2 it always builds that class. (transformers 5:
 * models/auto/tokenization_auto.py)
 */
#ifndef BIFURCATED_TEXT_TOKENIZER_CLASS_H
#define BIFURCATED_TEXT_TOKENIZER_CLASS_H

#include "daemon/base/err.h"

#include <jansson.h>

enum tokenizer_origin {
    TOKENIZER_ORIGIN_TRANSFORMERS,
    TOKENIZER_ORIGIN_MODEL,          /* published beside a model, which names it in "auto_map", too */
    TOKENIZER_ORIGIN_MODEL_TEMPLATE, /* likewise, and makes a template of its own by "add_bos_token" and
                                        "add_eos_token" */
};

/* By 4, which looks for these tokens in texts where no file names others; NULL for none. */
struct tokenizer_class {
    const char *name;
    unsigned built; /* as 5 builds it: one of TOKENIZER_DOUBT_BUILT, or 0 for tokenizer.json as it is */
    const char *bos, *eos, *unk, *pad;
    enum tokenizer_origin origin;
};

struct tokenizer_choice {
    struct tokenizer_class class;
    unsigned built; /* likewise, with the type of the model in view */
};

/* name: "" where no file names one; model_type: "" is GPT-NeoX's. ERR_UNSUPPORTED for a class or type that is
 * not known, and where the versions take different classes for want of a name. */
int tokenizer_class_find(const char *name, const char *model_type, struct tokenizer_choice *ret_choice,
                         struct err *err);

/* map: "auto_map" of tokenizer_config.json, or NULL. ERR_UNSUPPORTED where it names a class of the model's
 * own that is not this one: whoever trusts the model cuts texts by that one. */
int tokenizer_class_check_map(const struct tokenizer_class *class, const json_t *map, struct err *err);

#endif
