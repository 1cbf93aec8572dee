/*
 * A thread with one recurring duty: does it, waits until it may be due again or the store changes, and
 * after a fault of the store pauses, longer each time. Watches, findings and webhooks have such threads.
 */
#ifndef BIFURCATED_WATCH_DUTY_H
#define BIFURCATED_WATCH_DUTY_H

#include "daemon/base/err.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdint.h>

struct duty;

/*
 * Does what is due first. *ret_wait_ms becomes the time until something may be due again, 0 if something was
 * done; negative: when the store changes. An error is one of the store's: it is logged with `complaint`, and
 * the call is made again after a pause. *is_stopping ends long work.
 */
typedef int duty_work(void *context, const atomic_bool *is_stopping, int64_t *ret_wait_ms, struct err *err);

/* Starts the thread. `complaint` is a string constant: "watches cannot be kept". */
int duty_start(struct store *store, const char *complaint, duty_work *work, void *context,
               struct duty **ret_duty, struct err *err);

/* Asks the thread to end, so that several end together. NULL is allowed, here and below. */
void duty_ask_to_stop(struct duty *duty);

/* Ends the thread; frees. */
void duty_stop(struct duty *duty);

#endif
