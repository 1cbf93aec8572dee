/*
 * tokenizer.json: what each field may hold. Whatever would change ids and is not done here is refused by
 * name. (tokenizers/src/tokenizer/serialization.rs, models/bpe/serialization.rs,
 * pre_tokenizers/byte_level.rs)
 */
#include "daemon/base/limits.h"
#include "daemon/text/normalizer.h"
#include "daemon/text/tokenizer_parts.h"
#include "daemon/text/unicode.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 8 /* of Sequence in Sequence */

/* A foreign string for a message: its first characters. */
#define SHOWN_BYTES_MAX 48

static int shown_size(const char *text, size_t size)
{
    if (size > SHOWN_BYTES_MAX)
        size = unicode_previous(text, SHOWN_BYTES_MAX + 1);
    return (int)size;
}

static int is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

/* A field that is true or false, `fallback` where it is absent. */
static int read_flag(const json_t *object, const char *name, int fallback, int *ret_flag, struct err *err)
{
    const json_t *value = json_object_get(object, name);
    if (!is_absent(value) && !json_is_boolean(value))
        return err_set(err, ERR_FORMAT, "%s: not true or false", name);
    *ret_flag = is_absent(value) ? fallback : json_is_true(value);
    return 0;
}

/* The "type" of a part; "" where it is absent. */
static int read_type(const json_t *part, const char **ret_type, struct err *err)
{
    if (!json_is_object(part))
        return err_set(err, ERR_FORMAT, "not an object");
    const json_t *type = json_object_get(part, "type");
    if (!is_absent(type) && !json_is_string(type))
        return err_set(err, ERR_FORMAT, "type: not a string");
    *ret_type = is_absent(type) ? "" : json_string_value(type);
    return 0;
}

static int refuse_type(const char *type, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "type: \"%.*s\" is not supported", shown_size(type, strlen(type)),
                   type);
}

/* -- normalizer: none, NFC, or a Sequence of these ----------------------------------------------------- */

static int read_normalizer(const json_t *part, int depth, struct tokenizer *tokenizer, struct err *err)
{
    const char *type;
    if (is_absent(part))
        return 0;
    if (read_type(part, &type, err))
        return err->code;
    if (strcmp(type, "NFC") == 0) {
        tokenizer->is_nfc = 1;
        return 0;
    }
    if (strcmp(type, "Sequence") != 0 || depth == NESTING_MAX)
        return refuse_type(type, err);
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
    if (read_flag(part, "add_prefix_space", 1, &tokenizer->add_prefix_space, err) ||
        read_flag(part, "use_regex", 1, &use_regex, err))
        return err->code;
    if (!use_regex)
        return 0;
    if (tokenizer->splitter)
        return err_set(err, ERR_UNSUPPORTED, "use_regex: true after a Split is not supported");
    return splitter_new(splitter_gpt2, &tokenizer->splitter, err);
}

static int read_split(const json_t *part, struct tokenizer *tokenizer, struct err *err)
{
    int invert;
    const char *behavior = json_string_value(json_object_get(part, "behavior"));
    const char *expression = json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex"));
    if (tokenizer->splitter)
        return err_set(err, ERR_UNSUPPORTED, "a second Split is not supported");
    if (read_flag(part, "invert", 0, &invert, err))
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
        int code = read_type(inner, &type, err);
        if (!code && strcmp(type, "Split") == 0 && i + 1 < count)
            code = read_split(inner, tokenizer, err);
        else if (!code && strcmp(type, "ByteLevel") == 0 && i + 1 == count)
            code = read_byte_level(inner, tokenizer, err);
        else if (!code)
            code = refuse_type(type, err);
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
    if (is_absent(part))
        return err_set(err, ERR_UNSUPPORTED, "only byte-level tokenizers are supported, and there is none");
    if (read_type(part, &type, err))
        return err->code;
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(part, tokenizer, err);
    if (strcmp(type, "Sequence") == 0)
        return read_pre_tokenizer_sequence(part, tokenizer, err);
    return refuse_type(type, err);
}

/* -- post_processor: whatever adds no tokens --------------------------------------------------------------
 */

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
    if (is_absent(part))
        return 0;
    if (read_type(part, &type, err))
        return err->code;
    if (strcmp(type, "ByteLevel") == 0) /* trims offsets, which are not given out here */
        return 0;
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(part, err);
    if (strcmp(type, "Sequence") != 0 || depth == NESTING_MAX)
        return refuse_type(type, err);
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
    if (is_absent(part))
        return 0;
    if (read_type(part, &type, err))
        return err->code;
    return strcmp(type, "ByteLevel") == 0 ? 0 : refuse_type(type, err);
}

/* -- model: BPE --------------------------------------------------------------------------------------------
 */

/* Fields that must be absent, null, false, 0 or "". */
static int refuse_unless_idle(const json_t *model, const char *name, struct err *err)
{
    const json_t *value = json_object_get(model, name);
    if (is_absent(value) || json_is_false(value) || (json_is_string(value) && !json_string_length(value)) ||
        (json_is_number(value) && !(json_number_value(value) > 0 || json_number_value(value) < 0)))
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "%s: only null is supported", name);
}

static int read_vocabulary(json_t *vocab, struct tokenizer *tokenizer, struct err *err)
{
    const char *token;
    json_t *id;
    if (!json_is_object(vocab))
        return err_set(err, ERR_FORMAT, "vocab: not an object");
    json_object_foreach(vocab, token, id)
    {
        size_t size = strlen(token);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0)
            return err_set(err, ERR_FORMAT, "vocab: the id of \"%.*s\" is no number from 0",
                           shown_size(token, size), token);
        if (value >= LIMIT_VOCABULARY)
            return err_set(err, ERR_LIMIT, "vocab: id %" JSON_INTEGER_FORMAT " is not below the limit of %d",
                           value, LIMIT_VOCABULARY);
        if (vocabulary_add(&tokenizer->vocabulary, token, size, (uint32_t)value, err))
            return err_wrap(err, "vocab");
    }
    if (vocabulary_index_ids(&tokenizer->vocabulary, err))
        return err_wrap(err, "vocab");
    return 0;
}

/* The two halves of a merge, "a b" or ["a", "b"]. */
static int read_halves(const json_t *merge, const char *half[2], size_t size[2])
{
    if (json_is_array(merge)) {
        for (size_t i = 0; i < 2; i++) {
            half[i] = json_string_value(json_array_get(merge, i));
            size[i] = json_string_length(json_array_get(merge, i));
        }
        return json_array_size(merge) == 2 && half[0] && half[1];
    }
    if (!json_is_string(merge))
        return 0;
    const char *text = json_string_value(merge);
    size_t length = json_string_length(merge);
    const char *space = memchr(text, ' ', length);
    if (!space)
        return 0;
    half[0] = text;
    size[0] = (size_t)(space - text);
    half[1] = space + 1;
    size[1] = length - size[0] - 1;
    return memchr(half[1], ' ', size[1]) == NULL;
}

static int read_merge(const json_t *merge, uint32_t rank, struct tokenizer *tokenizer, struct buf *joined,
                      struct err *err)
{
    const char *half[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    uint32_t id[2], new_id;
    if (!read_halves(merge, half, size))
        return err_set(err, ERR_FORMAT, "neither \"a b\" nor [\"a\", \"b\"]");
    for (int i = 0; i < 2; i++) {
        if (!vocabulary_find(&tokenizer->vocabulary, half[i], size[i], &id[i]))
            return err_set(err, ERR_FORMAT, "\"%.*s\" is not in the vocabulary", shown_size(half[i], size[i]),
                           half[i]);
    }
    buf_clear(joined);
    (void)buf_append(joined, half[0], size[0]);
    (void)buf_append(joined, half[1], size[1]);
    if (buf_check(joined, "joined", err))
        return err->code;
    if (!vocabulary_find(&tokenizer->vocabulary, buf_text(joined), joined->size, &new_id))
        return err_set(err, ERR_FORMAT, "the result \"%.*s\" is not in the vocabulary",
                       shown_size(buf_text(joined), joined->size), buf_text(joined));
    merges_add(&tokenizer->merges, id[0], id[1], rank, new_id);
    return 0;
}

static int read_merges(const json_t *list, struct tokenizer *tokenizer, struct err *err)
{
    struct buf joined;
    size_t i;
    uint32_t rank = 0;
    const json_t *merge;
    if (!json_is_array(list))
        return err_set(err, ERR_FORMAT, "merges: not a list");
    if (json_array_size(list) > LIMIT_VOCABULARY)
        return err_set(err, ERR_LIMIT, "merges: more than %d", LIMIT_VOCABULARY);
    if (merges_init(&tokenizer->merges, json_array_size(list), err))
        return err->code;
    buf_init(&joined, LIMIT_TOKENIZER_JSON_BYTES);
    json_array_foreach(list, i, merge)
    {
        /* The first line of a merges.txt that was taken over; it has no rank. */
        if (json_is_string(merge) && strncmp(json_string_value(merge), "#version", 8) == 0)
            continue;
        if (read_merge(merge, rank++, tokenizer, &joined, err)) {
            buf_free(&joined);
            return err_wrap(err, "merges[%zu]", i);
        }
    }
    buf_free(&joined);
    return 0;
}

static int read_unk(const json_t *model, struct tokenizer *tokenizer, struct err *err)
{
    const json_t *unk = json_object_get(model, "unk_token");
    tokenizer->unk_id = TOKENIZER_NO_ID;
    if (read_flag(model, "fuse_unk", 0, &tokenizer->fuse_unk, err))
        return err->code;
    if (is_absent(unk))
        return 0;
    if (!json_is_string(unk))
        return err_set(err, ERR_FORMAT, "unk_token: not a string");
    /* A name that is in no vocabulary only matters to a byte that has no token; there it would be an error.
     */
    if (!vocabulary_find(&tokenizer->vocabulary, json_string_value(unk), json_string_length(unk),
                         &tokenizer->unk_id))
        return err_set(err, ERR_FORMAT, "unk_token: not in the vocabulary");
    return 0;
}

static void find_bytes(struct tokenizer *tokenizer)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned char spelled[UNICODE_UTF8_BYTES_MAX];
        size_t size = unicode_encode(vocabulary_byte_to_char((unsigned char)byte), spelled);
        tokenizer->byte_ids[byte] = tokenizer->unk_id;
        tokenizer->has_byte[byte] = (unsigned char)vocabulary_find(
            &tokenizer->vocabulary, (const char *)spelled, size, &tokenizer->byte_ids[byte]);
    }
}

static int read_model(const json_t *model, struct tokenizer *tokenizer, struct err *err)
{
    static const char *const idle[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                       "byte_fallback"};
    const char *type;
    if (is_absent(model))
        return err_set(err, ERR_FORMAT, "missing");
    if (read_type(model, &type, err))
        return err->code;
    if (*type && strcmp(type, "BPE") != 0)
        return refuse_type(type, err);
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++) {
        if (refuse_unless_idle(model, idle[i], err))
            return err->code;
    }
    if (read_flag(model, "ignore_merges", 0, &tokenizer->ignore_merges, err) ||
        read_vocabulary(json_object_get(model, "vocab"), tokenizer, err) ||
        read_merges(json_object_get(model, "merges"), tokenizer, err) || read_unk(model, tokenizer, err))
        return err->code;
    find_bytes(tokenizer);
    return 0;
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
    if (read_flag(object, "single_word", 0, &token.single_word, err) ||
        read_flag(object, "lstrip", 0, &token.lstrip, err) ||
        read_flag(object, "rstrip", 0, &token.rstrip, err) ||
        read_flag(object, "normalized", 1, &token.normalized, err) ||
        read_flag(object, "special", 0, &token.special, err))
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
        tokenizer->token_count++;
    }
    if (!code)
        code = added_tokens_add(&tokenizer->added, &token, err);
    normalizer_scratch_free(&scratch);
    buf_free(&pattern);
    return code;
}

static int read_added_tokens(const json_t *list, struct tokenizer *tokenizer, struct err *err)
{
    size_t i;
    const json_t *object;
    uint32_t next_id = (uint32_t)tokenizer->vocabulary.count;
    tokenizer->token_count = tokenizer->vocabulary.count;
    if (!is_absent(list) && !json_is_array(list))
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
    if (!is_absent(version) && (!json_is_string(version) || strcmp(json_string_value(version), "1.0") != 0))
        return err_set(err, ERR_UNSUPPORTED, "version: only \"1.0\" is supported");
    if (read_normalizer(json_object_get(root, "normalizer"), 0, tokenizer, err))
        return err_wrap(err, "normalizer");
    if (read_pre_tokenizer(json_object_get(root, "pre_tokenizer"), tokenizer, err))
        return err_wrap(err, "pre_tokenizer");
    if (read_post_processor(json_object_get(root, "post_processor"), 0, err))
        return err_wrap(err, "post_processor");
    if (read_decoder(json_object_get(root, "decoder"), err))
        return err_wrap(err, "decoder");
    if (read_model(json_object_get(root, "model"), tokenizer, err))
        return err_wrap(err, "model");
    return read_added_tokens(json_object_get(root, "added_tokens"), tokenizer, err);
}

int tokenizer_json_read(const void *json, size_t size, struct tokenizer *tokenizer, struct err *err)
{
    json_error_t reason;
    if (size > LIMIT_TOKENIZER_JSON_BYTES)
        return err_set(err, ERR_LIMIT, "%zu bytes are more than the limit of %zu", size,
                       LIMIT_TOKENIZER_JSON_BYTES);
    json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &reason);
    if (!root)
        return err_set(err, ERR_FORMAT, "no JSON: line %d: %s", reason.line, reason.text);
    int code = read_parts(root, tokenizer, err);
    json_decref(root);
    return code;
}
