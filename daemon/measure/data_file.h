/*
 * Which file of a data set on the hub holds the texts.
 *
 * Files are known by their endings: .jsonl or .txt, each also with .gz or .zst. A name is read as words,
 * parted by everything that is no letter or digit: "data/lambada_test_en.jsonl" has "data", "lambada",
 * "test", "en". Each rule below keeps the files that fit, if there are any, and leaves the choice as it is
 * otherwise; the first rule after which one file is left has found it:
 *   1. JSON lines before plain text (README.txt, LICENSE.txt)
 *   2. files with the word "test" (of the whole path), else with "validation", "valid" or "dev"
 *   3. files whose name ends with that word (the default of several configurations: lambada_test.jsonl)
 *   4. files with the word "en" (lambada_test_en.jsonl)
 *   5. as stored before packed
 * So EleutherAI/lambada_openai gives data/lambada_test.jsonl, the file of lm-evaluation-harness's
 * lambada_openai; data/lambada_test_en.jsonl holds the same bytes.
 */
#ifndef BIFURCATED_MEASURE_DATA_FILE_H
#define BIFURCATED_MEASURE_DATA_FILE_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

/* Borrowed from the tree. ERR_INVALID if several are left, ERR_NOT_FOUND if there is no such file; both list
 * what `name` ("owner/name") has and how one is named. */
int data_file_choose(const struct repository_tree *tree, const char *name,
                     const struct repository_file **ret_file, struct err *err);

/* The file of that path; ERR_NOT_FOUND lists those that there are. */
int data_file_find(const struct repository_tree *tree, const char *name, const char *path,
                   const struct repository_file **ret_file, struct err *err);

#endif
