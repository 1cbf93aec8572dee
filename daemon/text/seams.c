#include "daemon/text/seams.h"

#include "daemon/text/unicode.h"

#include <string.h>

static const char mark[] = "\xE2\x96\x81"; /* U+2581 */

#define MARK_SIZE (sizeof mark - 1)

static const char *find_mark(const char *text, size_t size)
{
    return memmem(text, size, mark, MARK_SIZE);
}

static int is_joined(const struct seams *seams, uint32_t codepoint)
{
    for (size_t i = 0; i < seams->joined_count; i++)
        if (seams->joined[i] == codepoint)
            return 1;
    return 0;
}

/* The character that ends before `end` > 0. */
static uint32_t last_character(const char *text, size_t end)
{
    uint32_t codepoint;
    (void)unicode_decode_valid((const unsigned char *)text + unicode_previous(text, end), &codepoint);
    return codepoint;
}

void seams_see(struct seams *seams, const char *token, size_t size)
{
    if (size <= MARK_SIZE)
        return;
    for (const char *from = token + 1, *found;
         (found = find_mark(from, (size_t)(token + size - from))) != NULL; from = found + MARK_SIZE) {
        uint32_t codepoint = last_character(token, (size_t)(found - token));
        if (is_joined(seams, codepoint))
            continue;
        if (seams->joined_count == SEAMS_JOINED_MAX)
            seams->is_crowded = 1;
        else
            seams->joined[seams->joined_count++] = codepoint;
    }
}

/* What has no symbol stands as "<0x0A>" or as the unknown token, and those may be joined by their ends. */
void seams_finish(struct seams *seams, const struct alphabet *alphabet, const struct vocabulary *vocabulary)
{
    uint32_t id;
    size_t size = 0;
    const char *unknown =
        alphabet->unk_id == ALPHABET_NO_ID ? NULL : vocabulary_token(vocabulary, alphabet->unk_id, &size);
    seams->joins_unknown =
        is_joined(seams, '>') || (size > 0 && is_joined(seams, last_character(unknown, size)));
    seams->is_usable =
        !alphabet->is_byte_level && !seams->is_crowded && vocabulary_find(vocabulary, mark, MARK_SIZE, &id);
}

/* Whether no merge joins the character before `end` to a mark there. */
static int is_seam(const struct seams *seams, const struct vocabulary *vocabulary, const char *word,
                   size_t end)
{
    uint32_t id;
    size_t begin = unicode_previous(word, end);
    if (is_joined(seams, last_character(word, end)))
        return 0;
    return !seams->joins_unknown || vocabulary_find(vocabulary, word + begin, end - begin, &id);
}

size_t seams_next(const struct seams *seams, const struct vocabulary *vocabulary, const char *word,
                  size_t size, size_t begin)
{
    if (!seams->is_usable)
        return size;
    for (size_t from = begin + 1; from < size;) {
        const char *found = find_mark(word + from, size - from);
        if (!found)
            return size;
        size_t end = (size_t)(found - word);
        if (is_seam(seams, vocabulary, word, end))
            return end;
        from = end + MARK_SIZE;
    }
    return size;
}
