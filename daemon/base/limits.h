/*
 * Every bound on what comes from outside, in one place. A value here is a promise: something enforces it and
 * something tests it. Sizes in bytes.
 */
#ifndef BIFURCATED_BASE_LIMITS_H
#define BIFURCATED_BASE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

/* Names */
#define LIMIT_MODEL_NAME_BYTES 1024   /* "owner/name" (96 on the hub) or "file:/path" */
#define LIMIT_REVISION_NAME_BYTES 256 /* a branch or tag */
#define LIMIT_TENSOR_NAME_BYTES 512
#define LIMIT_FILE_NAME_BYTES 1024 /* path inside a repository */
#define LIMIT_URL_BYTES 8192       /* signed CDN addresses are long */

/* Hub */
#define LIMIT_HUB_JSON_BYTES (64 * MIB)  /* one JSON reply */
#define LIMIT_HUB_JSON_VALUES 2000000    /* in it: 100,000 files with all that is told of them */
#define LIMIT_HUB_JSON_CONTAINERS 400000 /* objects and arrays in it */
#define LIMIT_HUB_HEADER_BYTES (64 * KIB)
#define LIMIT_HUB_REFS 100000         /* branches + tags of a repository */
#define LIMIT_HUB_COMMITS 100000      /* of a branch whose history is listed */
#define LIMIT_HUB_REPOSITORIES 100000 /* that one search finds */
#define LIMIT_HUB_TREE_FILES 100000   /* files of one revision */
#define LIMIT_FOLDER_ENTRIES 250000   /* files and folders below a folder, links followed */
#define LIMIT_TASK_BYTES                                                                                     \
    (INT64_C(65536) * 1073741824) /* of one revision: 64 TiB; so many for each ref add up */
#define LIMIT_HUB_PAGES 1000      /* pages followed in one listing */
#define LIMIT_HUB_SMALL_PAGES 100 /* of them, such that hold next to nothing */
#define LIMIT_HUB_REDIRECTS 5
#define LIMIT_HUB_ATTEMPTS 6

/* Checkpoints */
#define LIMIT_SAFETENSORS_HEADER_BYTES (100 * 1000 * 1000) /* as the reference reader */
#define LIMIT_PICKLE_BYTES (64 * MIB)                      /* data.pkl, .metadata */
#define LIMIT_PICKLE_STACK 65536
#define LIMIT_PICKLE_MEMO 6500000
#define LIMIT_PICKLE_OBJECTS 5000000 /* tuples, lists and dictionaries: of .metadata, 12 for each chunk */
#define LIMIT_PICKLE_ITEMS 14000000  /* in all of them together */
#define LIMIT_PICKLE_NESTING 16      /* dictionaries around a tensor */
#define LIMIT_ZIP_ENTRIES 200000
#define LIMIT_ZIP_DIRECTORY_BYTES (64 * MIB)
#define LIMIT_TENSORS 100000 /* of one checkpoint */
#define LIMIT_TENSOR_DIMS 8
#define LIMIT_SHARDS 10000
#define LIMIT_CHUNKS 1000000             /* of all tensors of a distributed checkpoint */
#define LIMIT_CHUNK_COMPARISONS 10000000 /* of those of one tensor with each other */
#define LIMIT_INDEX_JSON_BYTES (64 * MIB)

/* Model and text */
#define LIMIT_CONFIG_JSON_BYTES (1 * MIB)
#define LIMIT_TOKENIZER_JSON_BYTES (256 * MIB)
#define LIMIT_TOKENIZER_JSON_VALUES 18000000    /* a vocabulary, its merges as pairs, added tokens */
#define LIMIT_TOKENIZER_JSON_CONTAINERS 4300000 /* objects and arrays: merges as pairs, added tokens */
#define LIMIT_DATASET_BYTES (4 * GIB)
#define LIMIT_DATASET_LINE_BYTES (16 * MIB)
#define LIMIT_DATASET_LINE_VALUES 2000000    /* in the JSON of a line */
#define LIMIT_DATASET_LINE_CONTAINERS 100000 /* objects and arrays in it */
#define LIMIT_VOCABULARY 4000000
#define LIMIT_TOKENIZER_CONFIG_BYTES (16 * MIB)  /* tokenizer_config.json and what else stands beside */
#define LIMIT_TOKENIZER_CONFIG_VALUES 1000000    /* added tokens, with their flags */
#define LIMIT_TOKENIZER_CONFIG_CONTAINERS 120000 /* added tokens */
#define LIMIT_SENTENCEPIECE_BYTES (32 * MIB)     /* tokenizer.model: the largest have 8 MB */
#define LIMIT_SENTENCEPIECE_PIECE_BYTES 256      /* of a piece that merges make: the longest have 96 */
#define LIMIT_ADDED_TOKENS 100000
#define LIMIT_ADDED_TOKEN_BYTES 1024   /* content of one added token */
#define LIMIT_TEXT_BYTES (1 * GIB)     /* one text: a passage, or a whole file */
#define LIMIT_WORD_BYTES (16 * MIB)    /* one word of a text: merging needs 40 bytes of memory per byte */
#define LIMIT_PASSAGE_TOKENS 500000000 /* of all passages of one data set */
#define LIMIT_PASSAGES 100000000

/* Statistics */
#define LIMIT_STATISTICS_ELEMENTS (1ULL << 40) /* of one tensor */
#define LIMIT_STATISTICS_COLUMNS (1ULL << 26)
#define LIMIT_RECORD_COLUMNS (1 << 21) /* whose statistics are kept; a tensor of one dimension is one row */

/* Scoring */
#define LIMIT_SCORE_LAYERS 4096
#define LIMIT_SCORE_WIDTH (1ULL << 20) /* hidden and intermediate size */
#define LIMIT_SCORE_HEADS 4096
#define LIMIT_SCORE_EXPERTS 4096 /* of a layer; those of all layers must fit LIMIT_TENSORS */
#define LIMIT_SCORE_POSITIONS (1ULL << 24)

/* API */
#define LIMIT_API_BODY_BYTES (1 * MIB)
#define LIMIT_API_JSON_VALUES 1000000    /* in any JSON that is handed in */
#define LIMIT_API_JSON_CONTAINERS 100000 /* objects and arrays in it */
#define LIMIT_API_PAGE_ROWS 10000
#define LIMIT_TOKENS 1000 /* that count, at once */

/* Remote workers */
#define LIMIT_CLAIM_RESULT_BYTES (256 * MIB) /* what a worker hands in of one task: 0.2 MB per tensor */
#define LIMIT_CLAIM_HEAD_BYTES (16 * MIB)    /* of it, the part that is JSON; and what a worker is told */
#define LIMIT_CLAIM_TENSORS 1000             /* of one task */
#define LIMIT_CLAIM_FILES 1000               /* of one revision that a worker is told of */
#define LIMIT_CLAIM_WAIT_S 60                /* until a worker that waits for work is answered */

/* Options */
#define LIMIT_OPTION_VALUE_BYTES 4096

#endif
