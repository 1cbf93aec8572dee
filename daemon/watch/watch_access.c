#include "daemon/watch/watch_access.h"

static int is_refusal(int code)
{
    return code == ERR_GATED || code == ERR_NOT_FOUND || code == ERR_UNAUTHORIZED;
}

/* Whether a sweep of it may succeed, whoever measures; `code` is the hub's answer to us. */
static int may_pass(const struct watch_access *access, int code)
{
    const struct watch_others *others = access->others;
    if (code && !is_refusal(code))
        return 0;
    return others ? others->may_read(others->context, access->model_id, !code) : !code;
}

/* The rows of a list that matter here. */
struct rows {
    const struct revision_listed *refused, *fresh; /* the newest of each; NULL: none */
    int some_are_given_up;
    json_int_t refused_count, fresh_count;
};

static void find_rows(const struct revision_list *list, struct rows *rows)
{
    *rows = (struct rows){.refused = NULL};
    for (size_t i = 0; i < list->count; i++) {
        const struct revision_listed *row = &list->rows[i];
        rows->refused = row->is_refused ? row : rows->refused;
        rows->fresh = row->is_selected ? row : rows->fresh;
        rows->some_are_given_up |= row->is_given_up;
        rows->refused_count += row->is_refused;
        rows->fresh_count += row->is_selected;
    }
}

/* Asks for one; *ret_code is the hub's answer. Returns what ends the run. */
static int ask(const struct watch_access *access, const struct revision_listed *listed,
               uint64_t *request_count, int *ret_code, struct err *reason)
{
    *reason = (struct err)ERR_INIT;
    *ret_code = access_ask(&access->own, &listed->row, request_count, reason);
    return *ret_code == ERR_CANCELLED || err_is_of_the_store(*ret_code) ? *ret_code : 0;
}

static int report_waiting(json_t *report, json_int_t count, const struct err *reason, struct err *err)
{
    json_t *gated = json_pack("{s:I, s:s}", "count", count, "reason",
                              reason->message[0] ? reason->message
                                                 : "this daemon may read it, but the workers that are there "
                                                   "were refused it: put a token that may read it where they "
                                                   "run");
    return json_object_set_new(report, "gated", gated) ? err_set(err, ERR_NO_MEMORY, "watch: out of memory")
                                                       : 0;
}

int watch_access_settle(const struct watch_access *access, struct revision_list *list, json_t *report,
                        uint64_t *request_count, struct err *err)
{
    struct rows rows;
    struct err reason = ERR_INIT;
    int answer = 0, code = 0;
    find_rows(list, &rows);
    if (!rows.refused && !(rows.some_are_given_up && rows.fresh))
        return 0;
    if (rows.refused)
        code = ask(access, rows.refused, request_count, &answer, &reason);
    if (!code && rows.refused && may_pass(access, answer)) {
        for (size_t i = 0; i < list->count; i++)
            list->rows[i].is_selected |= list->rows[i].is_refused;
        return 0;
    }
    /* One file may be kept by itself, so what is new is asked for by itself. */
    int is_new_refused = 0;
    if (!code && rows.fresh) {
        code = ask(access, rows.fresh, request_count, &answer, &reason);
        is_new_refused = !code && (!answer || is_refusal(answer)) && !may_pass(access, answer);
    }
    if (code) {
        *err = reason;
        return code;
    }
    for (size_t i = 0; is_new_refused && i < list->count; i++)
        list->rows[i].is_selected = 0;
    json_int_t waiting = rows.refused_count + (is_new_refused ? rows.fresh_count : 0);
    return waiting ? report_waiting(report, waiting, &reason, err) : 0;
}
