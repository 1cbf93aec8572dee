/*
 * For this folder only: the columns of watches w with their model m, and the function that reads them.
 */
#ifndef BIFURCATED_STORE_ROWS_WATCH_H
#define BIFURCATED_STORE_ROWS_WATCH_H

#include "store/query.h"
#include "store/watches.h"

#define ROWS_WATCH                                                                                           \
    "w.id, w.model_id, m.name, w.at_minute, w.every_minutes, w.priority, w.webhook_url, w.webhook_secret, "  \
    "w.created_ms, w.request_number, w.since_ms, w.is_asked, w.run_ms, w.run_sweep_id, w.failures, "         \
    "w.retry_ms, "                                                                                           \
    "w.sweeps_ended, w.sweeps_announced, w.asks"
#define ROWS_WATCH_FROM " FROM watches w JOIN models m ON m.id = w.model_id "

static inline void rows_read_watch(struct query *query, struct watch_row *row)
{
    row->id = query_int(query);
    row->model_id = query_int(query);
    query_text(query, row->model, sizeof row->model);
    row->timetable.at_minute = (int)query_int(query);
    row->timetable.every_minutes = (int)query_int(query);
    row->priority = (int)query_int(query);
    query_text(query, row->webhook_url, sizeof row->webhook_url);
    query_text(query, row->webhook_secret, sizeof row->webhook_secret);
    row->created_ms = query_int(query);
    row->request_number = query_int(query);
    row->since_ms = query_int(query);
    row->is_asked = (int)query_int(query);
    row->run_ms = query_int(query);
    row->run_sweep_id = query_int(query);
    row->failures = (int)query_int(query);
    row->retry_ms = query_int(query);
    row->sweeps_ended = query_int(query);
    row->sweeps_announced = query_int(query);
    row->asks = query_int(query);
}

#endif
