/*
 * The tensors of a pickled state dict, by name.
 *
 * The pickle's root must be a dictionary. Dictionaries, lists and tuples inside of it are flattened: the
 * names of tensors are joined with dots ("state_dict.embed_out.weight", "optimizer.state.0.exp_avg"), as
 * modules join theirs; values that are no tensors are passed over, and so is what lies under a key that is
 * neither text nor a number. Two tensors of one name are refused.
 *
 * A part of a distributed checkpoint is a tensor alone, which is called STATE_DICT_ROOT here.
 */
#ifndef BIFURCATED_CHECKPOINT_STATE_DICT_H
#define BIFURCATED_CHECKPOINT_STATE_DICT_H

#include "daemon/base/err.h"
#include "gpu/tensor.h"

#include <stddef.h>
#include <stdint.h>

#define STATE_DICT_KEY_SIZE 24
#define STATE_DICT_ROOT "tensor"

enum state_dict_form {
    STATE_DICT_FORM_PLAIN,   /* tensors and no more */
    STATE_DICT_FORM_TRAINER, /* with whatever a trainer keeps (PICKLE_DIALECT_TRAINER) */
    STATE_DICT_FORM_TENSOR,  /* a tensor alone */
};

struct state_dict_tensor {
    char *name;
    const char *foreign; /* its dtype or form, if it is not read here, so that what follows means nothing
                          * (static text); else NULL */
    enum tensor_dtype dtype;
    struct tensor_shape shape;
    uint64_t stride[LIMIT_TENSOR_DIMS]; /* in elements */
    uint64_t offset;                    /* of the first element in its storage, in elements */
    char storage_key[STATE_DICT_KEY_SIZE];
    uint64_t storage_bytes;
    size_t first; /* the first tensor, in order of names, that is the same view of the same storage; mostly
                     itself */
};

/* What a trainer's file says of how the model is divided; 0: nothing. */
struct state_dict_told {
    int64_t rank_count;     /* of model parallelism: DeepSpeed's mp_world_size */
    int64_t tensor_ranks;   /* of tensor parallelism: Megatron's and GPT-NeoX's options */
    int64_t pipeline_ranks; /* of pipeline parallelism: Megatron's */
    int64_t padded_rows;    /* of the whole embedding: padded_vocab_size */
};

struct state_dict {
    struct state_dict_tensor *tensors; /* sorted by name */
    size_t count;
    struct state_dict_told told;
};

/* Reads data.pkl from memory; errors as pickle_load. The caller frees *ret_state_dict. */
int state_dict_parse(const void *data, size_t size, enum state_dict_form form,
                     struct state_dict **ret_state_dict, struct err *err);

/* NULL is allowed. */
void state_dict_free(struct state_dict *state_dict);

#endif
