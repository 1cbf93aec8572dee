/*
 * What remote workers and the daemon send each other: any bytes are refused, or read, written and read again
 * without a change. The first byte says as what they are read.
 */
#include "api/wire/wire.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check_words(const char *data, size_t size)
{
    struct err err = ERR_INIT, said = ERR_INIT;
    int64_t bytes = 0;
    int is_refused = 0;
    if (wire_beat_parse(data, size, &bytes, &err) == 0 && (bytes < 0 || bytes > LIMIT_TASK_BYTES))
        abort();
    if (wire_failure_parse(data, size, &said, &is_refused, &err) == 0 && (!said.code || !said.message[0]))
        abort();
    if (wire_release_parse(data, size, &said, &err) == 0 && said.code && !said.message[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_result(const char *data, size_t size)
{
    struct wire_result first, second;
    struct err err = ERR_INIT;
    struct buf one, two;
    buf_init(&one, LIMIT_CLAIM_RESULT_BYTES);
    buf_init(&two, LIMIT_CLAIM_RESULT_BYTES);
    if (wire_result_parse(data, size, &first, &err) == 0) {
        if (wire_result_append(&first, &one, &err) || wire_result_parse(one.data, one.size, &second, &err) ||
            wire_result_append(&second, &two, &err) || one.size != two.size ||
            memcmp(one.data, two.data, one.size) != 0)
            abort();
        wire_result_free(&second);
    }
    wire_result_free(&first);
    buf_free(&one);
    buf_free(&two);
}

static void check_task(const char *data, size_t size)
{
    struct wire_task first, second;
    struct err err = ERR_INIT;
    struct buf one, two;
    buf_init(&one, LIMIT_CLAIM_HEAD_BYTES);
    buf_init(&two, LIMIT_CLAIM_HEAD_BYTES);
    if (wire_task_parse(data, size, &first, &err) == 0) {
        if (wire_task_append(&first, &one, &err) || wire_task_parse(one.data, one.size, &second, &err) ||
            wire_task_append(&second, &two, &err) || strcmp(one.data, two.data) != 0)
            abort();
        wire_task_free(&second);
    }
    wire_task_free(&first);
    buf_free(&one);
    buf_free(&two);
}

static void check_offer(const char *data, size_t size)
{
    struct wire_offer first, second;
    struct err err = ERR_INIT;
    struct buf one;
    buf_init(&one, LIMIT_API_BODY_BYTES);
    if (wire_offer_parse(data, size, &first, &err) == 0 && first.protocol == WIRE_PROTOCOL &&
        (wire_offer_append(&first, &one, &err) || wire_offer_parse(one.data, one.size, &second, &err) ||
         memcmp(&first, &second, sizeof first) != 0))
        abort();
    buf_free(&one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *rest = (const char *)data + 1;
    switch (data[0]) {
    case 'r':
        check_result(rest, size - 1);
        break;
    case 't':
        check_task(rest, size - 1);
        break;
    case 'w':
        check_words(rest, size - 1);
        break;
    default:
        check_offer(rest, size - 1);
    }
    return 0;
}
