#include "api/http/metrics.h"

#include "api/http/route.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CLASS_COUNT 5 /* 1xx to 5xx */

static const double bounds_s[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5};
#define BOUND_COUNT (sizeof bounds_s / sizeof bounds_s[0])

struct route_counts {
    atomic_uint_fast64_t by_class[CLASS_COUNT];
    atomic_uint_fast64_t by_bound[BOUND_COUNT + 1]; /* not cumulative */
    atomic_uint_fast64_t nanoseconds;
};

struct api_metrics {
    size_t route_count;
    atomic_uint_fast64_t answer_bytes;
    struct route_counts routes[]; /* route_count, and one for no route */
};

struct api_metrics *api_metrics_new(size_t route_count)
{
    struct api_metrics *metrics = calloc(1, sizeof *metrics + (route_count + 1) * sizeof metrics->routes[0]);
    if (metrics)
        metrics->route_count = route_count;
    return metrics;
}

void api_metrics_free(struct api_metrics *metrics)
{
    free(metrics);
}

void api_metrics_count(struct api_metrics *metrics, size_t route, int status, double seconds,
                       uint64_t answer_bytes)
{
    struct route_counts *counts =
        &metrics->routes[route < metrics->route_count ? route : metrics->route_count];
    int class = status / 100 - 1;
    size_t bound = 0;
    while (bound < BOUND_COUNT && seconds > bounds_s[bound])
        bound++;
    if (class >= 0 && class < CLASS_COUNT)
        atomic_fetch_add(&counts->by_class[class], 1);
    atomic_fetch_add(&counts->by_bound[bound], 1);
    atomic_fetch_add(&counts->nanoseconds, (uint64_t)(seconds * 1e9));
    atomic_fetch_add(&metrics->answer_bytes, answer_bytes);
}

static void render_requests(const struct api_metrics *metrics, const struct api_route_table *routes,
                            struct buf *text)
{
    buf_append_text(text, "# HELP bifurcated_http_requests_total Answered requests.\n"
                          "# TYPE bifurcated_http_requests_total counter\n");
    for (size_t i = 0; i <= metrics->route_count; i++) {
        for (int class = 0; class < CLASS_COUNT; class ++) {
            uint64_t count = atomic_load(&metrics->routes[i].by_class[class]);
            if (count)
                buf_appendf(text,
                            "bifurcated_http_requests_total{operation=\"%s\",status=\"%dxx\"} %" PRIu64 "\n",
                            i < metrics->route_count ? routes->rows[i].operation : "", class + 1, count);
        }
    }
}

static void render_latency(const struct api_metrics *metrics, const struct api_route_table *routes,
                           struct buf *text)
{
    buf_append_text(text, "# HELP bifurcated_http_request_seconds Time from request to sent answer.\n"
                          "# TYPE bifurcated_http_request_seconds histogram\n");
    for (size_t i = 0; i <= metrics->route_count; i++) {
        const struct route_counts *counts = &metrics->routes[i];
        const char *name = i < metrics->route_count ? routes->rows[i].operation : "";
        uint64_t total = 0;
        for (size_t bound = 0; bound <= BOUND_COUNT; bound++)
            total += atomic_load(&counts->by_bound[bound]);
        if (total == 0)
            continue;
        uint64_t sum = 0;
        for (size_t bound = 0; bound < BOUND_COUNT; bound++) {
            sum += atomic_load(&counts->by_bound[bound]);
            buf_appendf(text,
                        "bifurcated_http_request_seconds_bucket{operation=\"%s\",le=\"%g\"} %" PRIu64 "\n",
                        name, bounds_s[bound], sum);
        }
        buf_appendf(text,
                    "bifurcated_http_request_seconds_bucket{operation=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
                    "bifurcated_http_request_seconds_sum{operation=\"%s\"} %.9f\n"
                    "bifurcated_http_request_seconds_count{operation=\"%s\"} %" PRIu64 "\n",
                    name, total, name, (double)atomic_load(&counts->nanoseconds) / 1e9, name, total);
    }
}

void api_metrics_render(const struct api_metrics *metrics, const struct api_route_table *routes,
                        struct buf *text)
{
    render_requests(metrics, routes, text);
    render_latency(metrics, routes, text);
    api_metrics_append(text, "bifurcated_http_sent_bytes_total", "counter", "Bytes of sent bodies.",
                       (double)atomic_load(&metrics->answer_bytes));
}

void api_metrics_append(struct buf *text, const char *name, const char *type, const char *help, double value)
{
    buf_appendf(text, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);
}
