/*
 * What the audit knows of revisions without measuring them: their weight files, as the hub lists them.
 */
#ifndef BIFURCATED_API_SERIES_AUDIT_FILES_H
#define BIFURCATED_API_SERIES_AUDIT_FILES_H

#include "api/series/run.h"
#include "daemon/base/err.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

/* Each array has an element for each point of the run. */
struct api_audit_files {
    uint64_t *contents;                 /* a number for all weight files; 0: not known */
    char (*digests)[STORE_DIGEST_SIZE]; /* of the only file; "": several, or not known */
    size_t known;                       /* revisions whose weight files are known */
    size_t *without; /* how many files it has, none of them of weights; 0: it has some, or nobody knows */
};

/* The caller frees with api_audit_files_free, also after an error. */
int api_audit_files_read(struct store *store, const struct api_run *run, struct api_audit_files *ret_files,
                         struct err *err);

/* All zero is allowed. */
void api_audit_files_free(struct api_audit_files *files);

#endif
