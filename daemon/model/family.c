#include "daemon/model/family.h"

#include <stddef.h>
#include <string.h>

/* The last row is for families that are not listed. */
static const struct family families[] = {
    {"gpt_neox", 0, 0.25, 10000, 1, 1, "gelu", 1e-5, 0, 0, 0},
    {"llama", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 0, 0},
    {"mistral", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 8, 4096},
    {"qwen2", 0, 1.0, 10000, 0, 1, "silu", 1e-6, 1, 32, 4096},
    {"qwen3", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 32, 4096},
    {"smollm3", 1, 1.0, 2000000, 0, 0, "silu", 1e-6, 1, 4, 0},
    {"granite", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 0, 0},
    {"minicpm", 1, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 0, 0},
    {"gemma", 1, 1.0, 10000, 0, 0, "gelu_pytorch_tanh", 1e-6, 1, 16, 0},
    {"opensci", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 0, 0},
    {"kormo", 0, 1.0, 500000, 0, 0, "silu", 1e-5, 1, 8, 0},
    {"nemotron", 0, 0.5, 10000, 0, 0, "relu2", 1e-5, 1, 0, 0},
    {"stablelm", 0, 0.25, 10000, 0, 0, "silu", 1e-5, 1, 32, 0},
    {"pico_decoder", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 0, 0},
    {"baichuan", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 0, 0},
    {"olmo", 0, 1.0, 10000, 0, 0, "silu", 1e-5, 1, 0, 0},
    {"olmo2", 0, 1.0, 10000, 0, 0, "silu", 1e-5, 1, 0, 0},
    {"olmo3", 0, 1.0, 500000, 0, 0, "silu", 1e-5, 1, 0, 4096},
    {"olmoe", 0, 1.0, 10000, 0, 0, "silu", 1e-5, 1, 0, 0},
    {"qwen3_moe", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 4, 4096},
    {"dots1", 0, 1.0, 10000, 0, 0, "silu", 1e-6, 1, 32, 0},
    {"apertus", 0, 1.0, 12000000, 0, 0, "xielu", 1e-5, 1, 0, 0},
    {"crystalcoder", 1, 1.0, 10000, 0, 1, "silu", 1e-5, 0, 0, 0},
    {"bloom", 1, 0.0, 10000, 0, 1, "gelu_new", 1e-5, 0, 0, 0},
    {"hf_olmo", 1, 1.0, 10000, 0, 1, "silu", 1e-5, 0, 0, 0},
    {"modernbert-decoder", 1, 1.0, 160000, 0, 0, "gelu", 1e-5, 0, 0, 0},
    {"gpt2", 1, 0.0, 10000, 0, 1, "gelu_new", 1e-5, 0, 0, 0},
    {"", 0, 1.0, 10000, 0, 0, "", 1e-5, 0, 0, 0},
};

#define FAMILY_COUNT (sizeof families / sizeof families[0])

/* Of families not listed above those whose class ties the embeddings; before its version 5, transformers
 * wrote "tie_word_embeddings" only where it is false. */
static const struct family tied_family = {"", 1, 1.0, 10000, 0, 0, "", 1e-5, 0, 0, 0};

static const char *const tied_families[] = {
    "albert",
    "bart",
    "bert",
    "bert-generation",
    "big_bird",
    "biogpt",
    "camembert",
    "cohere",
    "cohere2",
    "cohere2_moe",
    "convbert",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "ernie4_5",
    "ernie4_5_moe",
    "falcon",
    "falcon_mamba",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gemma3n_text",
    "gemma4",
    "gemma4_text",
    "gpt-sw3",
    "gpt_bert",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox_japanese",
    "granite_swa",
    "jetmoe",
    "lfm2",
    "lfm3",
    "longt5",
    "ltgbert",
    "mamba",
    "mbart",
    "megatron-bert",
    "minicpm3",
    "modernbert",
    "mpnet",
    "mpt",
    "nomic_bert",
    "openai-gpt",
    "openelm",
    "opt",
    "pegasus",
    "recurrent_gemma",
    "roberta",
    "roberta-prelayernorm",
    "roformer",
    "starcoder2",
    "switch_transformers",
    "t5",
    "umt5",
    "vaultgemma",
    "xglm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "youtu",
    "zamba",
    "zamba2",
    "zaya",
};

const struct family *family_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof tied_families / sizeof tied_families[0]; i++)
        if (strcmp(tied_families[i], model_type) == 0)
            return &tied_family;
    size_t i = 0;
    while (i + 1 < FAMILY_COUNT && strcmp(families[i].model_type, model_type) != 0)
        i++;
    return &families[i];
}
