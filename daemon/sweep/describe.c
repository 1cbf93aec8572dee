#include "daemon/sweep/describe.h"

#include "daemon/base/limits.h"
#include "daemon/hub/hub.h"
#include "daemon/model/config.h"
#include "daemon/model/config_scoring.h"
#include "daemon/model/parameters.h"
#include "daemon/model/role.h"
#include "daemon/model/vocabulary.h"
#include "daemon/sweep/revision_source.h"

#include <stdio.h>
#include <string.h>

/* Whether a file is absent or odd for good, so that what it would tell has to be guessed. A fault that may
 * pass (the network, memory, the disk) is none: a guess would stay for as long as the model is known. */
static int is_silent(int code)
{
    return code == ERR_NOT_FOUND || code == ERR_FORMAT || code == ERR_UNSUPPORTED || code == ERR_LIMIT ||
           code == ERR_INVALID;
}

/* Whether a file may well be there, but not in the cache, which is all that may be asked now: what is told
 * without it would be a guess. */
static int is_out_of_reach(struct revision_source *source, const char *path, int code)
{
    return code == ERR_NOT_FOUND && hub_is_offline(source->repository) &&
           revision_source_may_have(source, path);
}

/* An absent or odd config.json only means that less is known. */
static int read_config(struct revision_source *source, struct model_config *config, struct err *err)
{
    struct buf text;
    struct err reason = ERR_INIT;
    buf_init(&text, LIMIT_CONFIG_JSON_BYTES);
    *config = (struct model_config){0};
    int code = revision_source_fetch(source, "config.json", &text, &reason);
    if (!code)
        code = model_config_parse(buf_text(&text), text.size, config, &reason);
    buf_free(&text);
    if (code && (!is_silent(code) || is_out_of_reach(source, "config.json", code))) {
        *err = reason;
        return code;
    }
    if (code)
        *config = (struct model_config){0};
    return 0;
}

/* By tokenizer.json, or else by tokenizer.model. Where either may be out of reach, the first is told of. */
static int count_by_tokenizer(struct revision_source *source, struct buf *text, uint64_t *ret_rows,
                              struct err *err)
{
    struct err reason = ERR_INIT;
    int code = revision_source_fetch(source, "tokenizer.json", text, err);
    if (!code)
        return model_vocabulary_count_rows(buf_text(text), text->size, ret_rows, err);
    if (code != ERR_NOT_FOUND)
        return code;
    text->max = LIMIT_SENTENCEPIECE_BYTES;
    code = revision_source_fetch(source, "tokenizer.model", text, &reason);
    if (!code)
        return model_vocabulary_count_pieces(text->data, text->size, ret_rows, err);
    if (code != ERR_NOT_FOUND || !revision_source_may_have(source, "tokenizer.json"))
        *err = reason;
    return code;
}

/* How many rows are real tokens: by the tokenizer, by the model's name, or else all. */
static int count_token_rows(struct revision_source *source, const char *model, uint64_t rows,
                            uint64_t *ret_token_rows, struct err *err)
{
    struct buf text;
    struct err reason = ERR_INIT, ignored = ERR_INIT;
    uint64_t token_rows = 0;
    buf_init(&text, LIMIT_TOKENIZER_JSON_BYTES);
    int code = count_by_tokenizer(source, &text, &token_rows, &reason);
    buf_free(&text);
    if (code && !is_silent(code)) {
        *err = reason;
        return code;
    }
    if (code && model_vocabulary_rows_of(model, &token_rows, &ignored)) {
        token_rows = rows;
        if (is_out_of_reach(source, "tokenizer.json", code) ||
            is_out_of_reach(source, "tokenizer.model", code)) {
            *err = reason;
            return code;
        }
    }
    *ret_token_rows = token_rows < rows ? token_rows : rows;
    return 0;
}

/* By config.json, or else by the shapes in the checkpoint; 0 where neither tells. */
static int count_parameters(const struct model_config *config, struct checkpoint *checkpoint,
                            const char *unembedding, uint64_t *ret_count, struct err *err)
{
    struct err reason = ERR_INIT;
    *ret_count = 0;
    if (model_config_parameter_count(config, ret_count, &reason) == 0)
        return 0;
    int code = model_parameters_count(config, checkpoint, unembedding, ret_count, &reason);
    if (code && !is_silent(code)) {
        *err = reason;
        return code;
    }
    if (code || *ret_count > INT64_MAX)
        *ret_count = 0;
    return 0;
}

static int fill_in(struct revision_source *source, const char *model, struct model_row *row, struct err *err)
{
    struct model_config config;
    struct checkpoint *checkpoint = NULL;
    struct checkpoint_tensor tensor;
    const char *name = NULL;
    uint64_t parameters = 0, rows = 0, columns = 0, token_rows = 0;
    int code = read_config(source, &config, err);
    if (!code)
        code = revision_source_open_checkpoint(source, &checkpoint, err);
    if (!code)
        code = model_role_find(&config, checkpoint, MODEL_ROLE_UNEMBEDDING, &name, err);
    if (!code)
        code = checkpoint_find(checkpoint, name, &tensor, err);
    if (code)
        goto out;
    tensor_matrix(&tensor.shape, &rows, &columns);
    code = count_token_rows(source, model, rows, &token_rows, err);
    if (!code)
        code = count_parameters(&config, checkpoint, name, &parameters, err);
    if (code)
        goto out;
    (void)snprintf(row->model_type, sizeof row->model_type, "%.63s", config.model_type);
    (void)snprintf(row->tensor, sizeof row->tensor, "%s", name);
    row->vocabulary_size = (int64_t)rows;
    row->hidden_size = (int64_t)columns;
    row->token_rows = (int64_t)token_rows;
    row->layers = (int64_t)config.layer_count;
    row->parameter_count = (int64_t)parameters;
out:
    checkpoint_close(checkpoint);
    return code;
}

int describe_model(struct store *store, struct repository *repository, int64_t model_id,
                   const struct revision_row *revision, struct model_row *model, struct err *err)
{
    struct revision_source source;
    int code = models_get(store, model_id, model, err);
    if (code || model->tensor[0])
        return code;
    code = revision_source_open(&source, store, repository, revision, err);
    if (!code) {
        code = fill_in(&source, model->name, model, err);
        revision_source_close(&source);
    }
    if (code)
        return err_wrap(err, "revision %s", revision->name);
    return models_describe(store, model, err);
}

int64_t describe_expected_bytes(const struct model_row *model, int is_whole)
{
    /* Published checkpoints are 16 bits wide; the estimate is replaced by what was fetched. */
    if (is_whole)
        return model->parameter_count > 0 && model->parameter_count <= INT64_MAX / 2
                   ? 2 * model->parameter_count
                   : 0;
    if (model->vocabulary_size <= 0 || model->hidden_size <= 0 || model->hidden_size > INT64_MAX / 2 ||
        model->vocabulary_size > INT64_MAX / (2 * model->hidden_size))
        return 0;
    return model->vocabulary_size * model->hidden_size * 2;
}
