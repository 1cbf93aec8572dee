#include "api/resource/context.h"

void api_context_wake(const struct api_context *context)
{
    const struct api_hooks *hooks = &context->hooks;
    if (hooks->wake)
        hooks->wake(hooks->context);
}

void api_context_note_change(const struct api_context *context, const struct api_change *change)
{
    const struct api_hooks *hooks = &context->hooks;
    if (hooks->note_change)
        hooks->note_change(hooks->context, change);
}

void api_context_note_worker_hub(const struct api_context *context, const char *problem, const char *of_all)
{
    const struct api_hooks *hooks = &context->hooks;
    if (problem[0] && hooks->doubt_hub)
        hooks->doubt_hub(hooks->context);
    if (hooks->note_hub_of_workers)
        hooks->note_hub_of_workers(hooks->context, of_all);
}

void api_context_read_hub_wait(const struct api_context *context, struct api_hub_wait *ret_wait)
{
    const struct api_hooks *hooks = &context->hooks;
    *ret_wait = (struct api_hub_wait){.reason = NULL};
    if (hooks->hub_wait)
        hooks->hub_wait(hooks->context, ret_wait);
}
