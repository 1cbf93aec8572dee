/*
 * The columns of the series: one table of names, from which JSON, CSV, ?fields= and the tests are made.
 *
 * Statistics occur four times: of all rows, of the token rows ("tokens_"), and of both after subtracting each
 * column's mean ("centred_", "tokens_centred_").
 */
#ifndef BIFURCATED_API_SERIES_COLUMNS_H
#define BIFURCATED_API_SERIES_COLUMNS_H

#include "api/form/csv.h"
#include "api/form/json.h"
#include "daemon/base/err.h"
#include "daemon/base/step_unit.h"
#include "store/series.h"

#include <stddef.h>

#define API_COLUMNS_MAX 256

/* Which columns, in which order. */
struct api_columns {
    enum step_unit unit; /* of the model; set by the caller */
    size_t count;
    unsigned char indices[API_COLUMNS_MAX];
};

/* The columns that a comma-separated list names, or all for NULL. ERR_INVALID for an unknown or repeated
 * name. */
int api_columns_parse(const char *fields, struct api_columns *columns, struct err *err);

/* Appends a row as one JSON object, or as one line of CSV. */
void api_columns_json(const struct api_columns *columns, const struct series_row *row, struct api_json *json);
void api_columns_csv(const struct api_columns *columns, const struct series_row *row, struct api_csv *csv);

/* Appends the line of names. */
void api_columns_csv_head(const struct api_columns *columns, struct api_csv *csv);

#endif
