#include "daemon/text/tokenizer_config.h"

#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/text/config_added.h"
#include "daemon/text/config_names.h"
#include "daemon/text/json_field.h"
#include "daemon/text/tokenizer_class.h"
#include "daemon/text/tokenizer_parts.h"

#include <jansson.h>
#include <string.h>

/* The files, parsed. */
struct reading {
    const struct tokenizer *tokenizer;
    struct tokenizer_class class;
    unsigned built;  /* how 5 builds it; 0: as tokenizer.json says */
    int has_flags;   /* the class goes by "add_bos_token" and "add_eos_token" */
    unsigned doubts; /* of enum tokenizer_doubt */
    json_t *config;  /* an object, empty where there is no file */
    json_t *map;     /* an object or NULL; counts only without a decoder */
    json_t *added;   /* likewise */
    json_t *decoder; /* "added_tokens_decoder", borrowed; NULL if absent */
};

/* -- Files ---------------------------------------------------------------------------------------------- */

int tokenizer_config_parse(const struct buf *text, const char *name, json_t **ret_object, struct err *err)
{
    int code = 0;
    *ret_object = NULL;
    if (!text)
        return 0;
    if (text->size > LIMIT_TOKENIZER_CONFIG_BYTES)
        code = err_set(err, ERR_LIMIT, "%zu bytes are more than the limit of %zu", text->size,
                       LIMIT_TOKENIZER_CONFIG_BYTES);
    else
        code = json_bound_check(text->data, text->size, LIMIT_TOKENIZER_CONFIG_VALUES,
                                LIMIT_TOKENIZER_CONFIG_CONTAINERS, err);
    if (!code && !(*ret_object =
                       json_text_parse(text->data, text->size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, err)))
        code = err->code;
    if (!code && !json_is_object(*ret_object))
        code = err_set(err, ERR_FORMAT, "not a JSON object");
    return code ? err_wrap(err, "%s", name) : 0;
}

static int find_class(struct reading *reading, const struct tokenizer_config *files, struct err *err)
{
    const json_t *value = json_object_get(reading->config, "tokenizer_class");
    const char *name = json_field_is_absent(value) ? files->tokenizer_class : json_string_value(value);
    struct tokenizer_choice choice;
    if (!name)
        return err_set(err, ERR_FORMAT, "tokenizer_class: not a string");
    if (tokenizer_class_find(name, files->model_type ? files->model_type : "", &choice, err) ||
        tokenizer_class_check_map(&choice.class, json_object_get(reading->config, "auto_map"), err))
        return err->code;
    reading->class = choice.class;
    reading->built = choice.built;
    reading->has_flags = choice.class.built || choice.class.origin == TOKENIZER_ORIGIN_MODEL_TEMPLATE;
    return 0;
}

/* Llama's class and Gemma's: marks in place of spaces, and a token before a text by a flag. */
static int is_llama(const struct reading *reading)
{
    return reading->class.built == TOKENIZER_DOUBT_AS_LLAMA ||
           reading->class.built == TOKENIZER_DOUBT_AS_GEMMA;
}

/* -- What 5 takes from its class ------------------------------------------------------------------------- */

/* Whether what 5 builds may cut some text otherwise: then each text is asked. */
static int compare_rebuilt(struct reading *reading, struct err *err)
{
    struct tokenizer *rebuilt = NULL;
    if (tokenizer_rebuild(reading->tokenizer, reading->built, &rebuilt, err))
        return err_wrap(err, "as transformers 5 builds it");
    if (!tokenizer_is_same(reading->tokenizer, rebuilt))
        reading->doubts |= reading->built;
    tokenizer_rebuilt_free(rebuilt);
    return 0;
}

static int check_built(struct reading *reading, struct err *err)
{
    const struct tokenizer *tokenizer = reading->tokenizer;
    const int is_byte_level = tokenizer->alphabet.is_byte_level;
    const char *other = NULL;
    int is_legacy;
    if (json_field_flag(reading->config, "legacy", 0, &is_legacy, err))
        return err->code;
    if (is_legacy && reading->built == TOKENIZER_DOUBT_AS_LLAMA)
        reading->built = TOKENIZER_DOUBT_AS_LEGACY_LLAMA;
    if (!reading->built && !(is_llama(reading) && is_byte_level))
        return 0;
    if (is_byte_level == is_llama(reading)) /* 5's early ones */
        other = "pre_tokenizer";
    else if (tokenizer->has_odd_ids) /* it adds them in the order of these ids, and not of the list */
        other = "the order of added_tokens";
    if (!other)
        return compare_rebuilt(reading, err);
    return err_set(
        err, ERR_UNSUPPORTED,
        "tokenizer_class: transformers 5 makes another tokenizer of %s than 4, since it passes over %s "
        "of tokenizer.json (of PreTrainedTokenizerFast both make the same)",
        reading->class.name, other);
}

/* -- Flags ---------------------------------------------------------------------------------------------- */

static int refuse_flag(const struct reading *reading, const char *name, struct err *err)
{
    int flag;
    if (json_field_flag(reading->config, name, 0, &flag, err))
        return err->code;
    return flag ? err_set(err, ERR_UNSUPPORTED, "%s: true is not supported", name) : 0;
}

/* Llama's class makes its tokenizer anew from another file where these say anything. */
static int check_llama(const struct reading *reading, struct err *err)
{
    if (refuse_flag(reading, "from_slow", err))
        return err->code;
    if (json_field_is_absent(json_object_get(reading->config, "add_prefix_space")))
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "add_prefix_space: of %s only null is supported",
                   reading->class.name);
}

static int check_flags(const struct reading *reading, struct err *err)
{
    int prefix_space;
    if (refuse_flag(reading, "split_special_tokens", err) ||
        (reading->has_flags && ((!is_llama(reading) && refuse_flag(reading, "add_bos_token", err)) ||
                                refuse_flag(reading, "add_eos_token", err))))
        return err->code;
    if (is_llama(reading))
        return check_llama(reading, err);
    if (json_field_flag(reading->config, "add_prefix_space", 0, &prefix_space, err))
        return err->code;
    if (!reading->tokenizer->alphabet.is_byte_level ||
        prefix_space == (reading->tokenizer->pre_tokenizer.prefix == PRE_TOKENIZER_PREFIX_ALWAYS))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "add_prefix_space: %s here (where it is not said: false), %s in tokenizer.json",
                   prefix_space ? "true" : "false", prefix_space ? "false" : "true");
}

/* With several tokenizer.json files, each version of transformers takes its own. */
static int check_files(const struct reading *reading, struct err *err)
{
    const json_t *list = json_object_get(reading->config, "fast_tokenizer_files");
    size_t i;
    const json_t *name;
    if (!json_field_is_absent(list) && !json_is_array(list))
        return err_set(err, ERR_FORMAT, "fast_tokenizer_files: not a list");
    json_array_foreach(list, i, name)
    {
        if (!json_is_string(name) || strcmp(json_string_value(name), "tokenizer.json") != 0)
            return err_set(err, ERR_UNSUPPORTED, "fast_tokenizer_files: only tokenizer.json is supported");
    }
    return 0;
}

/* -- What a class has by itself -------------------------------------------------------------------------- */

/* null is a value, too: no token. */
static const json_t *value_of_name(const struct reading *reading, const char *name)
{
    const json_t *value = json_object_get(reading->map, name);
    return value ? value : json_object_get(reading->config, name);
}

static int has_added(const struct reading *reading, const char *content)
{
    return added_tokens_find(&reading->tokenizer->added, content, strlen(content)) != NULL;
}

/* What a class calls a token where no file names it. */
static const char *default_name(const struct reading *reading, const char *name)
{
    const struct tokenizer_class *class = &reading->class;
    return strcmp(name, "bos_token") == 0   ? class->bos
           : strcmp(name, "eos_token") == 0 ? class->eos
           : strcmp(name, "unk_token") == 0 ? class->unk
                                            : class->pad;
}

/* Tokens that a class adds, since no file names others: texts that have them are in doubt. */
static int find_own_tokens(struct reading *reading, struct err *err)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "pad_token"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *token = default_name(reading, names[i]);
        if (!token || value_of_name(reading, names[i]) || has_added(reading, token))
            continue;
        if (strcmp(token, TOKENIZER_END) == 0)
            reading->doubts |= TOKENIZER_DOUBT_END;
        else if (strcmp(token, TOKENIZER_PADDING) == 0)
            reading->doubts |= TOKENIZER_DOUBT_PADDING;
        else
            return err_set(err, ERR_UNSUPPORTED,
                           "%s: not named, and \"%s\" is not an added token of tokenizer.json", names[i],
                           token);
    }
    return 0;
}

/* Returns 1 and fills *ret_id where a name has a token. */
static int find_name(const struct reading *reading, const char *name, int64_t *ret_id)
{
    uint32_t id;
    const json_t *value = value_of_name(reading, name), *content = config_names_content(value);
    const char *text = content ? json_string_value(content) : value ? NULL : default_name(reading, name);
    if (!text)
        return 0;
    *ret_id = TOKENIZER_CONFIG_FOREIGN_PREFIX;
    if (tokenizer_find(reading->tokenizer, text, content ? json_string_length(content) : strlen(text), &id))
        *ret_id = id;
    return 1;
}

/* The token before a text. Where 5 takes tokenizer.json as it is, a name of 4's class is none to it. */
static int find_prefix(const struct reading *reading, int64_t *ret_id, struct err *err)
{
    const char *name = "bos_token";
    if (!find_name(reading, name, ret_id) && !find_name(reading, name = "eos_token", ret_id))
        return 0;
    if (reading->built || !default_name(reading, name) || value_of_name(reading, name))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: not named, and transformers 4 and 5 take different ones: name it", name);
}

/* -- The whole ------------------------------------------------------------------------------------------ */

static int check_config(struct reading *reading, const struct tokenizer_config *files, int64_t *ret_prefix,
                        struct err *err)
{
    struct config_added added = {.tokenizer = reading->tokenizer, .decoder = reading->decoder};
    if (find_class(reading, files, err) || check_built(reading, err) || check_flags(reading, err) ||
        check_files(reading, err))
        return err_wrap(err, "tokenizer_config.json");
    added.is_built = reading->class.built != 0;
    if (config_added_check_decoder(&added, err) || config_added_check_names(&added, reading->config, err))
        return err_wrap(err, "tokenizer_config.json");
    if (config_added_check_names(&added, reading->map, err))
        return err_wrap(err, "special_tokens_map.json");
    if (config_added_check_file(&added, reading->added, err))
        return err_wrap(err, "added_tokens.json");
    if (find_own_tokens(reading, err) || find_prefix(reading, ret_prefix, err))
        return err_wrap(err, "tokenizer_config.json");
    return 0;
}

static int read_files(const struct tokenizer_config *files, struct reading *reading, struct err *err)
{
    if (tokenizer_config_parse(files->config, "tokenizer_config.json", &reading->config, err))
        return err->code;
    if (!reading->config && !(reading->config = json_object()))
        return err_set(err, ERR_NO_MEMORY, "tokenizer_config.json: out of memory");
    json_t *decoder = json_object_get(reading->config, "added_tokens_decoder");
    if (decoder) {
        reading->decoder = decoder;
        return 0;
    }
    if (tokenizer_config_parse(files->special_tokens_map, "special_tokens_map.json", &reading->map, err))
        return err->code;
    return tokenizer_config_parse(files->added_tokens, "added_tokens.json", &reading->added, err);
}

int tokenizer_config_check(const struct tokenizer_config *files, const struct tokenizer *tokenizer,
                           struct tokenizer_use *ret_use, struct err *err)
{
    struct reading reading = {.tokenizer = tokenizer};
    struct tokenizer_use use = {.prefix_id = TOKENIZER_CONFIG_NO_PREFIX};
    int code = read_files(files, &reading, err);
    if (!code)
        code = check_config(&reading, files, &use.prefix_id, err);
    use.doubts = reading.doubts;
    json_decref(reading.config);
    json_decref(reading.map);
    json_decref(reading.added);
    if (!code)
        *ret_use = use;
    return code;
}
