/*
 * The tokenizer of a revision: its tokenizer.json, or where there is none its tokenizer.model of
 * SentencePiece's; whether the files beside it leave it as it says (daemon/text/tokenizer_config.h), and the
 * token before a text.
 *
 * What was found out is kept with the passages, by the files' contents, so that of a sweep's revisions, which
 * all have the same ones, one parses them. It is no part of a result's identity: files that would change the
 * tokens, or texts for which they would, are refused before any result is looked up.
 */
#ifndef BIFURCATED_MEASURE_SCORING_TOKENIZER_H
#define BIFURCATED_MEASURE_SCORING_TOKENIZER_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/measure/scoring.h"
#include "daemon/model/config.h"
#include "daemon/text/tokenizer_config.h"

struct scoring_tokenizer {
    struct buf file;
    int is_sentencepiece; /* a tokenizer.model */
};

void scoring_tokenizer_init(struct scoring_tokenizer *tokenizer);
void scoring_tokenizer_free(struct scoring_tokenizer *tokenizer);

/* ERR_NOT_FOUND where a revision has neither, with what to do. */
int scoring_tokenizer_fetch(const struct scoring_request *request, struct scoring_tokenizer *tokenizer,
                            struct err *err);

/* As tokenizer_load, or tokenizer_load_sentencepiece. */
int scoring_tokenizer_load(const struct scoring_tokenizer *file, struct tokenizer **ret_tokenizer,
                           struct err *err);

/* Fetches what stands beside it. ret_use->prefix_id is the token before a text: what these files name, else
 * what config.json says, negative for none; ret_use->start_id is it, too, or negative: nothing is put before
 * every text. ERR_UNSUPPORTED names file and key; ERR_FORMAT, ERR_LIMIT, what the repository reports. */
int scoring_tokenizer_check(const struct scoring_request *request, const struct scoring_tokenizer *tokenizer,
                            const struct model_config *model, struct tokenizer_use *ret_use, struct err *err);

#endif
