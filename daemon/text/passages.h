/*
 * Passages: texts turned into what a forward pass scores.
 *
 * A passage is a run of tokens of which a range is scored. Its n tokens make n - 1 inputs: the model reads
 * tokens 0..n-2, and the logits at input i predict token i + 1. So the scored tokens [target_first,
 * target_first + target_count) lie in [1, n), and token j is predicted by input j - 1. The inputs of a
 * passage never exceed the context. Everything is in flat arrays, ready for a packed forward pass; passages
 * that share tokens (overlapping windows) point into the same part of `tokens`.
 *
 * Three ways to make them:
 *
 * `last_word` is lm-evaluation-harness's lambada_openai, one passage per text. The target is ' ' and what
 * follows the last space, the context is what precedes it; white space at the end of the context moves to the
 * target. Both are tokenised together, and the target's tokens are those after the first
 * len(tokens(context)). No BOS, unless the tokenizer puts it before each text; an empty context becomes the
 * prefix token, unless the target begins with it. Left truncation to context + 1 tokens.
 * (lm_eval/tasks/lambada/lambada_openai.yaml, lm_eval/api/model.py: _encode_pair, loglikelihood,
 * lm_eval/models/huggingface.py: _loglikelihood_tokens)
 *
 * `tokens` is next-token prediction over all texts joined by a separator, in windows of `window_tokens` that
 * start `stride_tokens` apart. Each token but the very first is scored exactly once: in the first window that
 * holds it, so with at least window - stride tokens before it, except in the first window. A stride of
 * window - 1 costs one pass over the text; smaller ones give more context for more work.
 * (huggingface/transformers, docs/source/en/perplexity.md; with stride = window, which is refused here, that
 * recipe leaves the first token of each window unscored)
 *
 * `text_mean` is one passage per text, all its tokens scored after a prefix (BOS) token, or all but the first
 * without one; texts are cut on the right to the context. (huggingface/evaluate, metrics/perplexity)
 *
 * A text from which nothing can be scored (empty, or a single token without prefix) makes no passage and is
 * counted in `skipped_count`; a text that lost tokens to the context is counted in `truncated_count`.
 */
#ifndef BIFURCATED_TEXT_PASSAGES_H
#define BIFURCATED_TEXT_PASSAGES_H

#include "daemon/base/err.h"
#include "daemon/text/passages_mode.h"
#include "daemon/text/tokenizer_encoder.h"

#include <stddef.h>
#include <stdint.h>

#define PASSAGES_NO_PREFIX (-1)

struct passages_options {
    enum passages_mode mode;
    uint32_t context_tokens; /* inputs that the model takes at most (max_position_embeddings); at least 1 */
    uint32_t window_tokens;  /* tokens: 2..context_tokens + 1; 0 is context_tokens */
    uint32_t stride_tokens;  /* tokens: 1..window_tokens - 1; 0 is half of window_tokens */
    int64_t prefix_id;       /* last_word, text_mean: the model's BOS or EOS token, or PASSAGES_NO_PREFIX */
    int starts_with_prefix;  /* last_word: it is put before each text that does not begin with it */
    const char *separator;   /* tokens: between the texts; NULL is two newlines */
};

struct passages {
    uint32_t *tokens; /* of all passages */
    size_t token_count;
    size_t count;           /* passages; each of the arrays below has so many elements */
    uint64_t *begin;        /* index in tokens of the passage's first token */
    uint32_t *length;       /* its tokens, one more than its inputs; at least 2 */
    uint32_t *target_first; /* first scored token, counted from the passage's begin; at least 1 */
    uint32_t *target_count; /* scored tokens, at least 1 */
    uint64_t *text;         /* number of the text that it comes from, from 0; 0 for all windows of `tokens` */
    uint64_t text_count;    /* texts that were added */
    uint64_t skipped_count; /* texts without anything to score */
    uint64_t truncated_count;
    uint64_t target_total; /* sum of target_count */
};

struct passages_builder;

/* Starts to build; `encoder` is borrowed. ERR_INVALID for options out of range. */
int passages_builder_new(const struct passages_options *options, struct tokenizer_encoder *encoder,
                         struct passages_builder **ret_builder, struct err *err);
void passages_builder_free(struct passages_builder *builder);

/* Adds the next text. ERR_INVALID where the definition has no answer (an empty context without a prefix
 * token; a target longer than the context), ERR_LIMIT, ERR_NO_MEMORY. The message carries the number of the
 * text, from 1. */
int passages_builder_add(struct passages_builder *builder, const char *text, size_t size, struct err *err);

/* Ends the building and hands over the passages; the builder can only be freed afterwards. */
int passages_builder_finish(struct passages_builder *builder, struct passages *ret_passages, struct err *err);

/* Frees the arrays. NULL and a zeroed struct are allowed. */
void passages_free(struct passages *passages);

#endif
