#include "daemon/text/token_ids.h"

#include <stdlib.h>
#include <string.h>

void token_ids_init(struct token_ids *ids, size_t max)
{
    *ids = (struct token_ids){.max = max};
}

void token_ids_free(struct token_ids *ids)
{
    if (!ids)
        return;
    free(ids->data);
    token_ids_init(ids, ids->max);
}

uint32_t *token_ids_reserve(struct token_ids *ids, size_t count, struct err *err)
{
    if (count > ids->max - ids->count) {
        (void)err_set(err, ERR_LIMIT, "more than the limit of %zu tokens", ids->max);
        return NULL;
    }
    size_t need = ids->count + count;
    if (need > ids->capacity || !ids->data) {
        size_t capacity = ids->capacity + ids->capacity / 2;
        if (capacity < need)
            capacity = need;
        if (capacity < 256)
            capacity = 256;
        uint32_t *data = reallocarray(ids->data, capacity, sizeof *data);
        if (!data) {
            (void)err_set(err, ERR_NO_MEMORY, "out of memory for %zu tokens", capacity);
            return NULL;
        }
        ids->data = data;
        ids->capacity = capacity;
    }
    return ids->data + ids->count;
}

int token_ids_append(struct token_ids *ids, const uint32_t *data, size_t count, struct err *err)
{
    uint32_t *place = token_ids_reserve(ids, count, err);
    if (!place)
        return err->code;
    if (count)
        memcpy(place, data, count * sizeof *data);
    ids->count += count;
    return 0;
}
