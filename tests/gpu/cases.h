/*
 * The table of cases: each operation of the CUDA backend against the CPU backend, which is the oracle.
 *
 *     gpu_cases MODULE [quick|small] [families|others] [part=I/N] [after=N] [self] [only=TEXT]
 *
 * says which case begins and how it ended, a line each, and ends with a count; exit status 1 if a case fails.
 * What is cut has said what passed, and in which case it was; so has what a case ends that crashes, stands
 * still for CASE_LIMIT_S or loses the device, and with `after` as many as have begun the others run.
 * `quick` leaves the large cases out, `small` all but the smallest (under compute-sanitizer everything takes
 * fifty times as long);
 * `families` are the cases of models after GPT-NeoX alone, `others` all but these: a process each, since a
 * kernel that fails takes the device from all that come after it;
 * `part=2/3` is the second, fifth ... of these cases, for three processes at once;
 * `self` puts the CPU backend in the place of the device, which tests this program (halves are refused then).
 * The same cases, the small ones, run on the emulated module (tests/emulation).
 * A new case is one row in cases_statistics.c, cases_score.c, cases_families.c, cases_scaled.c,
 * cases_windows.c, cases_experts.c or cases_attention.c; cases_order.c says which family's comes when.
 */
#ifndef BIFURCATED_TESTS_GPU_CASES_H
#define BIFURCATED_TESTS_GPU_CASES_H

#include "gpu/registry.h"

/* What a case takes: small ones run emulated too, quick ones under compute-sanitizer too. */
enum case_cost { CASE_COST_SMALL, CASE_COST_QUICK, CASE_COST_LARGE };

struct cases {
    struct device *cpu, *cuda;
    struct device *full; /* the second context, under CASES_FULL_BYTES */
    enum case_cost cost_max;
    const char *only;
    unsigned part, parts, turn; /* every parts-th case runs, from number `part` on; parts 0: all */
    unsigned after, begun;      /* of these, the first `after` have run before */
    unsigned limit_s;           /* a case that takes longer ends the process; 0: none does */
    int is_lost;                /* the device: nothing more runs in this process */
    int passed, failed;
    int slow; /* cases with products that cuBLASLt does not do, which their lines name */
};

#define CASE_LIMIT_S 60U

/* The limit of the second context: 16 MB beside the workspaces of both. */
#define CASES_FULL_BYTES 150000000

/* Whether a case of this name is to run, which it then says. */
int case_begins(struct cases *cases, const char *name, enum case_cost cost);

/* Notes how it ended: `value` is the largest difference in units of its tolerance, 1 or less passes. `what`
 * names the number that it belongs to. */
void case_ends(struct cases *cases, const char *name, double value, const char *what);

/* A call that must succeed did not. */
void case_breaks(struct cases *cases, const char *name, const struct err *err);

/* What needs no device. */
void cases_grid(struct cases *cases);

void cases_statistics(struct cases *cases);
void cases_score(struct cases *cases);

/* Of models after GPT-NeoX: first one of each family, then the others, the large ones last. */
void cases_families(struct cases *cases);

#endif
