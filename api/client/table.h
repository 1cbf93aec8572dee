/*
 * Rows of JSON objects as a table for people: columns as wide as they must be, numbers to the right.
 */
#ifndef BIFURCATED_API_CLIENT_TABLE_H
#define BIFURCATED_API_CLIENT_TABLE_H

#include "daemon/base/err.h"

#include <jansson.h>
#include <stdio.h>

#define CLIENT_TABLE_COLUMNS_MAX 256
#define CLIENT_CELL_SIZE 128

struct client_column {
    const char *key;   /* "progress.done" reaches into a member */
    const char *title; /* NULL: the key */
};

/* Columns by their names, "a,b,c", which are cut up for their keys; those beyond `room` are left out. */
size_t client_table_split(char *names, struct client_column *columns, size_t room);

/* Prints the rows of `array`. On a terminal that is too narrow, the widest column of words but the first
 * loses the middles of its cells; then the columns from the right that have titles of their own are left out
 * and named; the last one may break. A number of more than 6 digits is rounded, null is "-". ERR_NO_MEMORY.
 */
int client_table_print(const json_t *array, const struct client_column *columns, size_t column_count,
                       FILE *stream, struct err *err);

/* The same rows as CSV, nothing rounded. */
void client_table_print_csv(const json_t *array, const struct client_column *columns, size_t column_count,
                            FILE *stream);

/* A text as a cell of CSV, in quotes where it needs them. */
void client_table_print_csv_text(const char *text, FILE *stream);

/* One value as a cell; "-" for null. What was cut ends with "…". */
void client_table_format(const json_t *value, char text[CLIENT_CELL_SIZE]);

#endif
