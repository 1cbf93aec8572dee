/*
 * The files beside a tokenizer.model, and the class that reads it.
 *
 * SentencePiece's own ids are the tokenizer's. A class splits a text at its tokens first, and gives what lies
 * between to SentencePiece: a text that holds none of them has the same ids. Llama's class of transformers is
 * no such one: 4 and 5 convert the file, each in its way, and what they cut otherwise is refused, text for
 * text. (Baichuan, InternLM 1 and 2, Skywork and Yi: the tokenization_*.py beside the models; 4.57 and 5.24
 * were asked for Llama's, tests/e2e/test_tokenizer_models.py)
 */
#include "daemon/base/json_bound.h"
#include "daemon/base/limits.h"
#include "daemon/text/config_names.h"
#include "daemon/text/json_field.h"
#include "daemon/text/tokenizer_config.h"
#include "daemon/text/tokenizer_parts.h"
#include "daemon/text/tokenizer_start.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct class
{
    const char *name;
    const char *bos, *eos,
        *pad; /* where no file names others; the unknown is "<unk>" to all; NULL for none */
    int is_llama;
    int adds_bos; /* where no file says "add_bos_token", but for Llama's, of which 4 does and 5 does not */
    int takes_bos_of_model; /* whatever is named */
};

static const struct class classes[] = {
    {"LlamaTokenizer", "<s>", "</s>", NULL, 1, 0, 0},
    {"LlamaTokenizerFast", "<s>", "</s>", NULL, 1, 0, 0},
    {"BaichuanTokenizer", "<s>", "</s>", NULL, 0, 1, 0},
    {"SkyworkTokenizer", "<s>", "</s>", NULL, 0, 1, 0},
    {"InternLMTokenizer", "<s>", "</s>", "</s>", 0, 1, 1},
    {"InternLM2Tokenizer", "<s>", "</s>", "</s>", 0, 1, 1},
    {"YiTokenizer", "<|startoftext|>", "<|endoftext|>", "<unk>", 0, 0, 0},
};

#define CLASS_COUNT (sizeof classes / sizeof classes[0])

/* Of which 5 takes Llama's class where it is named. */
static const char *const llama_types[] = {"llama", "minicpm", "baichuan"};

#define LLAMA_TYPE_COUNT (sizeof llama_types / sizeof llama_types[0])

struct reading {
    const struct tokenizer *tokenizer;
    const struct class *class;
    struct tokenizer_use *use;
    size_t foreign_size;
    json_t *config;  /* an object, empty where there is no file */
    json_t *map;     /* an object or NULL */
    json_t *added;   /* likewise */
    int has_decoder; /* "added_tokens_decoder", beside which the map names no tokens */
};

/* -- The class ------------------------------------------------------------------------------------------- */

static int find_class(struct reading *reading, const struct tokenizer_config *files, struct err *err)
{
    const json_t *value = json_object_get(reading->config, "tokenizer_class");
    const char *name = json_field_is_absent(value) ? files->tokenizer_class : json_string_value(value);
    const char *type = files->model_type ? files->model_type : "";
    size_t i = 0;
    if (!name)
        return err_set(err, ERR_FORMAT, "tokenizer_class: not a string");
    if (!*name)
        return err_set(err, ERR_UNSUPPORTED,
                       "tokenizer_class: not named, and transformers 4 and 5 take different ones: name it");
    while (i < CLASS_COUNT && strcmp(classes[i].name, name) != 0)
        i++;
    if (i == CLASS_COUNT)
        return err_set(err, ERR_UNSUPPORTED,
                       "tokenizer_class: \"%.*s\": it is not known what it makes of a tokenizer.model",
                       json_field_shown_size(name, strlen(name)), name);
    reading->class = &classes[i];
    for (i = 0; i < LLAMA_TYPE_COUNT && strcmp(llama_types[i], type) != 0;)
        i++;
    if (reading->class->is_llama && i == LLAMA_TYPE_COUNT)
        return err_set(
            err, ERR_UNSUPPORTED,
            "tokenizer_class: of models of the type \"%.*s\" transformers 5 does not take %s to read a "
            "tokenizer.model",
            json_field_shown_size(type, strlen(type)), type, name);
    return 0;
}

/* Where a model brings its own class, that one reads the file; one of two by another way than SentencePiece.
 */
static int check_auto_map(const struct reading *reading, struct err *err)
{
    const json_t *named = json_object_get(json_object_get(reading->config, "auto_map"), "AutoTokenizer");
    const json_t *first = json_is_array(named) ? json_array_get(named, 0) : named;
    const char *dot = json_is_string(first) ? strrchr(json_string_value(first), '.') : NULL;
    if (json_field_is_absent(named) ||
        (!reading->class->is_llama && dot && strcmp(dot + 1, reading->class->name) == 0 &&
         json_field_is_absent(json_array_get(named, 1))))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "auto_map: AutoTokenizer: it is not known what a class of the model's own beside %s makes "
                   "of a tokenizer.model",
                   reading->class->name);
}

static int refuse_flag(const struct reading *reading, const char *name, int refused, struct err *err)
{
    int flag;
    if (json_field_flag(reading->config, name, !refused, &flag, err))
        return err->code;
    return flag == refused ? err_set(err, ERR_UNSUPPORTED, "%s: %s is not supported with a tokenizer.model",
                                     name, refused ? "true" : "false")
                           : 0;
}

static int check_flags(struct reading *reading, struct err *err)
{
    int is_legacy;
    const int is_said = !json_field_is_absent(json_object_get(reading->config, "legacy"));
    if (refuse_flag(reading, "split_special_tokens", 1, err) ||
        refuse_flag(reading, "add_eos_token", 1, err) || refuse_flag(reading, "from_slow", 1, err) ||
        refuse_flag(reading, "add_prefix_space", 0, err))
        return err->code;
    if (json_object_size(json_object_get(reading->config, "sp_model_kwargs")))
        return err_set(err, ERR_UNSUPPORTED, "sp_model_kwargs: only {} is supported");
    if (json_field_flag(reading->config, "legacy", 1, &is_legacy, err))
        return err->code;
    reading->use->doubts = TOKENIZER_DOUBT_CONTROLS;
    if (!reading->class->is_llama)
        return is_legacy ? 0 : refuse_flag(reading, "legacy", 0, err);
    reading->use->doubts |= is_legacy ? TOKENIZER_DOUBT_AS_CONVERTED : TOKENIZER_DOUBT_AS_CONVERTED_FIRST;
    reading->use->doubts |= is_legacy && is_said ? TOKENIZER_DOUBT_AS_LEGACY_LLAMA : TOKENIZER_DOUBT_AS_LLAMA;
    return 0;
}

/* -- Tokens of the files --------------------------------------------------------------------------------- */

static int has_token(const char *names, const char *name, size_t size)
{
    for (const char *end; (end = strchr(names, TOKENIZER_NAME_END)) != NULL; names = end + 1)
        if ((size_t)(end - names) == size && memcmp(names, name, size) == 0)
            return 1;
    return 0;
}

/* Converted, Llama's is looked for in a text with marks for its spaces: it may be found where it is not. */
static int may_be_marked(const char *name, size_t size)
{
    static const char mark[] = "\xE2\x96\x81"; /* U+2581 */
    return memchr(name, ' ', size) || memmem(name, size, mark, sizeof mark - 1);
}

/* A token that the class finds in a text: one that SentencePiece finds in none is known already. */
static int add_token(struct reading *reading, const char *name, size_t size, struct err *err)
{
    struct tokenizer_use *use = reading->use;
    char *end = use->foreign + reading->foreign_size;
    if (added_tokens_find(&reading->tokenizer->controls, name, size) || has_token(use->foreign, name, size))
        return 0;
    if (memchr(name, TOKENIZER_NAME_END, size) || memchr(name, 0, size) || size == 0 ||
        (reading->class->is_llama && may_be_marked(name, size)))
        return err_set(err, ERR_UNSUPPORTED, "a token with such characters is not supported");
    if (size > LIMIT_ADDED_TOKEN_BYTES || reading->foreign_size + size + 2 > sizeof use->foreign)
        return err_set(err, ERR_LIMIT, "the tokens that tokenizer.model lacks have more than %zu bytes",
                       sizeof use->foreign);
    memcpy(end, name, size);
    end[size] = TOKENIZER_NAME_END;
    end[size + 1] = 0;
    reading->foreign_size += size + 1;
    return 0;
}

static int add_named(void *context, const json_t *token, struct err *err)
{
    struct reading *reading = context;
    const json_t *content = config_names_content(token);
    return content ? add_token(reading, json_string_value(content), json_string_length(content), err) : 0;
}

/* That a name of a piece has its id. */
static int check_id(const struct reading *reading, const char *name, size_t size, int64_t id, struct err *err)
{
    uint32_t known;
    if (!vocabulary_find(&reading->tokenizer->vocabulary, name, size, &known) || known == id)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "\"%.*s\" has another id in tokenizer.model, %" PRIu32,
                   json_field_shown_size(name, size), name, known);
}

static int add_decoder(struct reading *reading, json_t *decoder, struct err *err)
{
    const char *key;
    json_t *token;
    if (decoder && !json_is_object(decoder))
        return err_set(err, ERR_FORMAT, "not an object");
    json_object_foreach(decoder, key, token)
    {
        const json_t *content = config_names_content(token);
        char *end;
        long long id = strtoll(key, &end, 10);
        if (!content || end == key || *end)
            return err_set(err, ERR_FORMAT, "%.*s: not an id and a token",
                           json_field_shown_size(key, strlen(key)), key);
        if (check_id(reading, json_string_value(content), json_string_length(content), id, err) ||
            add_named(reading, content, err))
            return err->code;
    }
    return 0;
}

static int add_old(struct reading *reading, struct err *err)
{
    const char *name;
    json_t *id;
    json_object_foreach(reading->added, name, id)
    {
        const int64_t number = json_is_integer(id) ? json_integer_value(id) : -1;
        if (check_id(reading, name, strlen(name), number, err) || add_token(reading, name, strlen(name), err))
            return err->code;
    }
    return 0;
}

/* -- The token before a text ----------------------------------------------------------------------------- */

/* null is a value, too: no token. */
static const json_t *value_of_name(const struct reading *reading, const char *name)
{
    const json_t *value = reading->has_decoder ? NULL : json_object_get(reading->map, name);
    return value ? value : json_object_get(reading->config, name);
}

/* Adds what the class calls a token where no file names it; *ret_id is that of the name, if it has one. */
static int find_name(struct reading *reading, const char *name, const char *fallback, int64_t *ret_id,
                     struct err *err)
{
    uint32_t id;
    const json_t *value = value_of_name(reading, name), *content = config_names_content(value);
    const char *text = content ? json_string_value(content) : value ? NULL : fallback;
    const size_t size = content ? json_string_length(content) : text ? strlen(text) : 0;
    *ret_id = TOKENIZER_CONFIG_NO_PREFIX;
    if (!text)
        return 0;
    *ret_id = vocabulary_find(&reading->tokenizer->vocabulary, text, size, &id)
                  ? (int64_t)id
                  : TOKENIZER_CONFIG_FOREIGN_PREFIX;
    return add_token(reading, text, size, err);
}

/* Before each text, whatever evaluations do. */
static int find_start(const struct reading *reading, int64_t bos, struct err *err)
{
    const struct class *class = reading->class;
    int adds_bos;
    if (json_field_flag(reading->config, "add_bos_token", class->adds_bos, &adds_bos, err))
        return err->code;
    const int is_said = !json_field_is_absent(json_object_get(reading->config, "add_bos_token"));
    reading->use->start_id = adds_bos ? bos : TOKENIZER_START_NONE;
    if ((class->is_llama && !is_said) || (adds_bos && bos < 0))
        reading->use->start_id = TOKENIZER_START_UNKNOWN;
    return 0;
}

/* As SentencePiece finds it: by its name, and none that is not of control. */
static int64_t bos_of_model(const struct tokenizer *tokenizer)
{
    const struct sentencepiece *model = tokenizer->sentencepiece;
    uint32_t id;
    return vocabulary_find(&tokenizer->vocabulary, model->bos_name, model->bos_name_size, &id) &&
                   model->pieces[id].type == SENTENCEPIECE_CONTROL
               ? (int64_t)id
               : TOKENIZER_CONFIG_NO_PREFIX;
}

static int find_tokens(struct reading *reading, struct err *err)
{
    const struct class *class = reading->class;
    int64_t bos, eos, other;
    if (find_name(reading, "bos_token", class->bos, &bos, err) ||
        find_name(reading, "eos_token", class->eos, &eos, err) ||
        find_name(reading, "unk_token", "<unk>", &other, err) ||
        find_name(reading, "pad_token", class->pad, &other, err))
        return err->code;
    if (class->takes_bos_of_model && bos != bos_of_model(reading->tokenizer))
        return err_set(err, ERR_UNSUPPORTED, "bos_token: %s takes that of tokenizer.model, which is another",
                       class->name);
    const int64_t prefix = bos != TOKENIZER_CONFIG_NO_PREFIX ? bos : eos;
    if (prefix == TOKENIZER_CONFIG_FOREIGN_PREFIX)
        return err_set(err, ERR_UNSUPPORTED, "bos_token, or eos_token: it is no piece of tokenizer.model");
    reading->use->prefix_id = prefix;
    return find_start(reading, bos, err);
}

/* -- The whole ------------------------------------------------------------------------------------------- */

static int check(struct reading *reading, const struct tokenizer_config *files, struct err *err)
{
    json_t *decoder = json_object_get(reading->config, "added_tokens_decoder");
    reading->has_decoder = decoder != NULL;
    if (find_class(reading, files, err) || check_auto_map(reading, err) || check_flags(reading, err) ||
        config_names_walk(reading->config, add_named, reading, err) || find_tokens(reading, err))
        return err_wrap(err, "tokenizer_config.json");
    if (add_decoder(reading, decoder, err))
        return err_wrap(err, "tokenizer_config.json: added_tokens_decoder");
    if (config_names_walk(reading->map, add_named, reading, err))
        return err_wrap(err, "special_tokens_map.json");
    return add_old(reading, err) ? err_wrap(err, "added_tokens.json") : 0;
}

int tokenizer_config_check_sentencepiece(const struct tokenizer_config *files,
                                         const struct tokenizer *tokenizer, struct tokenizer_use *ret_use,
                                         struct err *err)
{
    struct tokenizer_use use = {.prefix_id = TOKENIZER_CONFIG_NO_PREFIX};
    struct reading reading = {.tokenizer = tokenizer, .use = &use};
    int code = tokenizer_config_parse(files->config, "tokenizer_config.json", &reading.config, err);
    if (!code)
        code =
            tokenizer_config_parse(files->special_tokens_map, "special_tokens_map.json", &reading.map, err);
    if (!code)
        code = tokenizer_config_parse(files->added_tokens, "added_tokens.json", &reading.added, err);
    if (!code && !reading.config && !(reading.config = json_object()))
        code = err_set(err, ERR_NO_MEMORY, "tokenizer_config.json: out of memory");
    if (!code)
        code = check(&reading, files, err);
    json_decref(reading.config);
    json_decref(reading.map);
    json_decref(reading.added);
    if (!code)
        *ret_use = use;
    return code;
}
