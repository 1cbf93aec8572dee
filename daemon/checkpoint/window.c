#include "daemon/checkpoint/window.h"

#include <stdlib.h>
#include <string.h>

int window_fill(struct window *window, struct source *source, uint64_t begin, size_t size, struct err *err)
{
    unsigned char *data = malloc(size ? size : 1);
    if (!data)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    int code = source_read(source, begin, data, size, err);
    if (code) {
        free(data);
        return code;
    }
    free(window->data);
    *window = (struct window){.begin = begin, .size = size, .data = data};
    return 0;
}

int window_holds(const struct window *window, uint64_t offset)
{
    return offset >= window->begin && offset - window->begin < window->size;
}

size_t window_copy(const struct window *window, uint64_t offset, unsigned char *data, size_t size)
{
    if (!window_holds(window, offset))
        return 0;
    size_t from = (size_t)(offset - window->begin);
    size_t count = window->size - from < size ? window->size - from : size;
    memcpy(data, window->data + from, count);
    return count;
}

void window_done(struct window *window)
{
    free(window->data);
    *window = (struct window){0};
}
