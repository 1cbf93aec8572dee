/*
 * What the daemon and its remote workers say to each other: as structs, and as the bytes of POST /v1/claims
 * and PUT /v1/claims/{id}/result.
 *
 *     worker: offer   who asks, what it computes with, which definitions it knows
 *     daemon: task    the revision with its references, the sweep's request, and what is known already
 *     worker: result  what tasks_record() takes
 *
 * An offer and a task are JSON. A result is one line of JSON, a line feed, and then the large values that the
 * line lists (distributions, columns, samples), compressed as they are stored, one after the other in its
 * order: an eighth of what base64 of raw counts would be. Revisions and contents are named by name and
 * digest; ids of a database never travel. Reals have all their digits; null is NaN, "inf" and "-inf" are
 * infinities.
 *
 * The readers take hostile bytes: sizes are bounded (daemon/base/limits.h), unknown members are refused,
 * every large value is decoded and its counts are added up before it is accepted. An error names the member
 * ("tensors/0/statistics/2/mean: not a number").
 */
#ifndef BIFURCATED_API_WIRE_WIRE_H
#define BIFURCATED_API_WIRE_WIRE_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "daemon/base/limits.h"
#include "store/models.h"
#include "store/revisions.h"
#include "store/tasks.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_PROTOCOL 2 /* raised when a reader of the number before would misread */
#define WIRE_RESULT_TYPE "application/vnd.bifurcated.result"
#define WIRE_VERSION_SIZE 32
#define WIRE_DEVICE_SIZE 32
#define WIRE_ID_SIZE 64
#define WIRE_STORE_SIZE 33
#define WIRE_EXCEPT_MAX 64
#define WIRE_PROBLEM_SIZE ERR_MESSAGE_BYTES
#define WIRE_REVISIONS_MAX 3
#define WIRE_NAME_BYTES_MAX 64 /* of a worker without its slot */
#define WIRE_SLOT_DIGITS_MAX 4
#define WIRE_KEY_SIZE 33 /* 32 hexadecimal digits and a 0 */
#define WIRE_KEY_MARK_DIGITS 16
#define WIRE_WORKER_NAME_SIZE (WIRE_NAME_BYTES_MAX + 1 + WIRE_KEY_MARK_DIGITS + 1)

/* Memory of something that was read. */
struct wire_memory {
    void **blocks;
    size_t count, capacity;
    size_t bytes;
};

/* -- Workers -- */

/* A new key: what a worker tells its daemon alone. */
int wire_key_make(char key[WIRE_KEY_SIZE], struct err *err);

/*
 * How a daemon calls who offers itself by this name (the first `length` bytes of `name`, at most
 * WIRE_NAME_BYTES_MAX) and key: "name-DIGITS", with digits that follow from the key and do not tell it. So
 * nobody else can speak for that worker, whatever names there are to read.
 */
int wire_worker_name(const char *name, size_t length, const char *key, char ret_name[WIRE_WORKER_NAME_SIZE],
                     struct err *err);

/* -- Offer -- */

struct wire_offer {
    int64_t protocol;
    int64_t definition, scoring;     /* that this worker measures by: statistics, perplexity */
    char version[WIRE_VERSION_SIZE]; /* of the program */
    char worker[STORE_WORKER_SIZE];  /* "name/slot", with a slot that is a number */
    char key[WIRE_KEY_SIZE];         /* of this process, the same for all of its slots */
    char device[WIRE_DEVICE_SIZE];   /* "cuda:0" */
    char backend[STORE_BACKEND_SIZE];
    int64_t sweep_id;  /* 0: of any sweep */
    int64_t wait_s;    /* how long to wait for work; at most LIMIT_CLAIM_WAIT_S */
    int is_again;      /* the answer to the last offer was lost: give back what it may have claimed */
    int is_leaving;    /* wants no task any more */
    int has_new_token; /* for the hub: what was refused to the one before may not be to this one */
    int64_t except[WIRE_EXCEPT_MAX]; /* sweeps that this worker cannot work on */
    size_t except_count;
    char hub_problem[WIRE_PROBLEM_SIZE]; /* why it does not reach the hub; "" if it does */
};

int wire_offer_append(const struct wire_offer *offer, struct buf *buf, struct err *err);

/* ERR_FORMAT: not JSON; ERR_INVALID names the member. Of another protocol only that is read: the caller
 * compares. */
int wire_offer_parse(const char *text, size_t size, struct wire_offer *offer, struct err *err);

/* -- Result -- */

struct wire_result {
    struct task_result result; /* points into `memory` and the bytes that were read */
    struct model_row model;    /* what the worker learnt of a model that was not described */
    int has_model;
    char caution[ERR_MESSAGE_BYTES]; /* of a result that was read: where result.caution lies */
    struct wire_memory memory;
};

/* Appends a result; every displacement must have its `reference`. Large values are compressed here. */
int wire_result_append(const struct wire_result *result, struct buf *buf, struct err *err);

/* Reads a result from bytes that must outlive it. reference_revision_id of displacements is 0: the caller
 * knows which revisions TASK_LINK_FIRST and _PREVIOUS are. The caller frees *result, also after an error.
 * ERR_FORMAT, ERR_INVALID, ERR_LIMIT, ERR_UNSUPPORTED (another protocol), ERR_NO_MEMORY. */
int wire_result_parse(const char *data, size_t size, struct wire_result *result, struct err *err);

void wire_result_free(struct wire_result *result);

/* -- Task -- */

/* A revision that the task touches, with what the daemon knows of it. */
struct wire_revision {
    struct revision_row row;         /* ids are 0 after reading */
    struct revision_file_row *files; /* [file_count]; none: the worker lists them itself */
    size_t file_count;
    struct task_tensor
        *tensors; /* [tensor_count] known ones, without large values; they need not be measured */
    size_t tensor_count;
};

struct wire_task {
    int64_t protocol;
    char id[WIRE_ID_SIZE];       /* of the claim */
    char store[WIRE_STORE_SIZE]; /* which database: a worker forgets what it knew of another */
    int64_t sweep_id, task_id, attempt;
    int64_t failures, failures_max;
    char failure[STORE_ERROR_NAME_SIZE]; /* code of the last one that may have been the device's, else of the
                                            last; "": none */
    int64_t lease_ms;
    struct model_row model;                             /* name, kind, and its description if known */
    char *request;                                      /* of the sweep: JSON text */
    struct wire_revision revisions[WIRE_REVISIONS_MAX]; /* the first is to be measured */
    size_t revision_count;
    int reference, previous; /* indices into `revisions`, or -1 */
    struct wire_memory memory;
};

int wire_task_append(const struct wire_task *task, struct buf *buf, struct err *err);

/* As wire_result_parse. */
int wire_task_parse(const char *text, size_t size, struct wire_task *task, struct err *err);

void wire_task_free(struct wire_task *task);

/* -- What a worker says of its claim otherwise: JSON, read as an offer is -- */

/* PUT /v1/claims/{id}/heartbeat. */
int wire_beat_parse(const char *text, size_t size, int64_t *ret_bytes_fetched, struct err *err);

/* .../failure: why the attempt failed, and whether it is a result that the daemon refused. */
int wire_failure_parse(const char *text, size_t size, struct err *ret_reason, int *ret_is_refused,
                       struct err *err);

/* .../release: *ret_declined becomes why this worker cannot do the task; its code is 0 where it only stops.
 */
int wire_release_parse(const char *text, size_t size, struct err *ret_declined, struct err *err);

/* -- Memory -- */

/* Zeroed room for `count` things of `size`, freed with the memory; NULL without. */
void *wire_memory_new(struct wire_memory *memory, size_t count, size_t size);
void wire_memory_free(struct wire_memory *memory);

#endif
