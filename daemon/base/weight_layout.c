#include "daemon/base/weight_layout.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 5 /* "00001" */

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

static int is_of_form(char form, char c)
{
    switch (form) {
    case '#':
        return c >= '0' && c <= '9';
    case '|': /* an underscore as BLOOM has it */
        return c == '-' || c == '_';
    default:
        return c == form;
    }
}

static int ends_with(const char *path, const char *ending)
{
    size_t size = strlen(path), end_size = strlen(ending);
    return size >= end_size && strcmp(path + size - end_size, ending) == 0;
}

static const char *ending_of(const struct weight_layout *layout)
{
    return layout->is_torch ? ".bin" : ".safetensors";
}

/* What lies beside weights everywhere. An index may name a file of any other name. */
static int is_beside(const struct weight_layout *layout, const char *path)
{
    static const char *const endings[] = {
        ".json", ".jsonl",     ".txt",  ".md",      ".model",  ".tiktoken", ".jinja",
        ".py",   ".gitignore", ".yaml", ".msgpack", ".h5",     ".onnx",     ".gguf",
        ".ot",   ".png",       ".csv",  ".pdf",     "LICENSE", "NOTICE",    ".gitattributes",
    };
    static const char *const of_trainers[] = {"training_args.bin", "optimizer.bin", "scheduler.bin",
                                              "optimizer.pt",      "scheduler.pt",  "scaler.pt",
                                              "rng_state.pth"};
    if (ends_with(path, layout->is_torch ? ".safetensors" : ".bin"))
        return 1;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (ends_with(path, endings[i]))
            return 1;
    }
    for (size_t i = 0; i < sizeof of_trainers / sizeof of_trainers[0]; i++) {
        if (strcmp(path, of_trainers[i]) == 0)
            return 1;
    }
    return 0;
}

/* The part of a shard's name that all of one set have behind their number: "-of-00003.safetensors"; NULL: it
 * is no such name. */
static const char *shard_end(const struct weight_layout *layout, const char *path)
{
    static const char form[] = "|#####-of-#####";
    size_t size = strlen(path), end_size = sizeof form - 1 + strlen(ending_of(layout));
    if (size <= end_size || !ends_with(path, ending_of(layout)))
        return NULL;
    const char *at = path + size - end_size;
    for (size_t i = 0; form[i]; i++) {
        if (!is_of_form(form[i], at[i]))
            return NULL;
    }
    return at + 1 + NUMBER_BYTES;
}

int weight_layout_is_told(const struct weight_layout *layout,
                          const char *(*name_at)(void *context, size_t index), size_t count, void *context)
{
    const char *first = NULL, *first_end = NULL;
    unsigned long found = 0;
    if (!layout || !layout->is_index)
        return layout != NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name = name_at(context, i), *end = shard_end(layout, name);
        if (!end && !is_beside(layout, name))
            return 0;
        if (!end)
            continue;
        if (!first) {
            first = name;
            first_end = end;
        }
        size_t stem = (size_t)(end - name) - NUMBER_BYTES;
        if (stem != (size_t)(first_end - first) - NUMBER_BYTES || memcmp(name, first, stem) != 0 ||
            strcmp(end, first_end) != 0)
            return 0;
        found++;
    }
    return first && found == strtoul(first_end + strlen("-of-"), NULL, 10);
}

int weight_layout_has(const struct weight_layout *layout, const char *path)
{
    return layout->is_index ? shard_end(layout, path) != NULL : strcmp(path, layout->file) == 0;
}

int weight_layout_is_of_checkpoint(const char *name)
{
    return strcmp(name, "config.json") == 0 || ends_with(name, ".safetensors") || ends_with(name, ".bin");
}
