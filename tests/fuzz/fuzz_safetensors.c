/*
 * A whole safetensors file: header, then every tensor's place must lie inside of it.
 */
#include "daemon/base/checked.h"
#include "daemon/checkpoint/safetensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source *source = NULL;
    struct safetensors *safetensors = NULL;
    struct err err = ERR_INIT;
    if (source_open_memory("fuzz", data, size, &source, &err))
        return 0;
    if (!safetensors_open(source, &safetensors, &err)) {
        for (size_t i = 0; i < safetensors->count; i++) {
            const struct safetensors_tensor *tensor = &safetensors->tensors[i];
            if (!checked_range_within(tensor->offset, tensor->size_bytes, size))
                abort();
        }
    }
    safetensors_free(safetensors);
    source_close(source);
    return 0;
}
