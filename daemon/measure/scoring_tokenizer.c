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

/* -- The file itself ------------------------------------------------------------------------------------- */

void scoring_tokenizer_init(struct scoring_tokenizer *tokenizer)
{
    *tokenizer = (struct scoring_tokenizer){.is_sentencepiece = 0};
    buf_init(&tokenizer->file, LIMIT_TOKENIZER_JSON_BYTES);
}

void scoring_tokenizer_free(struct scoring_tokenizer *tokenizer)
{
    buf_free(&tokenizer->file);
}

/* Where a revision has none: of what older repositories and trainers have, transformers makes one. */
static int refuse_absent(const struct repository_tree *tree, struct err *err)
{
    if (!repository_tree_find(tree, "vocab.json"))
        return err_set(
            err, ERR_NOT_FOUND,
            "the revision has neither tokenizer.json nor tokenizer.model, one of which scoring needs");
    return err_set(err, ERR_NOT_FOUND,
                   "the revision has no tokenizer.json, which scoring needs, but vocab.json, of which "
                   "transformers writes one: in a copy of the revision, "
                   "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)");
}

/* Offline a part of the files is known; what is not in the cache may well be in the revision. */
static int refuse_unlisted(const struct scoring_request *request, const char *path, struct err *err)
{
    struct source *source = NULL;
    int code = repository_open_file(request->repository, request->tree->commit, path, NULL, &source, err);
    source_close(source);
    return code ? code : err_set(err, ERR_MISMATCH, "%s: it is there now, and was not a moment ago", path);
}

int scoring_tokenizer_fetch(const struct scoring_request *request, struct scoring_tokenizer *tokenizer,
                            struct err *err)
{
    const struct repository_tree *tree = request->tree;
    const char *path = "tokenizer.json";
    const struct repository_file *file = repository_tree_find(tree, path);
    if (!file) {
        file = repository_tree_find(tree, path = "tokenizer.model");
        tokenizer->is_sentencepiece = 1;
        tokenizer->file.max = LIMIT_SENTENCEPIECE_BYTES;
    }
    if (!file && tree->is_partial)
        return refuse_unlisted(request, "tokenizer.json", err);
    if (!file)
        return refuse_absent(tree, err);
    return repository_fetch_file(request->repository, tree->commit, path, file, &tokenizer->file, err);
}

int scoring_tokenizer_load(const struct scoring_tokenizer *file, struct tokenizer **ret_tokenizer,
                           struct err *err)
{
    const struct buf *bytes = &file->file;
    return file->is_sentencepiece ? tokenizer_load_sentencepiece(bytes->data, bytes->size, ret_tokenizer, err)
                                  : tokenizer_load(bytes->data, bytes->size, ret_tokenizer, err);
}

/* -- What stands beside it ------------------------------------------------------------------------------- */

static int fetch(const struct scoring_request *request, struct files *files, struct err *err)
{
    const struct repository_tree *tree = request->tree;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        const struct repository_file *file = repository_tree_find(tree, names[i]);
        files->is_there[i] = file != NULL;
        if (i == 0 && !file && tree->is_partial) /* hardly any is without, and texts are cut by it */
            return refuse_unlisted(request, names[i], err);
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

static int make_key(const struct files *files, const struct scoring_tokenizer *file,
                    const struct model_config *model, char *key, struct err *err)
{
    const char *class = model->tokenizer_class, *type = model->model_type;
    struct digest *digest = NULL;
    int code = digest_new(DIGEST_KIND_SHA256, &digest, err);
    if (!code && !(code = add(digest, file->file.data, file->file.size, err)) &&
        !(code = add(digest, &file->is_sentencepiece, sizeof file->is_sentencepiece, err)))
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

static int refuse_json(struct err *err)
{
    struct err reason = *err;
    return err_set(
        err, ERR_UNSUPPORTED,
        "%s: transformers' versions do not all cut texts as tokenizer.json says; mend that file, or "
        "leave the metric perplexity out of the sweep",
        reason.message);
}

static int refuse_sentencepiece(struct err *err)
{
    struct err reason = *err;
    return err_set(
        err, ERR_UNSUPPORTED,
        "%s: the revision has no tokenizer.json, and texts may not be cut as its tokenizer.model says; "
        "score a copy in a folder with that file mended or with a tokenizer.json, or leave the metric "
        "perplexity out of the sweep",
        reason.message);
}

static int check_json(const struct tokenizer_config *config, const struct buf *json,
                      const struct tokenizer *tokenizer, struct tokenizer_use *ret_use, struct err *err)
{
    int code = tokenizer_config_check(config, tokenizer, ret_use, err);
    if (code == ERR_UNSUPPORTED)
        return refuse_json(err);
    return code ? code
                : tokenizer_start_find(json, config->config, config->tokenizer_class, config->model_type,
                                       &ret_use->start_id, err);
}

static int check(const struct files *files, const struct scoring_tokenizer *file,
                 const struct model_config *model, struct tokenizer_use *ret_use, struct err *err)
{
    const struct tokenizer_config config = {
        .config = files->is_there[0] ? &files->text[0] : NULL,
        .special_tokens_map = files->is_there[1] ? &files->text[1] : NULL,
        .added_tokens = files->is_there[2] ? &files->text[2] : NULL,
        .tokenizer_class = model->tokenizer_class,
        .model_type = model->model_type,
    };
    struct tokenizer *tokenizer = NULL;
    int code = scoring_tokenizer_load(file, &tokenizer, err);
    if (!code && file->is_sentencepiece)
        code = tokenizer_config_check_sentencepiece(&config, tokenizer, ret_use, err);
    else if (!code)
        code = check_json(&config, &file->file, tokenizer, ret_use, err);
    tokenizer_free(tokenizer);
    return code == ERR_UNSUPPORTED && file->is_sentencepiece ? refuse_sentencepiece(err) : code;
}

/* The tokens of the file alone, whatever classes and versions make of it. */
static void take_file(struct tokenizer_use *use)
{
    use->doubts &= ~(unsigned)(TOKENIZER_DOUBT_BUILT | TOKENIZER_DOUBT_CONTROLS);
    use->foreign[0] = 0;
}

static int refuse_start(int is_sentencepiece, struct err *err)
{
    if (is_sentencepiece)
        return err_set(
            err, ERR_UNSUPPORTED,
            "tokenizer_config.json: add_bos_token is not said, and transformers 4 puts a token before "
            "each text, but 5 none; or it is true, and bos_token no piece: correct that file in a copy, "
            "take another mode, or leave the metric perplexity out of the sweep");
    return err_set(err, ERR_UNSUPPORTED,
                   "tokenizer.json: transformers' versions do not put the same tokens around each text, "
                   "or others than one bos_token before it: correct its post_processor or the add_bos_token "
                   "of tokenizer_config.json, take another mode, or leave the metric perplexity out of "
                   "the sweep");
}

/* Where the files name no token before a text, config.json does. */
static int complete(const struct scoring_request *request, const struct model_config *model,
                    int is_sentencepiece, struct tokenizer_use *use, struct err *err)
{
    if (request->takes_file)
        take_file(use);
    if (use->prefix_id == TOKENIZER_CONFIG_NO_PREFIX)
        use->prefix_id = model->bos_token_id >= 0 ? model->bos_token_id : model->eos_token_id;
    if (request->mode != PASSAGES_MODE_LAST_WORD)
        use->start_id = TOKENIZER_START_NONE;
    if (use->start_id != TOKENIZER_START_NONE && use->start_id != use->prefix_id)
        return refuse_start(is_sentencepiece, err);
    if (use->prefix_id != TOKENIZER_CONFIG_FOREIGN_PREFIX || request->mode != PASSAGES_MODE_TEXT_MEAN)
        return 0;
    return err_set(
        err, ERR_UNSUPPORTED,
        "tokenizer_config.json: bos_token is not named, and \"%s\", which transformers takes instead, is "
        "not in tokenizer.json: name the token before a text there, or leave the metric perplexity "
        "out of the sweep",
        TOKENIZER_END);
}

int scoring_tokenizer_check(const struct scoring_request *request, const struct scoring_tokenizer *tokenizer,
                            const struct model_config *model, struct tokenizer_use *ret_use, struct err *err)
{
    struct files files = {.is_there = {0}};
    char key[DIGEST_SHA256_HEX_SIZE];
    for (size_t i = 0; i < FILE_COUNT; i++)
        buf_init(&files.text[i], LIMIT_TOKENIZER_CONFIG_BYTES);
    int code = fetch(request, &files, err);
    if (!code)
        code = make_key(&files, tokenizer, model, key, err);
    if (!code && !passages_cache_find_use(request->passages, key, ret_use) &&
        !(code = check(&files, tokenizer, model, ret_use, err)))
        passages_cache_keep_use(request->passages, key, ret_use);
    for (size_t i = 0; i < FILE_COUNT; i++)
        buf_free(&files.text[i]);
    return code ? code : complete(request, model, tokenizer->is_sentencepiece, ret_use, err);
}
