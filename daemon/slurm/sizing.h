/*
 * How many workers a queue needs, and what to do about it: a pure function.
 *
 * A worker takes any task of the queue, so all live elements of all arrays are one supply, and the unfinished
 * tasks of all running sweeps one demand. An array is submitted for a sweep, is shown with it, and is
 * cancelled with it; when its sweep has ended otherwise, it goes on while other sweeps need it. Elements that
 * run are never cancelled for want of work: between two sweeps of a series they would be missed.
 */
#ifndef BIFURCATED_SLURM_SIZING_H
#define BIFURCATED_SLURM_SIZING_H

#include <stddef.h>
#include <stdint.h>

/* A running sweep; in the order in which the queue serves them. */
struct sizing_demand {
    int64_t sweep_id;
    int64_t tasks; /* that run or could run now; 0 or more */
};

/* An array that is pending or running. */
struct sizing_supply {
    int64_t sweep_id;       /* that it was submitted for */
    int64_t pending;        /* elements that wait for a node */
    int64_t running;        /* elements that hold one */
    int is_sweep_cancelled; /* nobody wants it any more */
};

enum sizing_kind {
    SIZING_SUBMIT,         /* an array of `size` workers for a sweep */
    SIZING_CANCEL,         /* the whole array */
    SIZING_CANCEL_PENDING, /* its elements that wait; those that run end by themselves once they are idle */
};

struct sizing_action {
    enum sizing_kind kind;
    int64_t sweep_id; /* SIZING_SUBMIT */
    int64_t size;     /* SIZING_SUBMIT: 1 or more */
    size_t supply;    /* the others: which array */
};

/*
 * Writes at most `action_max` actions to `actions` and returns how many. First, arrays of cancelled sweeps
 * are cancelled, and, newest first, elements that wait although those that are left suffice. Then arrays are
 * submitted, one for a sweep, until as many workers are live as there are tasks, or `workers_max`.
 */
size_t sizing_decide(const struct sizing_demand *demands, size_t demand_count,
                     const struct sizing_supply *supplies, size_t supply_count, int64_t workers_max,
                     struct sizing_action *actions, size_t action_max);

#endif
