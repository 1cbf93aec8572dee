#include "daemon/text/tokenizer.h"

#include "daemon/text/tokenizer_parts.h"

#include <stdlib.h>

typedef int read_file(const void *data, size_t size, struct tokenizer *tokenizer, struct err *err);

static int load(const void *data, size_t size, read_file *read, const char *name,
                struct tokenizer **ret_tokenizer, struct err *err)
{
    struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
    vocabulary_init(&tokenizer->vocabulary);
    added_tokens_init(&tokenizer->added);
    added_tokens_init(&tokenizer->controls);
    if (read(data, size, tokenizer, err)) {
        tokenizer_free(tokenizer);
        return err_wrap(err, "%s", name);
    }
    *ret_tokenizer = tokenizer;
    return 0;
}

int tokenizer_load(const void *json, size_t size, struct tokenizer **ret_tokenizer, struct err *err)
{
    return load(json, size, tokenizer_json_read, "tokenizer.json", ret_tokenizer, err);
}

int tokenizer_load_sentencepiece(const void *data, size_t size, struct tokenizer **ret_tokenizer,
                                 struct err *err)
{
    return load(data, size, tokenizer_sentencepiece_read, "tokenizer.model", ret_tokenizer, err);
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    vocabulary_free(&tokenizer->vocabulary);
    merges_free(&tokenizer->merges);
    added_tokens_free(&tokenizer->added);
    added_tokens_free(&tokenizer->controls);
    sentencepiece_free(tokenizer->sentencepiece);
    free(tokenizer->sentencepiece);
    pre_tokenizer_free(&tokenizer->pre_tokenizer);
    free(tokenizer);
}

uint32_t tokenizer_id_limit(const struct tokenizer *tokenizer)
{
    return tokenizer->id_limit;
}

int tokenizer_find(const struct tokenizer *tokenizer, const char *token, size_t size, uint32_t *ret_id)
{
    const struct added_token *added = added_tokens_find(&tokenizer->added, token, size);
    if (!added)
        return vocabulary_find(&tokenizer->vocabulary, token, size, ret_id);
    *ret_id = added->id;
    return 1;
}
