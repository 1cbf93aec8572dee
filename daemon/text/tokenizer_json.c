/*
 * tokenizer.json: what each field may hold. Whatever would change ids and is not done here is refused by
 * name. (tokenizers/src/tokenizer/serialization.rs)
 */
#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/text/json_field.h"
#include "daemon/text/tokenizer_parts.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* -- post_processor: what it adds is left out, as add_special_tokens=False leaves it out --------------- */

/* The text, once, and special tokens around it. */
static int read_template(const json_t *part, struct err *err)
{
    const json_t *list = json_object_get(part, "single");
    size_t i, text_count = 0;
    const json_t *piece;
    if (!json_is_array(list))
        return err_set(err, ERR_FORMAT, "single: not a list");
    json_array_foreach(list, i, piece)
    {
        if (json_is_object(json_object_get(piece, "Sequence")))
            text_count++;
        else if (!json_is_object(json_object_get(piece, "SpecialToken")))
            return err_set(err, ERR_FORMAT, "single[%zu]: neither a Sequence nor a SpecialToken", i);
    }
    return text_count == 1 ? 0
                           : err_set(err, ERR_UNSUPPORTED,
                                     "single: only a template that holds the text once is supported");
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
    if (strcmp(type, "Sequence") != 0 || depth == TOKENIZER_NESTING_MAX)
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

/* -- decoder: for ids that are turned into text, which is not asked for; of a kind that is known -----------
 */

static int read_decoder(const json_t *part, int depth, struct err *err)
{
    static const char *const known[] = {"ByteLevel", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"};
    const char *type;
    size_t i;
    const json_t *inner;
    if (json_field_is_absent(part))
        return 0;
    if (json_field_type(part, &type, err))
        return err->code;
    for (i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(type, known[i]) == 0)
            return 0;
    if (strcmp(type, "Sequence") != 0 || depth == TOKENIZER_NESTING_MAX)
        return json_field_refuse_type(type, err);
    const json_t *list = json_object_get(part, "decoders");
    if (!json_is_array(list))
        return err_set(err, ERR_FORMAT, "decoders: not a list");
    json_array_foreach(list, i, inner)
    {
        if (read_decoder(inner, depth + 1, err))
            return err_wrap(err, "decoders[%zu]", i);
    }
    return 0;
}

/* -- added_tokens --------------------------------------------------------------------------------------- */

/* Their ids are found again as `tokenizers` does, whatever the file says: the vocabulary's id for a content
 * that is in it, else the next one after the vocabulary's size. */
static int set_id(const struct tokenizer *tokenizer, struct added_token *token, uint32_t *next_id,
                  struct err *err)
{
    size_t size;
    const struct added_token *known =
        added_tokens_find(&tokenizer->added, token->content, token->content_size);
    if (known)
        token->id = known->id;
    if (known || vocabulary_find(&tokenizer->vocabulary, token->content, token->content_size, &token->id))
        return 0;
    token->id = (*next_id)++;
    /* Which of two tokens of one id is found in a text, `tokenizers` leaves to chance. */
    if (!vocabulary_token(&tokenizer->vocabulary, token->id, &size))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "its id would be %" PRIu32 ", the next after the vocabulary's size, and the vocabulary "
                   "has that already: its ids have holes",
                   token->id);
}

static int read_added_token(const json_t *object, struct tokenizer *tokenizer, uint32_t *next_id,
                            struct err *err)
{
    struct added_token token = {0};
    char text[LIMIT_ADDED_TOKEN_BYTES];
    const json_t *content = json_object_get(object, "content");
    if (!json_is_string(content))
        return err_set(err, ERR_FORMAT, "content: not a string");
    if (json_field_flag(object, "single_word", 0, &token.single_word, err) ||
        json_field_flag(object, "lstrip", 0, &token.lstrip, err) ||
        json_field_flag(object, "rstrip", 0, &token.rstrip, err) ||
        json_field_flag(object, "normalized", 1, &token.normalized, err) ||
        json_field_flag(object, "special", 0, &token.special, err))
        return err->code;
    token.content_size = json_string_length(content);
    if (token.content_size == 0) /* passed over, as there */
        return 0;
    if (token.content_size > LIMIT_ADDED_TOKEN_BYTES)
        return err_set(err, ERR_LIMIT, "content has more than %d bytes", LIMIT_ADDED_TOKEN_BYTES);
    memcpy(text, json_string_value(content), token.content_size);
    token.content = text;
    if (set_id(tokenizer, &token, next_id, err) || tokenizer_added_add(tokenizer, &token, err))
        return err->code;
    const json_t *id = json_object_get(object, "id");
    if (!json_is_integer(id) || json_integer_value(id) != token.id)
        tokenizer->has_odd_ids = 1;
    return 0;
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

/* -- The whole ------------------------------------------------------------------------------------------ */

static int read_parts(json_t *root, struct tokenizer *tokenizer, struct err *err)
{
    const json_t *version = json_object_get(root, "version");
    if (!json_is_object(root))
        return err_set(err, ERR_FORMAT, "not a JSON object");
    if (!json_field_is_absent(version) &&
        (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0))
        return err_set(err, ERR_UNSUPPORTED, "version: only \"1.0\" is supported");
    if (tokenizer_normalizer_read(json_object_get(root, "normalizer"), &tokenizer->normalizer, err))
        return err_wrap(err, "normalizer");
    if (tokenizer_pre_tokenizer_read(json_object_get(root, "pre_tokenizer"), tokenizer, err))
        return err_wrap(err, "pre_tokenizer");
    if (read_post_processor(json_object_get(root, "post_processor"), 0, err))
        return err_wrap(err, "post_processor");
    if (read_decoder(json_object_get(root, "decoder"), 0, err))
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
