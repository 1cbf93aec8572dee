#include "daemon/text/config_added.h"

#include "daemon/text/config_names.h"
#include "daemon/text/json_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct added_token *find_added(const struct config_added *added, const json_t *content)
{
    return added_tokens_find(&added->tokenizer->added, json_string_value(content),
                             json_string_length(content));
}

/* A token that transformers would add to those of tokenizer.json. */
static int refuse_added(const json_t *content, struct err *err)
{
    const char *text = json_string_value(content);
    return err_set(err, ERR_UNSUPPORTED, "\"%.*s\" is not an added token of tokenizer.json",
                   json_field_shown_size(text, json_string_length(content)), text);
}

static int compare_added(const json_t *object, const struct added_token *token, struct err *err)
{
    int single_word, lstrip, rstrip, special, normalized;
    if (json_field_flag(object, "single_word", 0, &single_word, err) ||
        json_field_flag(object, "lstrip", 0, &lstrip, err) ||
        json_field_flag(object, "rstrip", 0, &rstrip, err) ||
        json_field_flag(object, "special", 0, &special, err) ||
        json_field_flag(object, "normalized", !special, &normalized, err))
        return err->code;
    const char *other = single_word != token->single_word ? "single_word"
                        : lstrip != token->lstrip         ? "lstrip"
                        : rstrip != token->rstrip         ? "rstrip"
                        : normalized != token->normalized ? "normalized"
                                                          : NULL;
    return other ? err_set(err, ERR_UNSUPPORTED, "%s differs from tokenizer.json", other) : 0;
}

static int check_decoded(const struct config_added *added, const char *key, const json_t *object,
                         struct err *err)
{
    const json_t *content = json_object_get(object, "content");
    char *end;
    if (!json_is_string(content))
        return err_set(err, ERR_FORMAT, "content: not a string");
    const struct added_token *token = find_added(added, content);
    if (!token)
        return refuse_added(content, err);
    unsigned long long id = strtoull(key, &end, 10);
    if (end == key || *end || id != token->id)
        return err_set(err, ERR_UNSUPPORTED, "the id in tokenizer.json is %" PRIu32, token->id);
    return compare_added(object, token, err);
}

int config_added_check_decoder(const struct config_added *added, struct err *err)
{
    const char *key;
    json_t *object;
    if (!added->decoder)
        return 0;
    if (!json_is_object(added->decoder))
        return err_set(err, ERR_FORMAT, "added_tokens_decoder: not an object");
    json_object_foreach(added->decoder, key, object)
    {
        if (check_decoded(added, key, object, err))
            return err_wrap(err, "added_tokens_decoder: %.*s", json_field_shown_size(key, strlen(key)), key);
    }
    /* Ids and contents are those of different tokens, so their number tells. */
    if (added->is_built && json_object_size(added->decoder) < added->tokenizer->added.count)
        return err_set(err, ERR_UNSUPPORTED, "added_tokens_decoder: lacks an added token of tokenizer.json");
    return 0;
}

static int check_named(void *context, const json_t *token, struct err *err)
{
    const struct config_added *added = context;
    const json_t *content = config_names_content(token);
    if (!content)
        return 0;
    const struct added_token *known = find_added(added, content);
    if (!known)
        return refuse_added(content, err);
    /* What stands in a list of added tokens counts before what the name says of it. */
    char key[24];
    (void)snprintf(key, sizeof key, "%" PRIu32, known->id);
    if (json_is_object(token) && added->decoder && !json_object_get(added->decoder, key))
        return compare_added(token, known, err);
    return 0;
}

int config_added_check_names(const struct config_added *added, json_t *object, struct err *err)
{
    return config_names_walk(object, check_named, (void *)(uintptr_t)added, err);
}

int config_added_check_file(const struct config_added *added, json_t *file, struct err *err)
{
    const char *content;
    json_t *id;
    json_object_foreach(file, content, id)
    {
        const struct added_token *token =
            added_tokens_find(&added->tokenizer->added, content, strlen(content));
        if (!token || !json_is_integer(id) || json_integer_value(id) != token->id)
            return err_set(err, ERR_UNSUPPORTED,
                           "\"%.*s\" is not an added token of tokenizer.json, or has another id there",
                           json_field_shown_size(content, strlen(content)), content);
    }
    return 0;
}
