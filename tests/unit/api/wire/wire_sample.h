/*
 * A result and a task of small numbers, for the tests of the codec and of the routes.
 */
#ifndef BIFURCATED_TESTS_API_WIRE_WIRE_SAMPLE_H
#define BIFURCATED_TESTS_API_WIRE_WIRE_SAMPLE_H

#include "api/wire/wire.h"
#include "daemon/analysis/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SAMPLE_ROWS 6
#define SAMPLE_COLUMNS 4
#define SAMPLE_TOKEN_ROWS 5
#define SAMPLE_DEFINITION_OF 101
#define SAMPLE_BACKEND "cpu"
#define SAMPLE_DIGEST(c) c c c c c c c c c c c c c c c c
#define SAMPLE_CONTENT SAMPLE_DIGEST("a1b2")
#define SAMPLE_REFERENCE SAMPLE_DIGEST("00ff")
#define SAMPLE_FILE SAMPLE_DIGEST("feed")

/* A result of one tensor with everything that the real ones have; its parts point to each other, so it must
 * not move. */
struct wire_sample {
    struct wire_result result;
    struct task_tensor tensor;
    struct statistics_row statistics[4];
    struct distribution_row distributions[4];
    uint64_t counts[4][DISTRIBUTION_CODES];
    struct columns_row columns[2];
    double means[2][SAMPLE_COLUMNS], bimodalities[2][SAMPLE_COLUMNS];
    struct sample_row sample;
    float values[SAMPLE_TOKEN_ROWS * SAMPLE_COLUMNS];
    struct task_displacement displacements[2];
    struct displacement_row rows[2][2];
    struct content_row reference;
    struct perplexity_row perplexity;
    struct revision_file_row scored_files[2];
};

static inline void wire_sample_content(struct content_row *content, const char *digest)
{
    *content = (struct content_row){
        .rows = SAMPLE_ROWS, .columns = SAMPLE_COLUMNS, .size_bytes = SAMPLE_ROWS * SAMPLE_COLUMNS * 2};
    (void)snprintf(content->digest, sizeof content->digest, "%s", digest);
    (void)snprintf(content->dtype, sizeof content->dtype, "float16");
}

static inline void wire_sample_variant(struct wire_sample *sample, int i)
{
    struct statistics_row *row = &sample->statistics[i];
    struct distribution_row *distribution = &sample->distributions[i];
    int is_tokens = i / 2;
    int64_t elements = (is_tokens ? SAMPLE_TOKEN_ROWS : SAMPLE_ROWS) * SAMPLE_COLUMNS;
    statistics_row_init(row);
    row->row_set = is_tokens ? ROW_SET_TOKENS : ROW_SET_ALL;
    row->token_rows = is_tokens ? SAMPLE_TOKEN_ROWS : 0;
    row->is_centred = i % 2;
    row->definition = SAMPLE_DEFINITION_OF;
    (void)snprintf(row->backend, sizeof row->backend, SAMPLE_BACKEND);
    row->elements = elements;
    row->nan_count = 1;
    row->zero_count = 2;
    row->minimum = -0.1 - i;
    row->maximum = (double)INFINITY;
    row->mean = 1.0 / 3 + i;
    row->variance = 5e-324;
    row->kurtosis = -1.7976931348623157e308;
    row->dip = 0.1;
    *distribution = (struct distribution_row){.row_set = row->row_set,
                                              .token_rows = row->token_rows,
                                              .is_centred = row->is_centred,
                                              .definition = SAMPLE_DEFINITION_OF,
                                              .counts = sample->counts[i]};
    (void)snprintf(distribution->code, sizeof distribution->code, "%s", i % 2 ? "float16*2^0" : "float16");
    sample->counts[i][0] = 1;
    sample->counts[i][40000 + i] = (uint64_t)elements - 2;
    sample->counts[i][DISTRIBUTION_CODES - 1] = 1;
}

static inline void wire_sample_link(struct wire_sample *sample, int i)
{
    struct task_displacement *displacement = &sample->displacements[i];
    *displacement = (struct task_displacement){.link = i ? TASK_LINK_PREVIOUS : TASK_LINK_FIRST,
                                               .reference = &sample->reference,
                                               .token_rows = SAMPLE_TOKEN_ROWS,
                                               .definition = SAMPLE_DEFINITION_OF,
                                               .rows = sample->rows[i],
                                               .count = 2};
    (void)snprintf(displacement->backend, sizeof displacement->backend, SAMPLE_BACKEND);
    for (int set = 0; set < 2; set++) {
        struct displacement_row *row = &sample->rows[i][set];
        displacement_row_init(row);
        row->row_set = set ? ROW_SET_TOKENS : ROW_SET_ALL;
        row->token_rows = set ? SAMPLE_TOKEN_ROWS : 0;
        row->definition = SAMPLE_DEFINITION_OF;
        (void)snprintf(row->backend, sizeof row->backend, SAMPLE_BACKEND);
        row->elements = 7;
        row->msd = 0.25 + i;
        row->norm = row->reference_norm = 3;
        row->cosine = (double)NAN;
    }
}

static inline void wire_sample_make(struct wire_sample *sample)
{
    memset(sample, 0, sizeof *sample);
    struct task_tensor *tensor = &sample->tensor;
    struct perplexity_row *perplexity = &sample->perplexity;
    wire_sample_content(&sample->reference, SAMPLE_REFERENCE);
    wire_sample_content(&tensor->content, SAMPLE_CONTENT);
    for (int i = 0; i < 4; i++)
        wire_sample_variant(sample, i);
    for (int i = 0; i < 2; i++) {
        wire_sample_link(sample, i);
        for (int j = 0; j < SAMPLE_COLUMNS; j++) {
            sample->means[i][j] = j / 3.0;
            sample->bimodalities[i][j] = j ? 0.5 : (double)NAN;
        }
        sample->columns[i] = (struct columns_row){.token_rows = i ? SAMPLE_TOKEN_ROWS : 0,
                                                  .definition = SAMPLE_DEFINITION_OF,
                                                  .columns = SAMPLE_COLUMNS,
                                                  .mean = sample->means[i],
                                                  .bimodality = sample->bimodalities[i]};
    }
    for (size_t i = 0; i < SAMPLE_TOKEN_ROWS * SAMPLE_COLUMNS; i++)
        sample->values[i] = (float)i;
    sample->sample = (struct sample_row){.definition = SAMPLE_DEFINITION,
                                         .seed = SAMPLE_SEED,
                                         .count = SAMPLE_TOKEN_ROWS * SAMPLE_COLUMNS,
                                         .values = sample->values};
    (void)snprintf(tensor->tensor, sizeof tensor->tensor, "embed_out.weight");
    (void)snprintf(tensor->backend, sizeof tensor->backend, SAMPLE_BACKEND);
    (void)snprintf(tensor->file_path, sizeof tensor->file_path, "model.safetensors");
    (void)snprintf(tensor->file_digest, sizeof tensor->file_digest, SAMPLE_FILE);
    tensor->token_rows = SAMPLE_TOKEN_ROWS;
    tensor->definition = SAMPLE_DEFINITION_OF;
    tensor->fetched_bytes = 1234;
    tensor->statistics = sample->statistics;
    tensor->statistics_count = 4;
    tensor->distributions = sample->distributions;
    tensor->distribution_count = 4;
    tensor->columns = sample->columns;
    tensor->columns_count = 2;
    tensor->samples = &sample->sample;
    tensor->sample_count = 1;
    tensor->displacements = sample->displacements;
    tensor->displacement_count = 2;
    *perplexity = (struct perplexity_row){.mode = PERPLEXITY_MODE_LAST_WORD,
                                          .definition = 1,
                                          .documents = 10,
                                          .tokens = 12,
                                          .nll_sum = 12.5,
                                          .perplexity = (double)INFINITY,
                                          .perplexity_stderr = (double)NAN,
                                          .accuracy = 0.1,
                                          .accuracy_stderr = 0.01,
                                          .seconds = 0.5};
    (void)snprintf(perplexity->weights_digest, STORE_DIGEST_SIZE, SAMPLE_DIGEST("1234"));
    (void)snprintf(perplexity->dataset_digest, STORE_DIGEST_SIZE, SAMPLE_DIGEST("5678"));
    (void)snprintf(perplexity->tokenizer_digest, STORE_DIGEST_SIZE, SAMPLE_DIGEST("9abc"));
    (void)snprintf(perplexity->parameters, sizeof perplexity->parameters, "{\"limit\":10}");
    (void)snprintf(perplexity->precision, sizeof perplexity->precision, "float32");
    (void)snprintf(perplexity->backend, sizeof perplexity->backend, SAMPLE_BACKEND);
    for (size_t i = 0; i < 2; i++) {
        struct revision_file_row *file = &sample->scored_files[i];
        *file = (struct revision_file_row){
            .size_bytes = 512, .digest_kind = i ? REVISION_DIGEST_KIND_GIT : REVISION_DIGEST_KIND_SHA256};
        (void)snprintf(file->path, sizeof file->path, i ? "small.safetensors" : "model.safetensors");
        (void)snprintf(file->digest, sizeof file->digest, i ? "%.40s" : "%s", SAMPLE_FILE);
    }
    sample->result.result = (struct task_result){.tensors = tensor,
                                                 .tensor_count = 1,
                                                 .perplexities = perplexity,
                                                 .perplexity_count = 1,
                                                 .scored_files = sample->scored_files,
                                                 .scored_file_count = 2,
                                                 .bytes_fetched = 4321};
    (void)snprintf(sample->result.result.weights_digest, STORE_DIGEST_SIZE, SAMPLE_DIGEST("1234"));
    sample->result.result.caution = "a \"reference\" was not there";
}

#endif
