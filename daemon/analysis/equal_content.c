#include "daemon/analysis/equal_content.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct equal_content *x = a, *y = b;
    if (x->content != y->content)
        return x->content < y->content ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void equal_content_sort(struct equal_content *contents, size_t count)
{
    qsort(contents, count, sizeof *contents, compare);
}

size_t equal_content_end(const struct equal_content *contents, size_t count, size_t begin)
{
    size_t end = begin + 1;
    while (end < count && contents[end].content == contents[begin].content)
        end++;
    return end;
}

int equal_content_is_run(const struct equal_content *group, size_t count)
{
    return group[count - 1].index - group[0].index + 1 == count;
}
