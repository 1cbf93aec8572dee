/*
 * A page of large values, one of each revision: how far it has come, and which values are damaged
 * (store/damage.h). Those are left out and named, so that one of them does not cost all others.
 */
#ifndef BIFURCATED_API_SERIES_REVISION_PAGE_H
#define BIFURCATED_API_SERIES_REVISION_PAGE_H

#include "api/form/csv.h"
#include "api/form/json.h"
#include "api/http/request.h"
#include "daemon/base/buf.h"
#include "store/revisions.h"

struct revision_page {
    int left;      /* of revisions that are still wanted */
    int has_more;  /* one was left to the next page */
    int64_t count; /* of revisions with their values */
    struct revision_key last;
    struct buf damaged; /* names, each with its final 0 */
};

void revision_page_init(struct revision_page *page, int limit);
void revision_page_free(struct revision_page *page);

/* Whether there is no room for one more, which then begins the next page. */
int revision_page_is_full(struct revision_page *page);

/* A revision was printed. */
void revision_page_note(struct revision_page *page, const struct revision_row *revision);

/* The value of a revision is damaged: in CSV (or NULL) a line with so many empty cells. */
void revision_page_note_damaged(struct revision_page *page, const struct revision_row *revision,
                                struct api_csv *csv, int64_t cells);

/* Appends "damaged": the names. */
void revision_page_print_damaged(const struct revision_page *page, struct api_json *json);

/* Ends the page after its rows: in JSON with `damaged`, `count` and `next_cursor`. */
int revision_page_end(const struct revision_page *page, const struct api_request *request,
                      struct api_json *json, struct api_response *response, struct err *err);

#endif
