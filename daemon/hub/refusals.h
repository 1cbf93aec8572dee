/*
 * For this folder only: the repositories whose files the hub refuses to our token, or to us without one.
 *
 * Whether a token may read a repository is the same for all its revisions. So one refusal answers for the
 * whole repository: until REFUSALS_MS are over, or somebody asks anew (hub_forget_refusals()), a request for
 * a file of it ends with the same error and is not sent. What is in the cache is read as ever. A refusal is
 * of the token (token.h) that the request was sent with, and none of any other.
 */
#ifndef BIFURCATED_HUB_REFUSALS_H
#define BIFURCATED_HUB_REFUSALS_H

#include "daemon/base/err.h"
#include "daemon/hub/repository.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define REFUSALS_MS 300000      /* access may be granted meanwhile */
#define REFUSALS_GIVEN_MS 60000 /* a file given this recently was not withdrawn: the hub errs */
#define REFUSALS_DOUBT_MS 1500  /* a refusal is believed after so long: a hub in trouble refuses, too */
#define REFUSALS_MAX 64         /* beyond, the oldest is forgotten, and asked for once more */
#define REFUSALS_NAME_SIZE 97

struct refusal {
    enum repository_kind kind;
    char name[REFUSALS_NAME_SIZE]; /* "owner/name" */
    uint64_t token_serial;
    int64_t until_ms; /* 0: it is not refused */
    int64_t given_ms; /* when a file was given last; 0: never */
    int64_t doubt_ms; /* since when it has been refused; 0: it has not */
    struct err reason;
};

struct refusals {
    pthread_mutex_t lock; /* guards all below */
    size_t count;
    struct refusal rows[REFUSALS_MAX]; /* the oldest first */
};

void refusals_init(struct refusals *refusals);
void refusals_free(struct refusals *refusals);

/* The hub has refused a file of this repository to this token, in words that are certain (it knows the
 * repository, and its terms) or not (it knows no such repository, or not the token). Returns 0 where one more
 * try may help: it has given a file within REFUSALS_GIVEN_MS, or has said so for less than REFUSALS_DOUBT_MS
 * what is not certain. The time is monotonic, as the next. */
int refusals_note(struct refusals *refusals, enum repository_kind kind, const char *name,
                  uint64_t token_serial, int is_certain, const struct err *reason, int64_t now_ms);

/* It has given one. */
void refusals_note_given(struct refusals *refusals, enum repository_kind kind, const char *name,
                         uint64_t token_serial, int64_t now_ms);

/* The code of the reason, which becomes *err; 0: the hub may be asked with this token. */
int refusals_find(struct refusals *refusals, enum repository_kind kind, const char *name,
                  uint64_t token_serial, int64_t now_ms, struct err *err);

/* Forgets model and data set of the name that `name` begins with: up to its end or to ":". */
void refusals_forget(struct refusals *refusals, const char *name);

#endif
