#include "daemon/text/sentencepiece_text.h"

#include "daemon/base/pulse.h"
#include "daemon/text/unicode.h"

#include <string.h>

#define GROWTH_MAX 16 /* times: NFKC makes 39 bytes of the three of U+FDFA, with marks for spaces */

static const char mark[] = "\xE2\x96\x81"; /* U+2581 */

#define PARTS_PER_BEAT 65536 /* of the watchdog's pulse */

struct writing {
    const struct sentencepiece *model;
    const struct added_tokens *user;
    const atomic_bool *cancel; /* may be NULL */
    struct buf *out;
    size_t part_count;
    int follows_space; /* whether a space is removed here */
    struct err *err;
};

static int keep_on(struct writing *writing)
{
    if (++writing->part_count % PARTS_PER_BEAT != 0)
        return 0;
    pulse_beat();
    if (writing->cancel && atomic_load(writing->cancel))
        return err_set(writing->err, ERR_CANCELLED, "making a text ready for SentencePiece was cancelled");
    return 0;
}

/* The next part of a text that becomes another, or stays. Returns its size, or 0 with the error set. */
static size_t next_part(struct writing *writing, const char *text, size_t size, const char **ret_part,
                        size_t *ret_size)
{
    uint32_t codepoint;
    if (keep_on(writing))
        return 0;
    size_t taken = added_tokens_longest(&writing->user->normalized, text, size);
    if (!taken) {
        taken = charsmap_find(&writing->model->charsmap, text, size, ret_part, ret_size);
        if (taken == CHARSMAP_TOO_LONG)
            (void)err_set(writing->err, ERR_LIMIT,
                          "normalizer_spec: precompiled_charsmap: it looks at more than %d bytes at a time",
                          CHARSMAP_PIECE_BYTES_MAX);
        if (taken)
            return taken == CHARSMAP_TOO_LONG ? 0 : taken;
        taken = unicode_decode_valid((const unsigned char *)text, &codepoint);
    }
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

/* Where the text behind the spaces that it begins with is, where these go. */
static int skip_spaces(struct writing *writing, const char *text, size_t size, size_t *ret_begin)
{
    const char *part;
    size_t part_size;
    *ret_begin = 0;
    while (writing->model->removes_extra_spaces && *ret_begin < size) {
        size_t taken = next_part(writing, text + *ret_begin, size - *ret_begin, &part, &part_size);
        if (!taken)
            return writing->err->code;
        if (part_size != 1 || *part != ' ')
            break;
        *ret_begin += taken;
    }
    return 0;
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
                            const char *text, size_t size, const atomic_bool *cancel, struct buf *out,
                            struct err *err)
{
    struct writing writing = {.model = model,
                              .user = user,
                              .cancel = cancel,
                              .out = out,
                              .follows_space = model->removes_extra_spaces,
                              .err = err};
    const char *part;
    size_t part_size, begin;
    buf_clear(out);
    out->max = GROWTH_MAX * size + 64;
    if (skip_spaces(&writing, text, size, &begin))
        return err->code;
    if (begin == size)
        return 0;
    if (model->has_dummy_space && !model->has_space_as_suffix)
        add_space(&writing);
    for (size_t taken; begin < size && !out->failed; begin += taken) {
        if ((taken = next_part(&writing, text + begin, size - begin, &part, &part_size)) == 0)
            return err->code;
        add_part(&writing, part, part_size);
    }
    if (model->removes_extra_spaces && !out->failed)
        remove_last_spaces(&writing);
    if (model->has_dummy_space && model->has_space_as_suffix)
        add_space(&writing);
    return buf_check(out, "normalised text", err);
}
