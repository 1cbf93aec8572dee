/* The body of PUT /v1/watches/{owner}/{name}: what is accepted has one time, and a request that a sweep may
 * have. */
#include "api/sweeps/watch_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_watch_request watch;
    struct api_sweep_request again;
    char field[API_SWEEP_FIELD_SIZE];
    struct err err = ERR_INIT;
    if (size > LIMIT_API_BODY_BYTES)
        return 0;
    if (api_watch_request_parse((const char *)data, size, "owner/name", &watch, field, &err) == 0) {
        const struct timetable *times = &watch.timetable;
        if (times->at_minute < 0 || times->at_minute > 1439 || times->every_minutes < 0 ||
            times->every_minutes > TIMETABLE_EVERY_MAX ||
            (watch.webhook_url[0] && !api_watch_request_is_url(watch.webhook_url)) ||
            api_sweep_request_parse(watch.sweep.text, strlen(watch.sweep.text), &again, field, &err) != 0 ||
            strcmp(watch.sweep.text, again.text) != 0 || strcmp(again.model, "owner/name") != 0)
            abort();
        free(again.text);
    }
    free(watch.sweep.text);
    return 0;
}
