#include "daemon/base/weight_layout.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES 5 /* "00001" */

/* As they are published. */
static const struct weight_layout published[] = {
    {"model.safetensors", 0, WEIGHT_FORM_FILE},
    {"model.safetensors.index.json", 0, WEIGHT_FORM_INDEX},
    {"pytorch_model.bin", 1, WEIGHT_FORM_FILE},
    {"pytorch_model.bin.index.json", 1, WEIGHT_FORM_INDEX},
};

/* As trainers write them to go on from. */
static const struct weight_layout of_trainers[] = {
    {".metadata", 1, WEIGHT_FORM_CHUNKS},                 /* torchtitan, Lightning, Composer, Megatron Core */
    {"model_and_optim/.metadata", 1, WEIGHT_FORM_CHUNKS}, /* OLMo-core */
    {"pytorch_model_fsdp_0/.metadata", 1, WEIGHT_FORM_CHUNKS},   /* Accelerate, and Trainer with it */
    {"weights/.metadata", 1, WEIGHT_FORM_CHUNKS},                /* NeMo 2 */
    {"mp_rank_00_model_states.pt", 1, WEIGHT_FORM_RANKS},        /* DeepSpeed, GPT-NeoX */
    {"mp_rank_00/model_optim_rng.pt", 1, WEIGHT_FORM_RANKS},     /* Megatron */
    {"mp_rank_00_000/model_optim_rng.pt", 1, WEIGHT_FORM_RANKS}, /* with stages of a pipeline, or experts */
    {"latest", 1, WEIGHT_FORM_POINTER},                          /* DeepSpeed, below a folder of its user's */
};

#define PUBLISHED_COUNT (sizeof published / sizeof published[0])
#define TRAINER_COUNT (sizeof of_trainers / sizeof of_trainers[0])

const struct weight_layout *weight_layout_choose(int (*has)(void *context, const char *name), void *context)
{
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        if (has(context, published[i].file))
            return &published[i];
    }
    for (size_t i = 0; i < TRAINER_COUNT; i++) {
        if (has(context, of_trainers[i].file))
            return &of_trainers[i];
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
    static const char *const others[] = {"training_args.bin", "optimizer.bin", "scheduler.bin",
                                         "optimizer.pt",      "scheduler.pt",  "scaler.pt",
                                         "rng_state.pth"};
    if (ends_with(path, layout->is_torch ? ".safetensors" : ".bin"))
        return 1;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (ends_with(path, endings[i]))
            return 1;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(path, others[i]) == 0)
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

static int is_of_rank(const char *path)
{
    return ends_with(path, "model_states.pt") || ends_with(path, "/model_optim_rng.pt");
}

/* Whether the first rank's is the only one. */
static int is_alone(const struct weight_layout *layout, const char *(*name_at)(void *context, size_t index),
                    size_t count, void *context)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = name_at(context, i);
        if (is_of_rank(name) && strcmp(name, layout->file) != 0)
            return 0;
    }
    return 1;
}

int weight_layout_is_told(const struct weight_layout *layout,
                          const char *(*name_at)(void *context, size_t index), size_t count, void *context)
{
    const char *first = NULL, *first_end = NULL;
    unsigned long found = 0;
    if (layout && layout->form == WEIGHT_FORM_RANKS)
        return is_alone(layout, name_at, count, context);
    if (!layout || layout->form != WEIGHT_FORM_INDEX)
        return layout && layout->form == WEIGHT_FORM_FILE;
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
    return layout->form == WEIGHT_FORM_INDEX ? shard_end(layout, path) != NULL
                                             : strcmp(path, layout->file) == 0;
}

int weight_layout_is_of_trainer(const char *file)
{
    for (size_t i = 0; i < TRAINER_COUNT; i++) {
        if (strcmp(of_trainers[i].file, file) == 0)
            return 1;
    }
    return 0;
}

int weight_layout_is_of_parts(const char *path)
{
    int is_one = is_of_rank(path);
    for (size_t i = 0; i < TRAINER_COUNT; i++)
        is_one |= of_trainers[i].form == WEIGHT_FORM_CHUNKS && strcmp(of_trainers[i].file, path) == 0;
    return is_one;
}

/* Whether `file` is the end of `path`, below some folder or the top; *size becomes the size of that, if it is
 * smaller: of several the longest name says most. */
static int is_below(const char *path, const char *file, size_t *size)
{
    const size_t path_size = strlen(path), file_size = strlen(file);
    if (!ends_with(path, file) || (path_size > file_size && path[path_size - file_size - 1] != '/'))
        return 0;
    const size_t folder = path_size == file_size ? 0 : path_size - file_size - 1;
    if (folder < *size)
        *size = folder;
    return 1;
}

/* Anything may be called "latest". */
static int is_first_of_trainer(const char *path, size_t *size)
{
    int is_one = 0;
    for (size_t i = 0; i < TRAINER_COUNT; i++)
        is_one |= of_trainers[i].form != WEIGHT_FORM_POINTER && is_below(path, of_trainers[i].file, size);
    return is_one;
}

int weight_layout_is_first(const char *path, size_t *ret_size)
{
    size_t size = SIZE_MAX;
    int is_one = is_first_of_trainer(path, &size);
    for (size_t i = 0; i < PUBLISHED_COUNT; i++)
        is_one |= is_below(path, published[i].file, &size);
    if (is_one)
        *ret_size = size;
    return is_one;
}

int weight_layout_is_of_checkpoint(const char *path)
{
    size_t ignored = SIZE_MAX;
    return strcmp(path, "config.json") == 0 || ends_with(path, ".safetensors") || ends_with(path, ".bin") ||
           is_first_of_trainer(path, &ignored);
}
