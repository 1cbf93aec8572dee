#include "api/sweeps/event_text.h"

#include "api/resource/context.h"
#include "api/sweeps/sweep_view.h"
#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void event_text_release(struct event_text *text)
{
    if (text && --text->references == 0)
        free(text);
}

int event_text_render(const struct api_context *context, int64_t sweep_id, struct event_text **ret_text,
                      uint64_t *ret_version, int *ret_is_over, struct err *err)
{
    struct buf json, event;
    struct api_hub_wait wait;
    api_context_read_hub_wait(context, &wait);
    buf_init(&json, LIMIT_API_BODY_BYTES * 2);
    buf_init(&event, LIMIT_API_BODY_BYTES * 2 + KIB);
    struct event_text *text = NULL;
    int code = api_sweep_append(context->store, sweep_id, &wait, &json, ret_version, ret_is_over, err);
    if (code)
        goto out;
    *ret_version += wait.serial;
    /* JSON of ours has no line breaks, but a stored request may. */
    for (size_t i = 0; i < json.size; i++) {
        if (json.data[i] == '\n' || json.data[i] == '\r')
            json.data[i] = ' ';
    }
    buf_appendf(&event, "id: %" PRIu64 "\nevent: %s\ndata: ", *ret_version,
                *ret_is_over ? "end" : "progress");
    buf_append(&event, json.data, json.size);
    buf_append_text(&event, "\n\n");
    code = buf_check(&event, "event", err);
    if (code)
        goto out;
    text = malloc(sizeof *text + event.size);
    if (!text) {
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    text->references = 1;
    text->size = event.size;
    memcpy(text->data, event.data, event.size);
    *ret_text = text;
out:
    buf_free(&event);
    buf_free(&json);
    return code;
}
