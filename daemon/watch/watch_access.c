#include "daemon/watch/watch_access.h"

#include "daemon/sweep/access.h"

static int is_refusal(int code)
{
    return code == ERR_GATED || code == ERR_NOT_FOUND || code == ERR_UNAUTHORIZED;
}

/* Whether a sweep of it may succeed: ours, or by the hands of others, who are asked so by their first task.
 */
static int may_pass(const struct watch_access *access, int code)
{
    const struct watch_others *others = access->others;
    return !code || (is_refusal(code) && others && others->are_there(others->context));
}

int watch_access_settle(const struct watch_access *access, struct revision_list *list, json_t *report,
                        uint64_t *request_count, struct err *err)
{
    const struct revision_listed *newest = NULL;
    struct err reason = ERR_INIT;
    json_int_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!list->rows[i].is_refused)
            continue;
        newest = &list->rows[i];
        count++;
    }
    if (!newest)
        return 0;
    int code = access_ask(access->hub, access->store, access->repository, &newest->row, access->spec,
                          access->cancel, request_count, &reason);
    if (code == ERR_CANCELLED || err_is_of_the_store(code)) {
        *err = reason;
        return code;
    }
    if (may_pass(access, code)) {
        for (size_t i = 0; i < list->count; i++)
            list->rows[i].is_selected |= list->rows[i].is_refused;
        return 0;
    }
    json_t *gated = json_pack("{s:I, s:s}", "count", count, "reason", reason.message);
    return json_object_set_new(report, "gated", gated) ? err_set(err, ERR_NO_MEMORY, "watch: out of memory")
                                                       : 0;
}
