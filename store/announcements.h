/*
 * Announcements: what the webhook of a watch was told of findings (of the analysis and the audit), so that
 * each is told once. The daemon makes the findings; here is what is compared with them.
 */
#ifndef BIFURCATED_STORE_ANNOUNCEMENTS_H
#define BIFURCATED_STORE_ANNOUNCEMENTS_H

#include "store/deliveries.h"

/* A watch with a webhook for which a sweep has ended since its findings were last compared: the first by its
 * id, after `after_id`. ERR_NOT_FOUND. */
int announcements_next(struct store *store, int64_t after_id, struct watch_row *ret_row, struct err *err);

/* What was announced and was still true at the last comparison, one line each. */
int announcements_list(struct store *store, int64_t watch_id, int (*finding)(void *context, const char *text),
                       void *context, struct err *err);

struct announcement_event {
    enum delivery_event event;
    const char *body; /* JSON */
};

/* Replaces what is announced and adds the deliveries, both or neither. `watch` is the row that
 * announcements_next() gave. No error if the watch is gone. */
int announcements_record(struct store *store, const struct watch_row *watch, const char *const *findings,
                         size_t finding_count, const struct announcement_event *events, size_t event_count,
                         struct err *err);

#endif
