#include "daemon/watch/watch_access.h"

#include "daemon/sweep/access.h"

int watch_access_settle(struct store *store, struct hub *hub, struct repository *repository,
                        const struct sweep_spec *spec, struct revision_list *list, const atomic_bool *cancel,
                        json_t *report, uint64_t *request_count, struct err *err)
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
    int code = access_ask(hub, store, repository, &newest->row, spec, cancel, request_count, &reason);
    if (code == ERR_CANCELLED || err_is_of_the_store(code)) {
        *err = reason;
        return code;
    }
    for (size_t i = 0; !code && i < list->count; i++)
        list->rows[i].is_selected |= list->rows[i].is_refused;
    if (code && json_object_set_new(report, "gated",
                                    json_pack("{s:I, s:s}", "count", count, "reason", reason.message)))
        return err_set(err, ERR_NO_MEMORY, "watch: out of memory");
    return 0;
}
