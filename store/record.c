/*
 * Recording a result: all of it and the task's end in one transaction, or nothing. Of a task that then fails
 * only the rows are recorded.
 */
#include "store/record.h"

#include "store/moves.h"
#include "store/queue.h"
#include "store/touch.h"

#include <stdlib.h>
#include <string.h>

static int write_all(struct connection *connection, struct task_row *task, const struct task_result *result,
                     const struct record_blobs *blobs, struct err *err)
{
    int code = 0;
    for (size_t i = 0; !code && i < result->tensor_count; i++)
        code = record_tensor(connection, task, &result->tensors[i], result->is_hearsay, &blobs[i], err);
    if (!code)
        code = record_perplexities(connection, task, result, err);
    if (code)
        return code;
    if (result->is_part) {
        code = moves_note(connection, task->id, MOVES_PART, task->worker, NULL, err);
        return code ? code : touch_model(connection, task->model_id, err);
    }
    task->bytes_fetched = result->bytes_fetched;
    task->bytes_expected = result->bytes_fetched; /* nothing more will come */
    task->error_code[0] = task->error_message[0] = 0;
    return moves_task(connection, task, TASK_EVENT_RECORD, result->caution, err);
}

/* The worker sends the result again because our answer to it was lost. */
static int is_recorded_already(const struct task_row *task, const struct task_lease *lease)
{
    return task->state == TASK_STATE_DONE && task->attempts == lease->attempt &&
           !strcmp(task->worker, lease->worker);
}

int tasks_record(struct store *store, const struct task_lease *lease, const struct task_result *result,
                 struct err *err)
{
    struct connection *connection = NULL;
    struct task_row task = {0};
    struct err lost = ERR_INIT;
    int code = record_check(result, err);
    if (code)
        return code;
    struct record_blobs *blobs = calloc(result->tensor_count ? result->tensor_count : 1, sizeof *blobs);
    if (!blobs)
        return err_set(err, ERR_NO_MEMORY, "result: out of memory");
    for (size_t i = 0; !code && i < result->tensor_count; i++)
        code = record_encode(&result->tensors[i], &blobs[i], err);
    if (code)
        goto out;
    if ((code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err)))
        goto out;
    code = queue_load_leased(connection, lease, &task, &lost);
    if (!code)
        code = write_all(connection, &task, result, blobs, err);
    else if (code == ERR_CONFLICT && is_recorded_already(&task, lease))
        code = 0;
    else
        *err = lost;
    code = store_write_end(store, code, err);
out:
    for (size_t i = 0; i < result->tensor_count; i++)
        record_blobs_free(&blobs[i]);
    free(blobs);
    return code;
}
