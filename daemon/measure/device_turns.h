/*
 * Whose turn it is on the compute device.
 *
 * One pass computes at a time. A pass of statistics goes before a model that waits to be scored: it takes
 * milliseconds, and only after it does its task read its own model. If passes waited behind the models of
 * others, all tasks would read their models at the same time, with nothing for the device to do.
 *
 * A GPU has a second context. While one model is scored, the next one's weights are loaded there, if both fit
 * whole (score_model_source.beside); otherwise they are loaded when the first model is gone. Results are the
 * same bit by bit. The CPU has one context, since loading takes the processor and the memory that scoring
 * needs.
 *
 * A lost device is the failure of whoever computed or loaded. Who waits for the turn, or comes later, gets
 * ERR_CANCELLED, so that one task that loses devices does not use up the attempts of its neighbours. Where
 * one computes while another loads, nothing says whose fault it was, and both fail. So a task whose last
 * failure may have been the device's (measure_is_alone()) is measured *alone*, with nothing loaded beside
 * it.
 *
 * Whoever loads has the load, and whoever computes has the turn. A model takes the turn before it lets go
 * of the load, so at most one thread loads and one computes, and the context that does not compute is the
 * loader's. Waiting for either does not count as standing still (daemon/base/pulse.h); a call of the device
 * does, unless scoring reports progress.
 */
#ifndef BIFURCATED_MEASURE_DEVICE_TURNS_H
#define BIFURCATED_MEASURE_DEVICE_TURNS_H

#include "daemon/base/err.h"
#include "gpu/registry.h"
#include "gpu/score.h"

#include <stdatomic.h>
#include <stdint.h>

#define DEVICE_TURNS_PASSES 8
#define DEVICE_TURNS_CALLEE "the compute device" /* whom a thread calls here (daemon/base/pulse.h) */

struct device_turns;

/* Over an opened device and, or NULL, a second context of the same one; borrowed. *busy_us grows by the time
 * that the device was taken; borrowed. The caller frees. */
int device_turns_new(struct device *device, struct device *second, _Atomic int64_t *busy_us,
                     struct device_turns **ret_turns, struct err *err);

/* Nobody waits any more. NULL is allowed. */
void device_turns_free(struct device_turns *turns);

/* Whether the device is lost: nothing more should be begun. NULL: no. */
int device_turns_is_lost(const struct device_turns *turns);

/* A call of the device does not come back, so it is lost: who waits gets ERR_CANCELLED. Nothing may be freed.
 */
void device_turns_give_up(struct device_turns *turns);

/* How many passes and models wait for the turn now (for tests of threads). */
void device_turns_count_waiting(struct device_turns *turns, int *ret_passes, int *ret_models);

/* Waits for the turn, as a model does; the context to compute on, until device_turns_end. NULL if the device
 * is lost: then there is no turn to end. */
struct device *device_turns_begin(struct device_turns *turns);
void device_turns_end(struct device_turns *turns);

/* One pass of tensor statistics (gpu/registry.h) when it is its turn, which comes first; but a model that
 * waits lets no more than DEVICE_TURNS_PASSES go before it. If the next model has taken the memory meanwhile,
 * so that it does not suffice even part by part, the pass is made once more when no model is there; alone, it
 * waits for that from the beginning. */
int device_turns_statistics(struct device_turns *turns, int is_alone,
                            const struct statistics_request *request, struct statistics_result *result,
                            struct err *err);

/* A loaded model that has the turn. */
struct device_turn {
    void *model;
    const struct backend_table *backend;
    double load_seconds;
    int is_alone; /* nobody loads until it is unloaded */
};

/* Loads a model as soon as there is room for it, and waits for the turn, or alone: when it has the turn;
 * source->beside is set here. After success the caller scores and calls device_turns_unload, which frees the
 * model and ends the turn. ERR_UNSUPPORTED if the device measures tensors only, what model_load returns. */
int device_turns_load(struct device_turns *turns, int is_alone, struct score_model_source *source,
                      struct device_turn *ret_turn, struct err *err);
int device_turns_score(struct device_turns *turns, const struct device_turn *turn,
                       const struct score_request *request, struct score_result *result, struct err *err);
void device_turns_unload(struct device_turns *turns, struct device_turn *turn);

#endif
