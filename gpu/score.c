#include "gpu/score.h"

#include "daemon/base/checked.h"
#include "gpu/score_architecture.h"
#include "gpu/score_plan.h"

#include <stdlib.h>

static int check_document(const struct score_config *config, const struct score_request *request, size_t i,
                          struct err *err)
{
    uint64_t length = request->length[i], first = request->target_first[i], count = request->target_count[i];
    unsigned long long number = (unsigned long long)i + 1;
    if (length < 2 || !checked_range_within(request->begin[i], length, request->token_count))
        return err_set(err, ERR_INVALID, "document %llu: %llu tokens from %llu on are not within the %zu",
                       number, (unsigned long long)length, (unsigned long long)request->begin[i],
                       request->token_count);
    if (length - 1 > config->max_positions)
        return err_set(err, ERR_INVALID, "document %llu: %llu inputs exceed the context of %llu", number,
                       (unsigned long long)length - 1, (unsigned long long)config->max_positions);
    if (first < 1 || count < 1 || !checked_range_within(first, count, length))
        return err_set(err, ERR_INVALID,
                       "document %llu: targets %llu to %llu are not within tokens 1 to %llu", number,
                       (unsigned long long)first, (unsigned long long)(first + count) - 1,
                       (unsigned long long)length - 1);
    return 0;
}

int score_request_check(const struct score_config *config, const struct score_request *request,
                        size_t *ret_target_total, struct err *err)
{
    uint64_t total = 0;
    if (request->document_count > LIMIT_PASSAGES || request->token_count > LIMIT_PASSAGE_TOKENS)
        return err_set(err, ERR_LIMIT, "%zu documents of %zu tokens are more than can be scored at once",
                       request->document_count, request->token_count);
    for (size_t i = 0; i < request->document_count; i++) {
        int code = check_document(config, request, i, err);
        if (code)
            return code;
        const uint32_t *tokens = request->tokens + request->begin[i];
        for (uint32_t j = 0; j < request->length[i]; j++)
            if (tokens[j] >= config->vocabulary_rows)
                return err_set(err, ERR_INVALID,
                               "document %zu: token id %u exceeds the model's vocabulary of %llu; is the "
                               "tokenizer another model's?",
                               i + 1, tokens[j], (unsigned long long)config->vocabulary_rows);
        total += request->target_count[i];
    }
    if (ret_target_total)
        *ret_target_total = (size_t)total;
    return 0;
}

int score_result_init(struct score_result *result, size_t target_total, struct err *err)
{
    struct score_result made = {.target_total = target_total};
    made.logprobs = calloc(target_total + 1, sizeof(*made.logprobs));
    made.is_argmax = calloc(target_total + 1, sizeof(*made.is_argmax));
    if (!made.logprobs || !made.is_argmax) {
        score_result_free(&made);
        return err_set(err, ERR_NO_MEMORY, "no memory for the results of %zu tokens", target_total);
    }
    *result = made;
    return 0;
}

void score_result_free(struct score_result *result)
{
    if (!result)
        return;
    free(result->logprobs);
    free(result->is_argmax);
    *result = (struct score_result){.logprobs = NULL};
}

/* How many keys the queries of the first `inputs` positions see together. */
static double pairs_of(double inputs, double window)
{
    const double slid = window > 0 && inputs > window ? inputs - window : 0;
    return (inputs - slid) * (inputs - slid + 1) / 2 + slid * window;
}

double score_flops(const struct score_config *config, const struct score_request *request)
{
    const struct score_architecture *architecture;
    struct err err = ERR_INIT;
    if (score_architecture_find(config->architecture, &architecture, &err))
        return 0;
    double d = (double)config->hidden_size, q = (double)score_query_width(config);
    double keys_and_values = 2 * d * 2 * (double)score_key_value_width(config); /* of an input */
    const double matrices = architecture->has_gate ? 3 : 2;
    const double head = architecture->names[SCORE_ROLE_HEAD_WEIGHT] ? d : 0;
    double flops = 0;
    for (size_t i = 0; i < request->document_count; i++) {
        double inputs = (double)score_plan_document_inputs(request, i);
        double targets = request->target_count[i];
        /* A row of attention meets the keys that it sees: 2 q for the score and 2 q for the sum of each. */
        for (uint64_t layer = 0; layer < config->layer_count; layer++) {
            const double window = (double)score_layer_window(config, layer);
            const int is_last = layer + 1 == config->layer_count;
            double mlp = matrices * d * (double)score_mlp_size(config, layer);
            if (score_layer_has_experts(config, layer))
                mlp += (double)config->experts_per_input * matrices * d * (double)config->intermediate_size +
                       d * (double)config->expert_count;
            flops += inputs * keys_and_values + (is_last ? targets : inputs) * 2 * (d * q + q * d + mlp);
            flops += 4 * q * (pairs_of(inputs, window) - (is_last ? pairs_of(inputs - targets, window) : 0));
        }
        flops += targets * 2 * d * ((double)config->vocabulary_rows + head);
    }
    return flops;
}
