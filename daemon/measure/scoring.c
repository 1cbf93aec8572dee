#include "daemon/measure/scoring.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/measure/scoring_config.h"
#include "daemon/measure/scoring_identity.h"
#include "daemon/measure/scoring_passages.h"
#include "daemon/measure/scoring_tokenizer.h"
#include "daemon/measure/scoring_weights.h"
#include "daemon/model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scoring {
    struct scoring_request request;
    struct scoring_identity identity;
    struct model_config model;
    struct score_config config;
    struct tokenizer_use use;
    struct scoring_tokenizer tokenizer;
    struct scoring_weights weights;
    const struct passages *passages; /* of the request's cache; NULL before scoring_fetch */
    struct score_result result;
    int is_fetched;
};

/* -- The revision's files -------------------------------------------------------------------------- */

static int fetch_text(const struct scoring *scoring, const char *path, struct buf *buf, struct err *err)
{
    const struct repository_tree *tree = scoring->request.tree;
    const struct repository_file *file = repository_tree_find(tree, path);
    if (!file)
        return err_set(err, ERR_NOT_FOUND, "the revision has no %s, which scoring needs", path);
    return repository_fetch_file(scoring->request.repository, tree->commit, path, file, buf, err);
}

static int read_config(struct scoring *scoring, struct err *err)
{
    struct model_config *model = &scoring->model;
    struct buf json;
    buf_init(&json, LIMIT_CONFIG_JSON_BYTES);
    int code = fetch_text(scoring, "config.json", &json, err);
    if (!code && ((code = model_config_parse(json.data, json.size, model, err)) ||
                  (code = scoring_config_of(model, &scoring->config, err))))
        (void)err_wrap(err, "config.json");
    buf_free(&json);
    return code;
}

static int read_files(struct scoring *scoring, struct err *err)
{
    struct scoring_tokenizer *tokenizer = &scoring->tokenizer;
    int code = read_config(scoring, err);
    if (!code)
        code = scoring_tokenizer_fetch(&scoring->request, tokenizer, err);
    if (!code)
        code = digest_sha256_hex(tokenizer->file.data, tokenizer->file.size,
                                 scoring->identity.tokenizer_digest, err);
    return code ? code
                : scoring_tokenizer_check(&scoring->request, tokenizer, &scoring->model, &scoring->use, err);
}

static enum score_mode score_mode_of(enum passages_mode mode)
{
    switch (mode) {
    case PASSAGES_MODE_TOKENS:
        return SCORE_MODE_TOKENS;
    case PASSAGES_MODE_TEXT_MEAN:
        return SCORE_MODE_TEXT_MEAN;
    case PASSAGES_MODE_LAST_WORD:
        break;
    }
    return SCORE_MODE_LAST_WORD;
}

/* -- The verbs ------------------------------------------------------------------------------------- */

/* Called again, it does nothing. */
static int acquire_passages(struct scoring *scoring, struct err *err)
{
    struct scoring_texts texts = {.request = &scoring->request,
                                  .identity = &scoring->identity,
                                  .tokenizer = &scoring->tokenizer,
                                  .context_tokens = (uint32_t)scoring->config.max_positions,
                                  .prefix_id = scoring->use.prefix_id >= 0 ? scoring->use.prefix_id
                                                                           : PASSAGES_NO_PREFIX,
                                  .starts_with_prefix = scoring->use.start_id >= 0,
                                  .doubts = scoring->use.doubts,
                                  .foreign = scoring->use.foreign};
    return scoring->passages ? 0 : scoring_passages_acquire(&texts, &scoring->passages, err);
}

int scoring_open(const struct scoring_request *request, struct scoring **ret_scoring, struct err *err)
{
    struct scoring *scoring = calloc(1, sizeof *scoring);
    if (!scoring)
        return err_set(err, ERR_NO_MEMORY, "no memory to score a revision");
    scoring->request = *request;
    scoring_tokenizer_init(&scoring->tokenizer);
    scoring->identity.mode = score_mode_of(request->mode);
    scoring->identity.definition = SCORE_DEFINITION;
    int code = read_files(scoring, err);
    if (scoring->config.max_positions > SCORING_WINDOW_MAX && !scoring->request.window_tokens)
        scoring->request.window_tokens = SCORING_WINDOW_MAX;
    if (code || (code = scoring_weights_open(&scoring->weights, &scoring->request, &scoring->config, err)) ||
        (code = scoring_weights_digest(&scoring->weights, scoring->identity.weights_digest, err)) ||
        (code = file_digests_get(request->digests, request->data, request->cancel,
                                 scoring->identity.dataset_digest, err)) ||
        (code = scoring_identity_write_parameters(&scoring->request, &scoring->config, &scoring->use,
                                                  scoring->identity.parameters,
                                                  sizeof scoring->identity.parameters, err)) ||
        ((scoring->use.doubts || scoring->use.foreign[0]) && (code = acquire_passages(scoring, err)))) {
        scoring_close(scoring);
        return code;
    }
    *ret_scoring = scoring;
    return 0;
}

const struct scoring_identity *scoring_identity(const struct scoring *scoring)
{
    return &scoring->identity;
}

const struct score_config *scoring_model(const struct scoring *scoring)
{
    return &scoring->config;
}

int scoring_list_files(const struct scoring *scoring, struct revision_file_row **ret_files, size_t *ret_count,
                       struct err *err)
{
    return scoring_weights_list_files(&scoring->weights, ret_files, ret_count, err);
}

static struct score_request request_of(const struct passages *passages)
{
    return (struct score_request){
        .tokens = passages->tokens,
        .token_count = passages->token_count,
        .document_count = passages->count,
        .begin = passages->begin,
        .length = passages->length,
        .target_first = passages->target_first,
        .target_count = passages->target_count,
    };
}

int scoring_fetch(struct scoring *scoring, struct err *err)
{
    int code;
    size_t target_total = 0;
    if (scoring->is_fetched)
        return 0;
    if ((code = acquire_passages(scoring, err)))
        return code;
    struct score_request request = request_of(scoring->passages);
    if ((code = score_request_check(&scoring->config, &request, &target_total, err)) ||
        (code = score_result_init(&scoring->result, target_total, err)) ||
        (code = scoring_weights_fetch(&scoring->weights, err)))
        return code;
    scoring->is_fetched = 1;
    return 0;
}

/* A device keeps room for the longest document that may come: here the longest that there is, which for a
 * context of a hundred thousand tokens makes gigabytes of difference. */
static struct score_config config_of(const struct scoring *scoring)
{
    struct score_config config = scoring->config;
    uint32_t longest = 2;
    for (size_t i = 0; i < scoring->passages->count; i++)
        longest = scoring->passages->length[i] > longest ? scoring->passages->length[i] : longest;
    if (longest - 1 < config.max_positions)
        config.max_positions = longest - 1;
    return config;
}

static void note_moved(void *pulse)
{
    pulse_beat_for(pulse);
}

int scoring_run(struct scoring *scoring, struct device_turns *turns, enum score_precision precision,
                int is_alone, struct scoring_outcome *ret_outcome, struct err *err)
{
    struct scoring_outcome outcome = {0};
    if (!scoring->is_fetched)
        return err_set(err, ERR_INTERNAL, "scoring without scoring_fetch");
    struct score_model_source source = {
        .config = config_of(scoring),
        .tensors = scoring->weights.tensors,
        .tensor_count = scoring->weights.count,
        .precision = precision,
        .memory_budget_bytes = scoring->request.memory_budget_bytes,
        .watch = {.cancel = scoring->request.cancel, .moved = note_moved, .context = pulse_own()}};
    struct device_turn turn;
    struct score_request request = request_of(scoring->passages);
    int code = device_turns_load(turns, is_alone, &source, &turn, err);
    if (code)
        return code;
    double begin_s = clock_monotonic_s();
    code = device_turns_score(turns, &turn, &request, &scoring->result, err);
    outcome.score_seconds = clock_monotonic_s() - begin_s;
    outcome.load_seconds = turn.load_seconds;
    device_turns_unload(turns, &turn);
    if (code)
        return code;
    score_summarize(scoring->identity.mode, &request, &scoring->result, &outcome.summary);
    outcome.text_count = scoring->passages->text_count;
    outcome.skipped_count = scoring->passages->skipped_count;
    outcome.truncated_count = scoring->passages->truncated_count;
    outcome.input_count = scoring->result.input_count;
    outcome.flops = scoring->result.flops;
    outcome.memory_bytes = scoring->result.memory_bytes;
    *ret_outcome = outcome;
    return 0;
}

int scoring_has_overflowed(const struct scoring *scoring, const struct scoring_outcome *outcome)
{
    int is_finite = outcome->summary.nan_count > 0;
    for (size_t i = 0; i < scoring->weights.count && is_finite; i++) {
        is_finite = tensor_is_finite(&scoring->weights.tensors[i].view);
        pulse_beat();
    }
    return is_finite;
}

const struct passages *scoring_passages(const struct scoring *scoring)
{
    return scoring->passages;
}

const struct score_result *scoring_result(const struct scoring *scoring)
{
    return &scoring->result;
}

void scoring_close(struct scoring *scoring)
{
    if (!scoring)
        return;
    score_result_free(&scoring->result);
    if (scoring->passages)
        passages_cache_give_back(scoring->request.passages, scoring->passages);
    scoring_weights_close(&scoring->weights);
    scoring_tokenizer_free(&scoring->tokenizer);
    free(scoring);
}
