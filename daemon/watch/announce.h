/*
 * What webhooks are told of findings: after a sweep of a watched model has ended, its analysis and audit are
 * made as the API makes them, and what was not announced before is put into the outbox.
 *
 * - onset.found: an onset (over all rows or token rows, raw or centred) at a revision, with the analysis
 * - stopping.recommended: training could have stopped at a step, with the analysis
 * - audit.finding: findings of the audit, at most ANNOUNCE_FINDINGS_MAX of the new ones, their number, and
 *   what steps count
 *
 * A finding is announced again when it has changed (another revision, another step) or was gone in between.
 */
#ifndef BIFURCATED_WATCH_ANNOUNCE_H
#define BIFURCATED_WATCH_ANNOUNCE_H

#include "daemon/base/err.h"
#include "store/deliveries.h"

#include <jansson.h>
#include <stdatomic.h>

#define ANNOUNCE_FINDINGS_MAX 100

/* Looks at one model whose sweep has ended; *ret_announced becomes 1 if there was one. A model that cannot be
 * analysed is logged and counts as looked at. An error is returned only if the store fails, and after the
 * others were looked at: what is lost of one watch keeps none of them waiting. Once *is_stopping is set, no
 * other is begun, since each may take seconds. */
int announce_run_once(struct store *store, const atomic_bool *is_stopping, int *ret_announced,
                      struct err *err);

/*
 * The pure part. `analysis` and `audit` are answers of the API, `known` an object with a member for
 * each line that was announced. Appends the lines that hold now to `findings` and {"event": ..., "body": ...}
 * of the news to `news`; `head` is a body without what is special to an event ({"model": ..., "at": ...}).
 * All of them belong to the caller.
 */
int announce_compare(const json_t *head, const json_t *analysis, const json_t *audit, const json_t *known,
                     json_t *findings, json_t *news, struct err *err);

#endif
