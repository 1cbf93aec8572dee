#include "daemon/text/normalizer.h"

#include "daemon/base/limits.h"

#include <string.h>

#define GROWTH_MAX 9 /* times: NFC at most triples a text, and so does a mark for each space */

void normalizer_scratch_init(struct normalizer_scratch *scratch)
{
    *scratch = (struct normalizer_scratch){0};
    for (size_t i = 0; i < 2; i++)
        buf_init(&scratch->texts[i], 0);
}

void normalizer_scratch_free(struct normalizer_scratch *scratch)
{
    nfc_scratch_free(&scratch->nfc);
    for (size_t i = 0; i < 2; i++)
        buf_free(&scratch->texts[i]);
}

int normalizer_add(struct normalizer *normalizer, const struct normalizer_step *step, struct err *err)
{
    if (normalizer->count == NORMALIZER_STEPS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d steps", NORMALIZER_STEPS_MAX);
    normalizer->steps[normalizer->count++] = *step;
    return 0;
}

static int is_same_step(const struct normalizer_step *a, const struct normalizer_step *b)
{
    return a->kind == b->kind && a->pattern_size == b->pattern_size && a->content_size == b->content_size &&
           memcmp(a->pattern, b->pattern, a->pattern_size) == 0 &&
           memcmp(a->content, b->content, a->content_size) == 0;
}

int normalizer_is_same(const struct normalizer *a, const struct normalizer *b)
{
    if (a->count != b->count)
        return 0;
    for (size_t i = 0; i < a->count; i++)
        if (!is_same_step(&a->steps[i], &b->steps[i]))
            return 0;
    return 1;
}

size_t normalizer_count(const struct normalizer *normalizer, enum normalizer_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < normalizer->count; i++)
        count += normalizer->steps[i].kind == kind;
    return count;
}

static void replace(const struct normalizer_step *step, const char *text, size_t size, struct buf *out)
{
    const char *end = text + size;
    for (const char *found;
         (found = memmem(text, (size_t)(end - text), step->pattern, step->pattern_size)) != NULL;
         text = found + step->pattern_size) {
        (void)buf_append(out, text, (size_t)(found - text));
        (void)buf_append(out, step->content, step->content_size);
    }
    (void)buf_append(out, text, (size_t)(end - text));
}

/* Whether the step leaves the text as it is; may say no where it does. */
static int is_idle(const struct normalizer_step *step, const char *text, size_t size)
{
    if (size == 0)
        return 1;
    switch (step->kind) {
    case NORMALIZER_NFC:
        return nfc_is_plain(text, size);
    case NORMALIZER_REPLACE:
        return memmem(text, size, step->pattern, step->pattern_size) == NULL;
    case NORMALIZER_PREPEND:
    default:
        return 0;
    }
}

int normalizer_apply(const struct normalizer *normalizer, struct normalizer_scratch *scratch,
                     const char *text, size_t size, const char **ret_text, size_t *ret_size, struct err *err)
{
    const size_t max = GROWTH_MAX * size + (size_t)NORMALIZER_STEPS_MAX * NORMALIZER_STRING_BYTES_MAX;
    size_t turn = 0;
    for (size_t i = 0; i < normalizer->count; i++) {
        const struct normalizer_step *step = &normalizer->steps[i];
        struct buf *out = &scratch->texts[turn];
        if (is_idle(step, text, size))
            continue;
        buf_clear(out);
        out->max = max;
        if (step->kind == NORMALIZER_NFC) {
            if (nfc_compose(&scratch->nfc, text, size, out, err))
                return err->code;
        } else if (step->kind == NORMALIZER_PREPEND) {
            (void)buf_append(out, step->content, step->content_size);
            (void)buf_append(out, text, size);
        } else {
            replace(step, text, size, out);
        }
        if (buf_check(out, "normalised text", err))
            return err->code;
        text = buf_text(out);
        size = out->size;
        turn ^= 1;
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}
