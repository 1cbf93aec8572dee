/*
 * A whole file of any kind, opened as a checkpoint; the tensors that it lists are read in both ways.
 */
#include "daemon/checkpoint/checkpoint.h"
#include "tests/tools/one_file.h"

#include <stdlib.h>
#include <string.h>

#define TENSOR_BYTES_MAX (1 << 20)

static void read_tensor(struct checkpoint *checkpoint, const char *name)
{
    struct checkpoint_tensor tensor;
    struct err err = ERR_INIT;
    if (checkpoint_find(checkpoint, name, &tensor, &err) || tensor.size_bytes > TENSOR_BYTES_MAX)
        return;
    size_t size = (size_t)tensor.size_bytes;
    unsigned char *data = malloc(size + 1);
    unsigned char last = 0;
    if (data && !checkpoint_read(checkpoint, &tensor, data, size, &err) && size) {
        if (checkpoint_read_range(checkpoint, &tensor, size - 1, &last, 1, &err) || last != data[size - 1])
            abort();
        const void *map = checkpoint_map(checkpoint, &tensor);
        if (map && memcmp(map, data, size) != 0)
            abort();
    }
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source *source = NULL;
    struct checkpoint *checkpoint = NULL;
    struct err err = ERR_INIT;
    if (source_open_memory("fuzz", data, size, &source, &err) ||
        one_file_open("pytorch_model.bin", source, &checkpoint, &err))
        return 0;
    size_t count = checkpoint_name_count(checkpoint);
    for (size_t i = 0; i < count && i < 64; i++)
        read_tensor(checkpoint, checkpoint_name(checkpoint, i));
    checkpoint_close(checkpoint);
    return 0;
}
