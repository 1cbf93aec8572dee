#include "daemon/measure/scoring_passages.h"

#include "daemon/text/tokenizer_encoder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES                                                                                            \
    (2 * DIGEST_SHA256_HEX_SIZE + SCORING_PARAMETERS_BYTES + TOKENIZER_CONFIG_FOREIGN_BYTES + 128)

/* Everything that the passages depend on. The parameters hold kind, field, limit, window and stride, but not
 * in each mode the context. */
static void make_key(const struct scoring_texts *texts, char *key, size_t size)
{
    const struct scoring_identity *identity = texts->identity;
    (void)snprintf(key, size, "%s %s %s %" PRIu32 " %" PRId64 " %u %s%s", identity->dataset_digest,
                   identity->tokenizer_digest, passages_mode_name(texts->request->mode),
                   texts->context_tokens, texts->prefix_id, texts->doubts, texts->foreign,
                   identity->parameters);
}

static int add_texts(const struct scoring_request *request, struct dataset *dataset,
                     struct passages_builder *builder, struct err *err)
{
    for (;;) {
        const char *text;
        size_t size;
        int code = dataset_next(dataset, &text, &size, err);
        if (code || !text)
            return code;
        if (passages_builder_add(builder, text, size, err))
            return err_wrap(err, "%s", request->data->name);
    }
}

/* A local file may be rewritten between the reading that its digest comes from and this one. */
static int check_digest(const struct scoring_texts *texts, struct dataset *dataset, struct err *err)
{
    char digest[DIGEST_SHA256_HEX_SIZE];
    int code = dataset_digest(dataset, digest, err);
    if (!code && strcmp(digest, texts->identity->dataset_digest) != 0)
        code = err_set(err, ERR_MISMATCH, "%s changed while it was read: score again once it is complete",
                       texts->request->data->name);
    return code;
}

static int build(const struct scoring_texts *texts, struct tokenizer *tokenizer,
                 struct passages *ret_passages, struct err *err)
{
    const struct scoring_request *request = texts->request;
    struct tokenizer_encoder *encoder = NULL;
    struct passages_builder *builder = NULL;
    struct dataset *dataset = NULL;
    struct dataset_options reading = request->dataset;
    struct passages_options options = {
        .mode = request->mode,
        .context_tokens = texts->context_tokens,
        .window_tokens = request->window_tokens,
        .stride_tokens = request->stride_tokens,
        .prefix_id = texts->prefix_id,
        .starts_with_prefix = texts->starts_with_prefix,
    };
    reading.cancel = request->cancel;
    int code = tokenizer_encoder_new(tokenizer, &encoder, err);
    if (!code) {
        tokenizer_encoder_set_cancel(encoder, request->cancel);
        code = tokenizer_encoder_set_doubts(encoder, texts->doubts, err);
    }
    if (!code)
        code = tokenizer_encoder_set_foreign(encoder, texts->foreign, err);
    if (!code)
        code = passages_builder_new(&options, encoder, &builder, err);
    if (!code)
        code = dataset_open(request->data, &reading, &dataset, err);
    if (!code)
        code = add_texts(request, dataset, builder, err);
    if (!code)
        code = check_digest(texts, dataset, err);
    if (!code)
        code = passages_builder_finish(builder, ret_passages, err);
    dataset_close(dataset);
    passages_builder_free(builder);
    tokenizer_encoder_free(encoder);
    return code;
}

static int make_passages(const struct scoring_texts *texts, struct passages *ret_passages, struct err *err)
{
    struct tokenizer *tokenizer = NULL;
    int code = scoring_tokenizer_load(texts->tokenizer, &tokenizer, err);
    if (code)
        return code;
    code = build(texts, tokenizer, ret_passages, err);
    tokenizer_free(tokenizer);
    return code;
}

static int find_or_make(const struct scoring_texts *texts, const char *key,
                        const struct passages **ret_passages, struct err *err)
{
    struct passages made = {.tokens = NULL};
    struct passages_cache *cache = texts->request->passages;
    if ((*ret_passages = passages_cache_find(cache, key)))
        return 0;
    int code = make_passages(texts, &made, err);
    return code ? code : passages_cache_keep(cache, key, &made, ret_passages, err);
}

/* The tasks of a sweep all want the same texts when it begins. */
int scoring_passages_acquire(const struct scoring_texts *texts, const struct passages **ret_passages,
                             struct err *err)
{
    const struct scoring_request *request = texts->request;
    char key[KEY_BYTES];
    struct keyed_lock own = {.name = key};
    make_key(texts, key, sizeof key);
    int code = passages_cache_lock(request->passages, &own, request->cancel, err);
    if (code)
        return code;
    code = find_or_make(texts, key, ret_passages, err);
    passages_cache_unlock(request->passages, &own);
    return code;
}
