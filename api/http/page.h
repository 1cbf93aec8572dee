/*
 * Paging by cursor: a page says where the next one begins, as an opaque text in `next_cursor` and in the
 * header Link (rel="next").
 */
#ifndef BIFURCATED_API_HTTP_PAGE_H
#define BIFURCATED_API_HTTP_PAGE_H

#include "api/form/json.h"
#include "api/http/request.h"
#include "daemon/base/err.h"
#include "daemon/base/limits.h"

#include <stddef.h>
#include <stdint.h>

#define API_CURSOR_SIZE (2 * LIMIT_MODEL_NAME_BYTES + 256)

/* Reads `limit`, from 1 to `max`. Without it: `standard`; as CSV `max`, since who reads CSV expects all of it
 * and seldom looks for a next page. */
int api_page_limit(const struct api_request *request, int standard, int max, int *ret_limit,
                   struct api_response *response, struct err *err);

/* A cursor is a text in hexadecimal; these go between it and what it says. `text` of read has `size` bytes;
 * *ret_is_given is 0 without the parameter. ERR_INVALID. */
int api_page_read_cursor(const struct api_request *request, char *text, size_t size, int *ret_is_given,
                         struct api_response *response, struct err *err);
void api_page_write_cursor(const char *text, char cursor[API_CURSOR_SIZE]);

/* The same for a number. */
int api_page_read_number(const struct api_request *request, int64_t *number, struct api_response *response,
                         struct err *err);
void api_page_write_number(int64_t number, char cursor[API_CURSOR_SIZE]);

/* Fails with ERR_INVALID: the cursor is none that this server gave. */
int api_page_refuse_cursor(struct api_response *response, struct err *err);

/* Makes the header Link: this request's target with `cursor` in place of its own. */
int api_page_link(const struct api_request *request, const char *cursor, struct api_response *response,
                  struct err *err);

/* Ends the object of a page in JSON, after its list: `next_cursor`, and the header Link where there is more.
 * "" is the last page. */
int api_page_end(const struct api_request *request, struct api_json *json, const char *cursor,
                 struct api_response *response, struct err *err);

/* A page of rows that go by a number, while it is written. The store is asked for one row more than `left`.
 */
struct api_page {
    struct api_json json;
    int left; /* rows that still belong to it */
    int has_more;
    int64_t last; /* the number of the last row */
};

/* Whether the row with this number still belongs to the page; else there is a next one. */
int api_page_take(struct api_page *page, int64_t number);

/* As api_page_end, with the cursor of the last row. */
int api_page_end_numbers(const struct api_request *request, struct api_page *page,
                         struct api_response *response, struct err *err);

#endif
