/*
 * tokenizer.json: what each field may hold. Whatever would change ids and is not done here is refused by
 * name. (tokenizers/src/tokenizer/serialization.rs, models/bpe/serialization.rs,
 * pre_tokenizers/byte_level.rs)
 */
#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/text/json_field.h"
#include "daemon/text/normalizer.h"
#include "daemon/text/tokenizer_parts.h"
#include "daemon/text/unicode.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 8 /* of Sequence in Sequence */

/* -- normalizer: none, NFC, or a Sequence of these ----------------------------------------------------- */

static int read_normalizer(const json_t *part, int depth, struct tokenizer *tokenizer, struct err *err)
{
    const char *type;
    if (json_field_is_absent(part))
        return 0;
    if (json_field_type(part, &type, err))
        return err->code;
    if (strcmp(type, "NFC") == 0) {
        tokenizer->is_nfc = 1;
        return 0;
    }
    if (strcmp(type, "Sequence") != 0 || depth == NESTING_MAX)
        return json_field_refuse_type(type, err);
    const json_t *list = json_object_get(part, "normalizers");
    size_t i;
    const json_t *inner;
    if (!json_is_array(list))
        return err_set(err, ERR_FORMAT, "normalizers: not a list");
    json_array_foreach(list, i, inner)
    {
        if (read_normalizer(inner, depth + 1, tokenizer, err))
            return err_wrap(err, "normalizers[%zu]", i);
    }
    return 0;
}

/* -- pre_tokenizer: ByteLevel, alone or after a Split by a known expression ------------------------------ */

static int read_byte_level(const json_t *part, struct tokenizer *tokenizer, struct err *err)
{
    int use_regex;
    if (json_field_flag(part, "add_prefix_space", 1, &tokenizer->add_prefix_space, err) ||
        json_field_flag(part, "use_regex", 1, &use_regex, err))
        return err->code;
    if (!use_regex)
        return 0;
    if (tokenizer->splitter)
        return err_set(err, ERR_UNSUPPORTED, "use_regex: true after a Split is not supported");
    tokenizer->has_gpt2_words = 1;
    return splitter_new(splitter_gpt2, &tokenizer->splitter, err);
}

static int read_split(const json_t *part, struct tokenizer *tokenizer, struct err *err)
{
    int invert;
    const char *behavior = json_string_value(json_object_get(part, "behavior"));
    const char *expression = json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex"));
    if (tokenizer->splitter)
        return err_set(err, ERR_UNSUPPORTED, "a second Split is not supported");
    if (json_field_flag(part, "invert", 0, &invert, err))
        return err->code;
    if (invert)
        return err_set(err, ERR_UNSUPPORTED, "invert: true is not supported");
    if (!behavior || strcmp(behavior, "Isolated") != 0)
        return err_set(err, ERR_UNSUPPORTED, "behavior: only \"Isolated\" is supported");
    if (!expression)
        return err_set(err, ERR_UNSUPPORTED, "pattern: only a Regex is supported");
    if (splitter_new(expression, &tokenizer->splitter, err))
        return err_wrap(err, "pattern.Regex");
    return 0;
}

static int read_pre_tokenizer_sequence(const json_t *part, struct tokenizer *tokenizer, struct err *err)
{
    const json_t *list = json_object_get(part, "pretokenizers");
    size_t i, count = json_array_size(list);
    const json_t *inner;
    if (!json_is_array(list) || count == 0)
        return err_set(err, ERR_FORMAT, "pretokenizers: not a list with elements");
    json_array_foreach(list, i, inner)
    {
        const char *type;
        int code = json_field_type(inner, &type, err);
        if (!code && strcmp(type, "Split") == 0 && i + 1 < count)
            code = read_split(inner, tokenizer, err);
        else if (!code && strcmp(type, "ByteLevel") == 0 && i + 1 == count)
            code = read_byte_level(inner, tokenizer, err);
        else if (!code)
            code = json_field_refuse_type(type, err);
        if (code)
            return err_wrap(err, "pretokenizers[%zu]", i);
    }
    if (count > 1 && tokenizer->add_prefix_space)
        return err_set(err, ERR_UNSUPPORTED, "add_prefix_space: true after a Split is not supported");
    return 0;
}

static int read_pre_tokenizer(const json_t *part, struct tokenizer *tokenizer, struct err *err)
{
    const char *type;
    if (json_field_is_absent(part))
        return err_set(err, ERR_UNSUPPORTED, "only byte-level tokenizers are supported, and this is not one");
    if (json_field_type(part, &type, err))
        return err->code;
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(part, tokenizer, err);
    if (strcmp(type, "Sequence") == 0)
        return read_pre_tokenizer_sequence(part, tokenizer, err);
    return json_field_refuse_type(type, err);
}

/* -- post_processor: whatever adds no tokens ------------------------------------------------------- */

static int read_template(const json_t *part, struct err *err)
{
    const json_t *list = json_object_get(part, "single");
    size_t i;
    const json_t *piece;
    if (!json_is_array(list))
        return err_set(err, ERR_FORMAT, "single: not a list");
    json_array_foreach(list, i, piece)
    {
        if (!json_object_get(piece, "Sequence"))
            return err_set(err, ERR_UNSUPPORTED, "single[%zu]: a template that adds tokens is not supported",
                           i);
    }
    return 0;
}

static int read_post_processor(const json_t *part, int depth, struct err *err)
{
    const char *type;
    if (json_field_is_absent(part))
        return 0;
    if (json_field_type(part, &type, err))
        return err->code;
    if (strcmp(type, "ByteLevel") == 0) /* trims offsets, which are not given out here */
        return 0;
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(part, err);
    if (strcmp(type, "Sequence") != 0 || depth == NESTING_MAX)
        return json_field_refuse_type(type, err);
    const json_t *list = json_object_get(part, "processors");
    size_t i;
    const json_t *inner;
    if (!json_is_array(list))
        return err_set(err, ERR_FORMAT, "processors: not a list");
    json_array_foreach(list, i, inner)
    {
        if (read_post_processor(inner, depth + 1, err))
            return err_wrap(err, "processors[%zu]", i);
    }
    return 0;
}

static int read_decoder(const json_t *part, struct err *err)
{
    const char *type;
    if (json_field_is_absent(part))
        return 0;
    if (json_field_type(part, &type, err))
        return err->code;
    return strcmp(type, "ByteLevel") == 0 ? 0 : json_field_refuse_type(type, err);
}

/* -- added_tokens
 * -------------------------------------------------------------------------------------------- */

/* Their ids are found again as `tokenizers` does, whatever the file says: the vocabulary's id for a content
 * that is in it, else the next one after the vocabulary's size. */
static int read_added_token(const json_t *object, struct tokenizer *tokenizer, uint32_t *next_id,
                            struct err *err)
{
    struct added_token token = {0};
    struct normalizer_scratch scratch = {0};
    struct buf pattern;
    json_t *content = json_object_get(object, "content");
    int code = 0;
    buf_init(&pattern, (size_t)LIMIT_ADDED_TOKEN_BYTES * 4);
    if (!json_is_string(content))
        return err_set(err, ERR_FORMAT, "content: not a string");
    if (json_field_flag(object, "single_word", 0, &token.single_word, err) ||
        json_field_flag(object, "lstrip", 0, &token.lstrip, err) ||
        json_field_flag(object, "rstrip", 0, &token.rstrip, err) ||
        json_field_flag(object, "normalized", 1, &token.normalized, err) ||
        json_field_flag(object, "special", 0, &token.special, err))
        return err->code;
    size_t size = json_string_length(content);
    if (size == 0) /* passed over, as there */
        return 0;
    if (size > LIMIT_ADDED_TOKEN_BYTES)
        return err_set(err, ERR_LIMIT, "content has more than %d bytes", LIMIT_ADDED_TOKEN_BYTES);
    char text[LIMIT_ADDED_TOKEN_BYTES + 1];
    memcpy(text, json_string_value(content), size);
    token.content = token.pattern = text;
    token.content_size = token.pattern_size = size;
    if (token.normalized && tokenizer->is_nfc) {
        code = normalizer_compose(&scratch, text, size, &pattern, err);
        token.pattern = pattern.data;
        token.pattern_size = pattern.size;
    }
    const struct added_token *known = added_tokens_find(&tokenizer->added, text, size);
    if (known)
        token.id = known->id;
    else if (!vocabulary_find(&tokenizer->vocabulary, text, size, &token.id)) {
        token.id = (*next_id)++;
        /* Which of two tokens of one id is found in a text, `tokenizers` leaves to chance. */
        if (!code && vocabulary_token(&tokenizer->vocabulary, token.id, &size))
            code = err_set(err, ERR_UNSUPPORTED,
                           "its id would be %" PRIu32
                           ", the next after the vocabulary's size, and the vocabulary "
                           "has that already: its ids have holes",
                           token.id);
    }
    if (!code)
        code = added_tokens_add(&tokenizer->added, &token, err);
    if (json_integer_value(json_object_get(object, "id")) != token.id)
        tokenizer->has_odd_ids = 1;
    normalizer_scratch_free(&scratch);
    buf_free(&pattern);
    return code;
}

static int read_added_tokens(const json_t *list, struct tokenizer *tokenizer, struct err *err)
{
    size_t i;
    const json_t *object;
    uint32_t next_id = (uint32_t)tokenizer->vocabulary.count;
    if (!json_field_is_absent(list) && !json_is_array(list))
        return err_set(err, ERR_FORMAT, "added_tokens: not a list");
    json_array_foreach(list, i, object)
    {
        if (read_added_token(object, tokenizer, &next_id, err))
            return err_wrap(err, "added_tokens[%zu]", i);
    }
    tokenizer->id_limit = tokenizer->vocabulary.id_limit > tokenizer->added.id_limit
                              ? tokenizer->vocabulary.id_limit
                              : tokenizer->added.id_limit;
    return added_tokens_index(&tokenizer->added, err);
}

/* -- The whole
 * ------------------------------------------------------------------------------------------------ */

static int read_parts(json_t *root, struct tokenizer *tokenizer, struct err *err)
{
    const json_t *version = json_object_get(root, "version");
    if (!json_is_object(root))
        return err_set(err, ERR_FORMAT, "not a JSON object");
    if (!json_field_is_absent(version) &&
        (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0))
        return err_set(err, ERR_UNSUPPORTED, "version: only \"1.0\" is supported");
    if (read_normalizer(json_object_get(root, "normalizer"), 0, tokenizer, err))
        return err_wrap(err, "normalizer");
    if (read_pre_tokenizer(json_object_get(root, "pre_tokenizer"), tokenizer, err))
        return err_wrap(err, "pre_tokenizer");
    if (read_post_processor(json_object_get(root, "post_processor"), 0, err))
        return err_wrap(err, "post_processor");
    if (read_decoder(json_object_get(root, "decoder"), err))
        return err_wrap(err, "decoder");
    if (tokenizer_model_read(json_object_get(root, "model"), tokenizer, err))
        return err_wrap(err, "model");
    return read_added_tokens(json_object_get(root, "added_tokens"), tokenizer, err);
}

int tokenizer_json_read(const void *json, size_t size, struct tokenizer *tokenizer, struct err *err)
{
    if (size > LIMIT_TOKENIZER_JSON_BYTES)
        return err_set(err, ERR_LIMIT, "%zu bytes are more than the limit of %zu", size,
                       LIMIT_TOKENIZER_JSON_BYTES);
    if (json_bound_check(json, size, LIMIT_TOKENIZER_JSON_VALUES, LIMIT_TOKENIZER_JSON_CONTAINERS, err))
        return err->code;
    json_t *root = json_text_parse(json, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, err);
    if (!root)
        return err->code;
    int code = read_parts(root, tokenizer, err);
    json_decref(root);
    return code;
}
