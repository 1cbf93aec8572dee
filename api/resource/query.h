/*
 * Parameters that several reads share: real numbers, one of a few names, the model, the tensor, and which of
 * its four distributions.
 */
#ifndef BIFURCATED_API_RESOURCE_QUERY_H
#define BIFURCATED_API_RESOURCE_QUERY_H

#include "api/form/csv.h"
#include "api/form/json.h"
#include "api/http/page.h"
#include "api/http/request.h"
#include "daemon/base/err.h"
#include "store/models.h"
#include "store/series.h"

/* A parameter as a finite number in [min, max]; *value stays if it was not given. ERR_INVALID. */
int api_query_real(const struct api_request *request, const char *name, double min, double max, double *value,
                   struct api_response *response, struct err *err);

/* A parameter as one of names[count]: *index becomes its place; it stays if the parameter was not given.
 * ERR_INVALID. */
int api_query_choice(const struct api_request *request, const char *name, const char *const *names, int count,
                     int *index, struct api_response *response, struct err *err);

/* The tensor that is asked for, NULL: the model's own. Borrowed. ERR_INVALID. */
int api_query_tensor(const struct api_request *request, const char **ret_tensor,
                     struct api_response *response, struct err *err);

/* rows=all|tokens and view=raw|centred; `variant` stays where they were not given. */
int api_query_variant(const struct api_request *request, enum series_variant *variant,
                      struct api_response *response, struct err *err);

/* "all", "tokens"; "raw", "centred": the two halves of a variant's name. */
const char *api_query_rows_name(enum series_variant variant);
const char *api_query_view_name(enum series_variant variant);

/* Appends "revision" and "step", as members or as two cells. */
void api_query_print_json(struct api_json *json, const struct revision_row *revision);
void api_query_print_csv(struct api_csv *csv, const struct revision_row *revision);

/* The model that the path names, "owner/name" or "file:/path", into name[LIMIT_MODEL_NAME_BYTES + 1].
 * ERR_NOT_FOUND for what can be no name. */
int api_query_model_name(const struct api_request *request, char *name, struct err *err);

/* The model in the path. ERR_NOT_FOUND. */
int api_query_model(const struct api_request *request, struct model_row *ret_row, struct err *err);

/* A cursor (api/http/page.h) that says where in the order of revisions a page begins. *ret_is_given is 0
 * without the parameter. ERR_INVALID. */
int api_query_read_revision(const struct api_request *request, struct revision_key *key, int *ret_is_given,
                            struct api_response *response, struct err *err);
void api_query_write_revision(const struct revision_key *key, char cursor[API_CURSOR_SIZE]);

#endif
