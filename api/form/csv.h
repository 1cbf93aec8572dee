/*
 * Writes CSV (RFC 4180, lines end with CR LF) into a buffer, cell after cell.
 *
 * A text that a spreadsheet would run as a formula keeps its bytes: names come from the hub and programs
 * read these files (api/EXAMPLES.md says what to do in a spreadsheet).
 */
#ifndef BIFURCATED_API_FORM_CSV_H
#define BIFURCATED_API_FORM_CSV_H

#include "daemon/base/buf.h"

#include <stdint.h>

struct api_csv {
    struct buf *buf; /* borrowed */
    int needs_comma;
};

void api_csv_init(struct api_csv *csv, struct buf *buf);

/* NULL is an empty cell. */
void api_csv_text(struct api_csv *csv, const char *value);
void api_csv_integer(struct api_csv *csv, int64_t value);
/* NaN and infinities are empty cells. */
void api_csv_real(struct api_csv *csv, double value);
void api_csv_empty(struct api_csv *csv);
/* "2026-11-23T08:15:00.123Z", empty for 0. */
void api_csv_time(struct api_csv *csv, int64_t wall_ms);
void api_csv_end_line(struct api_csv *csv);

#endif
