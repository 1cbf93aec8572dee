#include "daemon/text/sentencepiece_text.h"

#include "daemon/text/unicode.h"

#include <string.h>

#define GROWTH_MAX 16 /* times: NFKC makes 39 bytes of the three of U+FDFA, with marks for spaces */

static const char mark[] = "\xE2\x96\x81"; /* U+2581 */

struct writing {
    const struct sentencepiece *model;
    const struct added_tokens *user;
    struct buf *out;
    int follows_space; /* whether a space is removed here */
};

/* The next part of a text that becomes another, or stays. Returns its size. */
static size_t next_part(const struct writing *writing, const char *text, size_t size, const char **ret_part,
                        size_t *ret_size)
{
    uint32_t codepoint;
    size_t taken = added_tokens_longest(&writing->user->normalized, text, size);
    if (!taken && (taken = charsmap_find(&writing->model->charsmap, text, size, ret_part, ret_size)))
        return taken;
    if (!taken)
        taken = unicode_decode_valid((const unsigned char *)text, &codepoint);
    *ret_part = text;
    *ret_size = taken;
    return taken;
}

static void add_space(const struct writing *writing)
{
    if (writing->model->marks_spaces)
        (void)buf_append(writing->out, mark, sizeof mark - 1);
    else
        (void)buf_append_char(writing->out, ' ');
}

static void add_part(struct writing *writing, const char *part, size_t size)
{
    const char *end = part + size;
    while (writing->follows_space && part < end && *part == ' ')
        part++;
    if (part == end)
        return;
    for (const char *space; (space = memchr(part, ' ', (size_t)(end - part))) != NULL; part = space + 1) {
        (void)buf_append(writing->out, part, (size_t)(space - part));
        add_space(writing);
    }
    (void)buf_append(writing->out, part, (size_t)(end - part));
    writing->follows_space = writing->model->removes_extra_spaces && end[-1] == ' ';
}

/* The text behind the spaces that it begins with, where these go. */
static size_t skip_spaces(const struct writing *writing, const char *text, size_t size)
{
    const char *part;
    size_t begin = 0, part_size;
    while (writing->model->removes_extra_spaces && begin < size) {
        size_t taken = next_part(writing, text + begin, size - begin, &part, &part_size);
        if (part_size != 1 || *part != ' ')
            break;
        begin += taken;
    }
    return begin;
}

static void remove_last_spaces(const struct writing *writing)
{
    struct buf *out = writing->out;
    const char *space = writing->model->marks_spaces ? mark : " ";
    const size_t space_size = strlen(space);
    while (out->size >= space_size && memcmp(out->data + out->size - space_size, space, space_size) == 0)
        out->size -= space_size;
}

int sentencepiece_normalize(const struct sentencepiece *model, const struct added_tokens *user,
                            const char *text, size_t size, struct buf *out, struct err *err)
{
    struct writing writing = {
        .model = model, .user = user, .out = out, .follows_space = model->removes_extra_spaces};
    const char *part;
    size_t part_size;
    buf_clear(out);
    out->max = GROWTH_MAX * size + 64;
    size_t begin = skip_spaces(&writing, text, size);
    if (begin == size)
        return 0;
    if (model->has_dummy_space && !model->has_space_as_suffix)
        add_space(&writing);
    while (begin < size && !out->failed) {
        begin += next_part(&writing, text + begin, size - begin, &part, &part_size);
        add_part(&writing, part, part_size);
    }
    if (model->removes_extra_spaces && !out->failed)
        remove_last_spaces(&writing);
    if (model->has_dummy_space && model->has_space_as_suffix)
        add_space(&writing);
    return buf_check(out, "normalised text", err);
}
