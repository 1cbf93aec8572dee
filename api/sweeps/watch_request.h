/*
 * What PUT /v1/watches/{owner}/{name} takes: when to look, what to ask of new revisions, whom to tell.
 *
 *     {"at": "02:30", "metrics": ["statistics"], "webhook": {"url": "https://...", "secret": "..."}}
 *     {"every_minutes": 15, "revisions": {"from": 1000}, "priority": -10}
 *
 * Exactly one of `at` and `every_minutes`. Besides them and `webhook`, members are those of a sweep
 * (api/sweeps/sweep_request.h), except the model, which the path names, and revisions/every. null counts as
 * not given.
 */
#ifndef BIFURCATED_API_SWEEPS_WATCH_REQUEST_H
#define BIFURCATED_API_SWEEPS_WATCH_REQUEST_H

#include "api/sweeps/sweep_request.h"
#include "store/watches.h"

struct api_watch_request {
    struct api_sweep_request sweep; /* its text is owned */
    struct timetable timetable;
    char webhook_url[WATCHES_URL_SIZE];
    char webhook_secret[WATCHES_SECRET_SIZE];
    int has_secret;
};

/* Parses body[size] for the model of the path; on ERR_INVALID, `field` is the JSON pointer of what is wrong.
 * The caller frees request->sweep.text. ERR_NO_MEMORY. */
int api_watch_request_parse(const char *body, size_t size, const char *model,
                            struct api_watch_request *request, char field[API_SWEEP_FIELD_SIZE],
                            struct err *err);

/* Whether text is an http or https URL of visible ASCII without user and password. */
int api_watch_request_is_url(const char *text);

#endif
