/*
 * data.pkl, in each form: every tensor that comes out must lie inside of its storage.
 */
#include "daemon/checkpoint/gather.h"
#include "daemon/checkpoint/state_dict.h"

#include <stdlib.h>

static void parse(const uint8_t *data, size_t size, enum state_dict_form form)
{
    struct state_dict *state_dict = NULL;
    struct err err = ERR_INIT;
    if (state_dict_parse(data, size, form, &state_dict, &err))
        return;
    for (size_t i = 0; i < state_dict->count; i++) {
        const struct state_dict_tensor *tensor = &state_dict->tensors[i];
        if (tensor->foreign)
            continue;
        uint64_t elements = tensor->offset + gather_span(&tensor->shape, tensor->stride);
        uint64_t bytes = tensor_dtype_bits(tensor->dtype) / 8;
        if (elements && elements > tensor->storage_bytes / bytes)
            abort();
    }
    state_dict_free(state_dict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse(data, size, STATE_DICT_FORM_PLAIN);
    parse(data, size, STATE_DICT_FORM_TRAINER);
    parse(data, size, STATE_DICT_FORM_TENSOR);
    return 0;
}
