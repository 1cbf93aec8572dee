#include "daemon/model/vocabulary.h"

#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/base/protobuf.h"

#include <fnmatch.h>
#include <jansson.h>
#include <stdint.h>

/* Families that share one tokenizer, by name. */
static const struct {
    const char *model; /* a pattern of fnmatch */
    uint64_t rows;
} known[] = {
    {"EleutherAI/pythia-*", 50277}, /* GPT-NeoX-20B's: 50254 merges and bytes, 25 added tokens, 2 in both */
    {"EleutherAI/gpt-neox-20b", 50277},
};

#define KNOWN_COUNT (sizeof known / sizeof known[0])

/* Raises *largest to the id, which is checked. */
static int count_id(const json_t *id, int64_t *largest, struct err *err)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0)
        return err_set(err, ERR_FORMAT, "a token's id is not a number");
    if (json_integer_value(id) >= LIMIT_VOCABULARY)
        return err_set(err, ERR_LIMIT, "a token's id exceeds the limit of %d", LIMIT_VOCABULARY);
    if (json_integer_value(id) > *largest)
        *largest = json_integer_value(id);
    return 0;
}

static int count_rows(json_t *root, uint64_t *ret_rows, struct err *err)
{
    json_t *vocabulary = json_object_get(json_object_get(root, "model"), "vocab");
    const json_t *added = json_object_get(root, "added_tokens");
    const char *token;
    json_t *id;
    int64_t largest = -1;
    int code = 0;
    if (json_is_array(vocabulary)) /* Unigram: a list of [token, score], the id is the place */
        largest = (int64_t)json_array_size(vocabulary) - 1;
    else if (!json_is_object(vocabulary))
        return err_set(err, ERR_UNSUPPORTED, "\"model\" has no \"vocab\"");
    json_object_foreach(vocabulary, token, id)
    {
        code = count_id(id, &largest, err);
        if (code)
            return code;
    }
    for (size_t i = 0; !code && i < json_array_size(added); i++)
        code = count_id(json_object_get(json_array_get(added, i), "id"), &largest, err);
    if (code)
        return code;
    if (largest >= LIMIT_VOCABULARY)
        return err_set(err, ERR_LIMIT, "the vocabulary exceeds the limit of %d", LIMIT_VOCABULARY);
    *ret_rows = (uint64_t)(largest + 1);
    return 0;
}

/* As text it may be large, but not hold far more values than a vocabulary and its merges. */
static json_t *parse(const char *json, size_t size, struct err *err)
{
    if (json_bound_check(json, size, LIMIT_TOKENIZER_JSON_VALUES, LIMIT_TOKENIZER_JSON_CONTAINERS, err))
        return NULL;
    return json_text_parse(json, size, JSON_ALLOW_NUL, err);
}

int model_vocabulary_count_rows(const char *json, size_t size, uint64_t *ret_rows, struct err *err)
{
    if (size > LIMIT_TOKENIZER_JSON_BYTES)
        return err_set(err, ERR_LIMIT, "tokenizer.json: %zu bytes exceed the limit of %zu", size,
                       LIMIT_TOKENIZER_JSON_BYTES);
    json_t *root = parse(json, size, err);
    if (!root)
        return err_wrap(err, "tokenizer.json");
    int code = count_rows(root, ret_rows, err);
    json_decref(root);
    return code ? err_wrap(err, "tokenizer.json") : 0;
}

int model_vocabulary_count_pieces(const void *data, size_t size, uint64_t *ret_rows, struct err *err)
{
    struct protobuf_reader reader = {.data = data, .size = size};
    struct protobuf_field field;
    uint64_t rows = 0;
    int found;
    while ((found = protobuf_next(&reader, &field, err)) > 0 && rows <= LIMIT_VOCABULARY)
        rows += field.number == 1 && field.wire == PROTOBUF_BYTES;
    if (found < 0)
        return err_wrap(err, "tokenizer.model");
    if (rows == 0)
        return err_set(err, ERR_FORMAT, "tokenizer.model: it has no pieces");
    if (rows > LIMIT_VOCABULARY)
        return err_set(err, ERR_LIMIT, "tokenizer.model: more than %d pieces", LIMIT_VOCABULARY);
    *ret_rows = rows;
    return 0;
}

int model_vocabulary_rows_of(const char *model, uint64_t *ret_rows, struct err *err)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (fnmatch(known[i].model, model, 0) == 0) {
            *ret_rows = known[i].rows;
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "the vocabulary of %.200s is not known", model);
}
