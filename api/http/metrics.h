/*
 * Counters of the server, for GET /metrics.
 */
#ifndef BIFURCATED_API_HTTP_METRICS_H
#define BIFURCATED_API_HTTP_METRICS_H

#include "daemon/base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct api_metrics;
struct api_route_table;

/* For a table of `route_count` routes. NULL without memory. */
struct api_metrics *api_metrics_new(size_t route_count);
void api_metrics_free(struct api_metrics *metrics);

/* Counts an answered request; `route` is route_count or more where no route matched. */
void api_metrics_count(struct api_metrics *metrics, size_t route, int status, double seconds,
                       uint64_t answer_bytes);

/* Appends all counters in Prometheus' text format; a route is named by its operation. */
void api_metrics_render(const struct api_metrics *metrics, const struct api_route_table *routes,
                        struct buf *text);

/* Appends "# HELP", "# TYPE" and one sample without labels. */
void api_metrics_append(struct buf *text, const char *name, const char *type, const char *help, double value);

#endif
