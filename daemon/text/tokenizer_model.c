/*
 * The "model" of tokenizer.json: a BPE vocabulary and its merges, in both spellings.
 * (tokenizers/src/models/bpe/serialization.rs, model.rs)
 */
#include "daemon/base/limits.h"
#include "daemon/text/json_field.h"
#include "daemon/text/tokenizer_parts.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* -- model: BPE ------------------------------------------------------------------------------------ */

/* Fields that must be absent, null, false, 0 or "". */
static int refuse_unless_idle(const json_t *model, const char *name, struct err *err)
{
    const json_t *value = json_object_get(model, name);
    if (json_field_is_absent(value) || json_is_false(value) ||
        (json_is_string(value) && !json_string_length(value)) ||
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
            return err_set(err, ERR_FORMAT, "vocab: the id of \"%.*s\" is not a number from 0",
                           json_field_shown_size(token, size), token);
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
            return err_set(err, ERR_FORMAT, "\"%.*s\" is not in the vocabulary",
                           json_field_shown_size(half[i], size[i]), half[i]);
    }
    buf_clear(joined);
    (void)buf_append(joined, half[0], size[0]);
    (void)buf_append(joined, half[1], size[1]);
    if (buf_check(joined, "joined", err))
        return err->code;
    if (!vocabulary_find(&tokenizer->vocabulary, buf_text(joined), joined->size, &new_id))
        return err_set(err, ERR_FORMAT, "the result \"%.*s\" is not in the vocabulary",
                       json_field_shown_size(buf_text(joined), joined->size), buf_text(joined));
    merges_add(&tokenizer->merges, id[0], id[1], rank, new_id);
    seams_see(&tokenizer->seams, buf_text(joined), joined->size);
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
    struct alphabet *alphabet = &tokenizer->alphabet;
    alphabet->unk_id = ALPHABET_NO_ID;
    if (json_field_flag(model, "fuse_unk", 0, &alphabet->fuse_unk, err))
        return err->code;
    if (json_field_is_absent(unk))
        return 0;
    if (!json_is_string(unk))
        return err_set(err, ERR_FORMAT, "unk_token: not a string");
    /* A name that is in no vocabulary only matters to what has no token; there it would be an error. */
    if (!vocabulary_find(&tokenizer->vocabulary, json_string_value(unk), json_string_length(unk),
                         &alphabet->unk_id))
        return err_set(err, ERR_FORMAT, "unk_token: not in the vocabulary");
    return 0;
}

int tokenizer_model_read(const json_t *model, struct tokenizer *tokenizer, struct err *err)
{
    static const char *const idle[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
    const char *type;
    if (json_field_is_absent(model))
        return err_set(err, ERR_FORMAT, "missing");
    if (json_field_type(model, &type, err))
        return err->code;
    if (*type && strcmp(type, "BPE") != 0)
        return json_field_refuse_type(type, err);
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++) {
        if (refuse_unless_idle(model, idle[i], err))
            return err->code;
    }
    if (json_field_flag(model, "byte_fallback", 0, &tokenizer->alphabet.byte_fallback, err))
        return err->code;
    if (tokenizer->alphabet.byte_fallback && tokenizer->alphabet.is_byte_level)
        return err_set(err, ERR_UNSUPPORTED, "byte_fallback: true with ByteLevel is not supported");
    if (json_field_flag(model, "ignore_merges", 0, &tokenizer->ignore_merges, err) ||
        read_vocabulary(json_object_get(model, "vocab"), tokenizer, err) ||
        read_merges(json_object_get(model, "merges"), tokenizer, err) || read_unk(model, tokenizer, err))
        return err->code;
    alphabet_find_bytes(&tokenizer->alphabet, &tokenizer->vocabulary);
    seams_finish(&tokenizer->seams, &tokenizer->alphabet, &tokenizer->vocabulary);
    return 0;
}
