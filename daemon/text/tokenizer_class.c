#include "daemon/text/tokenizer_class.h"

#include "daemon/text/json_field.h"
#include "daemon/text/tokenizer.h"

#include <string.h>

#define END TOKENIZER_END
#define AS(name) TOKENIZER_DOUBT_AS_##name
#define BY(name) TOKENIZER_ORIGIN_##name

static const struct tokenizer_class classes[] = {
    {"GPTNeoXTokenizer", AS(NEOX), END, END, END, TOKENIZER_PADDING, BY(TRANSFORMERS)},
    {"GPTNeoXTokenizerFast", AS(NEOX), END, END, END, TOKENIZER_PADDING, BY(TRANSFORMERS)},
    {"GPT2Tokenizer", AS(GPT2), END, END, END, NULL, BY(TRANSFORMERS)},
    {"GPT2TokenizerFast", AS(GPT2), END, END, END, NULL, BY(TRANSFORMERS)},
    {"Qwen2Tokenizer", AS(QWEN2), NULL, END, END, END, BY(TRANSFORMERS)},
    {"Qwen2TokenizerFast", AS(QWEN2), NULL, END, END, END, BY(TRANSFORMERS)},
    {"LlamaTokenizer", AS(LLAMA), "<s>", "</s>", "<unk>", NULL, BY(TRANSFORMERS)},
    {"LlamaTokenizerFast", AS(LLAMA), "<s>", "</s>", "<unk>", NULL, BY(TRANSFORMERS)},
    {"GemmaTokenizer", AS(GEMMA), "<bos>", "<eos>", "<unk>", "<pad>", BY(TRANSFORMERS)},
    {"GemmaTokenizerFast", AS(GEMMA), "<bos>", "<eos>", "<unk>", "<pad>", BY(TRANSFORMERS)},
    {"BloomTokenizerFast", 0, "<s>", "</s>", "<unk>", "<pad>", BY(TRANSFORMERS)},
    /* ai2-olmo's, which reads tokenizer.json as it is */
    {"OLMoTokenizer", 0, NULL, NULL, NULL, NULL, BY(MODEL)},
    {"OLMoTokenizerFast", 0, NULL, NULL, NULL, NULL, BY(MODEL)},
    /* Published beside Crystal: tokenizer.json as it is, but for the template (tokenizer_start.c). */
    {"CrystalCoderTokenizer", 0, "<|startoftext|>", "<|endoftext|>", "<|unk|>", NULL, BY(MODEL_TEMPLATE)},
    {"CrystalCoderTokenizerFast", 0, "<|startoftext|>", "<|endoftext|>", "<|unk|>", NULL, BY(MODEL_TEMPLATE)},
    {"PreTrainedTokenizerFast", 0, NULL, NULL, NULL, NULL, BY(TRANSFORMERS)},
    {"TokenizersBackend", 0, NULL, NULL, NULL, NULL, BY(TRANSFORMERS)},
};

/* What 5 builds for a type. */
enum rule { BY_CLASS, NEVER, AS_QWEN2 };

static const struct {
    const char *model_type;
    enum rule rule;
    const char *class_name; /* of both versions, where no file names one; NULL where they differ */
} types[] = {
    {"", BY_CLASS, "GPTNeoXTokenizer"},
    {"gpt_neox", BY_CLASS, "GPTNeoXTokenizer"},
    {"olmo", BY_CLASS, "GPTNeoXTokenizer"},
    {"hf_olmo", BY_CLASS, "OLMoTokenizer"},
    {"gpt2", BY_CLASS, "GPT2Tokenizer"},
    {"bloom", BY_CLASS, NULL},
    {"llama", BY_CLASS, NULL},
    {"mistral", NEVER, NULL},
    {"olmo2", NEVER, NULL},
    {"olmo3", NEVER, NULL},
    {"modernbert-decoder", NEVER, NULL},
    {"qwen2", AS_QWEN2, "Qwen2Tokenizer"},
    {"qwen3", BY_CLASS, "Qwen2Tokenizer"},
    {"qwen3_moe", BY_CLASS, "Qwen2Tokenizer"},
    {"olmoe", BY_CLASS, "GPTNeoXTokenizer"},
    {"smollm3", BY_CLASS, "PreTrainedTokenizerFast"},
    {"granite", NEVER, NULL},
    {"stablelm", NEVER, NULL},
    {"nemotron", NEVER, "PreTrainedTokenizerFast"},
    {"minicpm", BY_CLASS, NULL},
    {"gemma", BY_CLASS, "GemmaTokenizer"},
    {"baichuan", BY_CLASS, NULL},
    {"crystalcoder", BY_CLASS, NULL},
    {"dots1", BY_CLASS, NULL},
    {"opensci", BY_CLASS, NULL},
    {"kormo", BY_CLASS, NULL},
    {"pico_decoder", BY_CLASS, NULL},
    {"apertus", BY_CLASS, NULL},
};

#define TYPE_COUNT (sizeof types / sizeof types[0])
#define CLASS_COUNT (sizeof classes / sizeof classes[0])

int tokenizer_class_find(const char *name, const char *model_type, struct tokenizer_choice *ret_choice,
                         struct err *err)
{
    size_t type = 0, class = 0;
    while (type < TYPE_COUNT && strcmp(types[type].model_type, model_type) != 0)
        type++;
    if (type == TYPE_COUNT)
        return err_set(err, ERR_UNSUPPORTED, "of models of the type \"%.*s\" it is not known how to read it",
                       json_field_shown_size(model_type, strlen(model_type)), model_type);
    if (!*name && !(name = types[type].class_name))
        return err_set(err, ERR_UNSUPPORTED,
                       "tokenizer_class: not named, and for a model of the type \"%s\" transformers 4 and 5 "
                       "take different ones: name it",
                       model_type);
    while (class < CLASS_COUNT && strcmp(classes[class].name, name) != 0)
        class ++;
    if (class == CLASS_COUNT)
        return err_set(err, ERR_UNSUPPORTED, "tokenizer_class: \"%.*s\" is not supported",
                       json_field_shown_size(name, strlen(name)), name);
    const enum rule rule = types[type].rule;
    *ret_choice = (struct tokenizer_choice){
        .class = classes[class],
        .built = rule == BY_CLASS ? classes[class].built
                 : rule == NEVER  ? 0
                                  : (unsigned)TOKENIZER_DOUBT_AS_QWEN2,
    };
    return 0;
}

/* Whether a name in "auto_map" ("tokenization_olmo_fast.OLMoTokenizerFast") is the class's, fast or slow. */
static int is_named(const struct tokenizer_class *class, const json_t *named)
{
    static const char fast[] = "Fast";
    const char *name = class->name,
               *dot = json_is_string(named) ? strrchr(json_string_value(named), '.') : NULL;
    size_t size = strlen(name), end = sizeof fast - 1;
    if (size > end && strcmp(name + size - end, fast) == 0)
        size -= end;
    return json_field_is_absent(named) || (dot && strncmp(dot + 1, name, size) == 0 &&
                                           (!dot[1 + size] || strcmp(dot + 1 + size, fast) == 0));
}

int tokenizer_class_check_map(const struct tokenizer_class *class, const json_t *map, struct err *err)
{
    const json_t *named = json_object_get(map, "AutoTokenizer");
    const int is_pair = json_is_array(named); /* slow and fast */
    if (json_field_is_absent(named) || (class->origin != TOKENIZER_ORIGIN_TRANSFORMERS &&
                                        is_named(class, is_pair ? json_array_get(named, 0) : named) &&
                                        is_named(class, is_pair ? json_array_get(named, 1) : NULL)))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "auto_map: AutoTokenizer: it is not known what a class of the model's own beside %s makes "
                   "of tokenizer.json",
                   class->name);
}
