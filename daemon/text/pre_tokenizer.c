#include "daemon/text/pre_tokenizer.h"

#include <string.h>

void pre_tokenizer_free(struct pre_tokenizer *pre_tokenizer)
{
    for (size_t i = 0; i < pre_tokenizer->count; i++)
        splitter_free(pre_tokenizer->splitters[i]);
    *pre_tokenizer = (struct pre_tokenizer){0};
}

int pre_tokenizer_is_same(const struct pre_tokenizer *a, const struct pre_tokenizer *b)
{
    if (a->prefix != b->prefix || a->mark_size != b->mark_size || a->count != b->count ||
        memcmp(a->mark, b->mark, a->mark_size) != 0)
        return 0;
    for (size_t i = 0; i < a->count; i++)
        if (!splitter_is_same(a->splitters[i], b->splitters[i]))
            return 0;
    return 1;
}

int pre_tokenizer_rewrite(const struct pre_tokenizer *pre_tokenizer, int is_first, struct buf *out,
                          const char **text, size_t *size, struct err *err)
{
    const int is_marked = pre_tokenizer->mark_size > 0;
    const char *mark = is_marked ? pre_tokenizer->mark : " ";
    const size_t mark_size = is_marked ? pre_tokenizer->mark_size : 1;
    const char *from = *text, *end = *text + *size;
    const int has_mark = *from == ' ' || (*size >= mark_size && memcmp(from, mark, mark_size) == 0);
    const int is_prefixed = !has_mark && (pre_tokenizer->prefix == PRE_TOKENIZER_PREFIX_ALWAYS ||
                                          (pre_tokenizer->prefix == PRE_TOKENIZER_PREFIX_FIRST && is_first));
    if (!is_prefixed && !(is_marked && memchr(from, ' ', *size)))
        return 0;
    buf_clear(out);
    if (is_prefixed)
        (void)buf_append(out, mark, mark_size);
    for (const char *space; is_marked && (space = memchr(from, ' ', (size_t)(end - from))) != NULL;
         from = space + 1) {
        (void)buf_append(out, from, (size_t)(space - from));
        (void)buf_append(out, mark, mark_size);
    }
    (void)buf_append(out, from, (size_t)(end - from));
    if (buf_check(out, "text behind a space", err))
        return err->code;
    *text = buf_text(out);
    *size = out->size;
    return 0;
}

int pre_tokenizer_walk_init(struct pre_tokenizer_walk *walk, const struct pre_tokenizer *pre_tokenizer,
                            struct err *err)
{
    *walk = (struct pre_tokenizer_walk){.pre_tokenizer = pre_tokenizer};
    for (size_t i = 0; i < pre_tokenizer->count; i++) {
        if (splitter_match_new(pre_tokenizer->splitters[i], &walk->matches[i], err)) {
            pre_tokenizer_walk_free(walk);
            return err->code;
        }
    }
    return 0;
}

void pre_tokenizer_walk_free(struct pre_tokenizer_walk *walk)
{
    for (size_t i = 0; i < PRE_TOKENIZER_SPLITTERS_MAX; i++)
        splitter_match_free(walk->matches[i]);
    *walk = (struct pre_tokenizer_walk){0};
}

void pre_tokenizer_begin(struct pre_tokenizer_walk *walk, const char *text, size_t size)
{
    walk->text = text;
    walk->begin = 0;
    walk->ends[0] = size;
    for (size_t i = 0; i < walk->pre_tokenizer->count; i++)
        walk->ends[i + 1] = 0;
}

int pre_tokenizer_next(struct pre_tokenizer_walk *walk, size_t *ret_begin, size_t *ret_end, struct err *err)
{
    const struct pre_tokenizer *pre_tokenizer = walk->pre_tokenizer;
    size_t level = pre_tokenizer->count;
    *ret_begin = *ret_end = walk->begin;
    if (walk->begin == walk->ends[0])
        return 0;
    while (level > 0 && walk->ends[level] == walk->begin) /* is used up */
        level--;
    for (; level < pre_tokenizer->count; level++) {
        if (splitter_next(pre_tokenizer->splitters[level], walk->matches[level], walk->text,
                          walk->ends[level], walk->begin, &walk->ends[level + 1], err))
            return err->code;
    }
    *ret_end = walk->begin = walk->ends[pre_tokenizer->count];
    return 0;
}
