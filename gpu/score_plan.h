/*
 * The plan of a scoring request: which documents go through the layers together, and what their packed batch
 * looks like. Independent of the device, and of the number of threads.
 *
 * Documents are taken in order. A *batch* is a run of documents with at most `inputs_max` inputs (a longer
 * document is a batch of its own): one pass through the layers. A *wave* is a run of batches whose targets'
 * hidden states are kept and meet the unembedding together, in blocks of rows.
 */
#ifndef BIFURCATED_GPU_SCORE_PLAN_H
#define BIFURCATED_GPU_SCORE_PLAN_H

#include "daemon/base/err.h"
#include "gpu/score.h"

#include <stddef.h>
#include <stdint.h>

struct score_plan_options {
    size_t inputs_max;       /* of a batch, at least 1 */
    size_t wave_targets_max; /* of a wave, at least 1; a batch is never split */
    size_t wave_inputs_max;  /* of a wave, at least 1 */
};

struct score_plan_batch {
    size_t document_first, document_count;
    size_t input_count;
    size_t target_first, target_count; /* index of its first target in the result */
};

struct score_plan_wave {
    size_t batch_first, batch_count;
    size_t input_count;
    size_t target_first, target_count;
};

struct score_plan {
    const struct score_request *request; /* borrowed */
    size_t batch_count;
    struct score_plan_batch *batches;
    size_t wave_count;
    struct score_plan_wave *waves;
    size_t input_total, target_total;
    size_t batch_inputs_max, batch_documents_max, batch_targets_max; /* the largest of all batches */
    size_t wave_inputs_max, wave_targets_max;                        /* the largest of all waves */
    size_t document_inputs_max;
};

/* Plans a checked request. Inputs after the last one that predicts a target are left out. The caller frees
 * with score_plan_free (also zeroed). */
int score_plan_init(struct score_plan *plan, const struct score_request *request,
                    const struct score_plan_options *options, struct err *err);
void score_plan_free(struct score_plan *plan);

/* A batch, unpacked into arrays of the caller. */
struct score_packed {
    uint32_t *ids;         /* [batch_inputs_max] token of each input */
    uint32_t *positions;   /* [batch_inputs_max] of each input within its document */
    uint32_t *offsets;     /* [batch_documents_max + 1] first input of each document, and the end */
    uint32_t *target_rows; /* [batch_targets_max] the input that predicts each target, ascending */
    uint32_t *target_ids;  /* [batch_targets_max] */
};

/* Inputs of a document: up to the one that predicts its last target. */
size_t score_plan_document_inputs(const struct score_request *request, size_t document);

/* Fills the arrays for batch `index`. */
void score_plan_pack(const struct score_plan *plan, size_t index, const struct score_packed *packed);

#endif
