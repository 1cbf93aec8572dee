#include "daemon/measure/scoring_tokenizer.h"

#include "daemon/base/limits.h"
#include "daemon/text/tokenizer_start.h"

#include <string.h>

/* In the order of struct tokenizer_config. */
static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"};

#define FILE_COUNT (sizeof names / sizeof names[0])

struct files {
    struct buf text[FILE_COUNT];
    int is_there[FILE_COUNT];
};

static int fetch(const struct scoring_request *request, struct files *files, struct err *err)
{
    const struct repository_tree *tree = request->tree;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        const struct repository_file *file = repository_tree_find(tree, names[i]);
        files->is_there[i] = file != NULL;
        if (file &&
            repository_fetch_file(request->repository, tree->commit, names[i], file, &files->text[i], err))
            return err->code;
    }
    return 0;
}

/* Of everything that the finding depends on, each with its size before it. */
static int add(struct digest *digest, const void *data, size_t size, struct err *err)
{
    uint64_t length = size;
    int code = digest_update(digest, &length, sizeof length, err);
    return code || size == 0 ? code : digest_update(digest, data, size, err);
}

static int make_key(const struct files *files, const struct buf *json, const struct model_config *model,
                    char *key, struct err *err)
{
    const char *class = model->tokenizer_class, *type = model->model_type;
    struct digest *digest = NULL;
    int code = digest_new(DIGEST_KIND_SHA256, &digest, err);
    if (!code && !(code = add(digest, json->data, json->size, err)))
        code = add(digest, class, strlen(class), err);
    if (!code)
        code = add(digest, type, strlen(type), err);
    for (size_t i = 0; i < FILE_COUNT && !code; i++) {
        code = add(digest, &files->is_there[i], sizeof files->is_there[i], err);
        if (!code)
            code = add(digest, files->text[i].data, files->text[i].size, err);
    }
    if (!code)
        code = digest_finish_hex(digest, key, DIGEST_SHA256_HEX_SIZE, err);
    digest_free(digest);
    return code;
}

static int check(const struct files *files, const struct buf *json, const struct model_config *model,
                 struct tokenizer_use *ret_use, struct err *err)
{
    const struct tokenizer_config config = {
        .config = files->is_there[0] ? &files->text[0] : NULL,
        .special_tokens_map = files->is_there[1] ? &files->text[1] : NULL,
        .added_tokens = files->is_there[2] ? &files->text[2] : NULL,
        .tokenizer_class = model->tokenizer_class,
        .model_type = model->model_type,
    };
    struct tokenizer *tokenizer = NULL;
    int code = tokenizer_load(json->data, json->size, &tokenizer, err);
    if (code)
        return code;
    code = tokenizer_config_check(&config, tokenizer, ret_use, err);
    tokenizer_free(tokenizer);
    if (code == ERR_UNSUPPORTED) {
        struct err reason = *err;
        code = err_set(
            err, ERR_UNSUPPORTED,
            "%s: transformers' versions do not all cut texts as tokenizer.json says; mend that file, or "
            "leave the metric perplexity out of the sweep",
            reason.message);
    }
    return code ? code
                : tokenizer_start_find(json, config.config, config.tokenizer_class, config.model_type,
                                       &ret_use->start_id, err);
}

/* Where the files name no token before a text, config.json does. */
static int complete(const struct scoring_request *request, const struct model_config *model,
                    struct tokenizer_use *use, struct err *err)
{
    if (request->takes_file)
        use->doubts &= ~(unsigned)TOKENIZER_DOUBT_BUILT;
    if (use->prefix_id == TOKENIZER_CONFIG_NO_PREFIX)
        use->prefix_id = model->bos_token_id >= 0 ? model->bos_token_id : model->eos_token_id;
    if (request->mode != PASSAGES_MODE_LAST_WORD)
        use->start_id = TOKENIZER_START_NONE;
    if (use->start_id != TOKENIZER_START_NONE && use->start_id != use->prefix_id)
        return err_set(
            err, ERR_UNSUPPORTED,
            "tokenizer.json: transformers' versions do not put the same tokens around each text, "
            "or others than one bos_token before it: correct its post_processor or the add_bos_token "
            "of tokenizer_config.json, take another mode, or leave the metric perplexity out of "
            "the sweep");
    if (use->prefix_id != TOKENIZER_CONFIG_FOREIGN_PREFIX || request->mode != PASSAGES_MODE_TEXT_MEAN)
        return 0;
    return err_set(
        err, ERR_UNSUPPORTED,
        "tokenizer_config.json: bos_token is not named, and \"%s\", which transformers takes instead, is "
        "not in tokenizer.json: name the token before a text there, or leave the metric perplexity "
        "out of the sweep",
        TOKENIZER_END);
}

int scoring_tokenizer_check(const struct scoring_request *request, const struct buf *json,
                            const struct model_config *model, struct tokenizer_use *ret_use, struct err *err)
{
    struct files files = {.is_there = {0}};
    char key[DIGEST_SHA256_HEX_SIZE];
    for (size_t i = 0; i < FILE_COUNT; i++)
        buf_init(&files.text[i], LIMIT_TOKENIZER_CONFIG_BYTES);
    int code = fetch(request, &files, err);
    if (!code)
        code = make_key(&files, json, model, key, err);
    if (!code && !passages_cache_find_use(request->passages, key, ret_use) &&
        !(code = check(&files, json, model, ret_use, err)))
        passages_cache_keep_use(request->passages, key, ret_use);
    for (size_t i = 0; i < FILE_COUNT; i++)
        buf_free(&files.text[i]);
    return code ? code : complete(request, model, ret_use, err);
}
