/*
 * For wire*.c only: what all writing shares.
 */
#ifndef BIFURCATED_API_WIRE_WIRE_WRITER_H
#define BIFURCATED_API_WIRE_WIRE_WRITER_H

#include "api/form/json.h"
#include "api/wire/wire.h"

/* A number; an infinite one is text, NaN null. */
void wire_append_real(struct api_json *json, const char *key, double value);

/* A list of tensors. Large values go to `values`, or are left out where that is NULL. */
int wire_append_tensors(const struct task_tensor *tensors, size_t count, const char *key,
                        struct api_json *json, struct buf *values, struct err *err);

#endif
