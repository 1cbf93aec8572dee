#include "daemon/base/weight_layout.h"

#include <stddef.h>
#include <string.h>

static const struct weight_layout layouts[] = {
    {"model.safetensors", 0, 0},
    {"model.safetensors.index.json", 0, 1},
    {"pytorch_model.bin", 1, 0},
    {"pytorch_model.bin.index.json", 1, 1},
};

#define LAYOUT_COUNT (sizeof layouts / sizeof layouts[0])

const struct weight_layout *weight_layout_choose(int (*has)(void *context, const char *name), void *context,
                                                 int does_prefer_torch)
{
    size_t first = does_prefer_torch ? LAYOUT_COUNT / 2 : 0;
    for (size_t i = 0; i < LAYOUT_COUNT; i++) {
        const struct weight_layout *layout = &layouts[(first + i) % LAYOUT_COUNT];
        if (has(context, layout->file))
            return layout;
    }
    return NULL;
}

static int ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text), ending_size = strlen(ending);
    return size >= ending_size && strcmp(text + size - ending_size, ending) == 0;
}

int weight_layout_has(const struct weight_layout *layout, const char *path)
{
    if (!layout)
        return 0;
    if (!layout->is_index)
        return strcmp(path, layout->file) == 0;
    return layout->is_torch ? ends_with(path, ".bin") : ends_with(path, ".safetensors");
}
