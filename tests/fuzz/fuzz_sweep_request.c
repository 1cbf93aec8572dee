/* The body of POST /v1/sweeps: what is accepted is canonical, so it is accepted again and stays the same. */
#include "api/sweeps/sweep_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct api_sweep_request first, again;
    char field[API_SWEEP_FIELD_SIZE];
    struct err err = ERR_INIT;
    if (size > LIMIT_API_BODY_BYTES)
        return 0;
    if (api_sweep_request_parse((const char *)data, size, &first, field, &err) == 0) {
        if (api_sweep_request_parse(first.text, strlen(first.text), &again, field, &err) != 0 ||
            strcmp(first.text, again.text) != 0)
            abort();
        free(again.text);
    }
    free(first.text);
    return 0;
}
