#include "daemon/text/nfc.h"

#include "daemon/base/limits.h"
#include "daemon/text/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define DECOMPOSED_MAX 16 /* characters of one decomposed character; Unicode's longest is 4 */

/* Combining marks that came after Unicode 9, up to Unicode 16, and the blocks of Unicode 16 whose letters
 * have decompositions: inert, as said in the header. Ordered. */
static const struct {
    uint32_t first, last;
} inert[] = {
    {0x07FD, 0x07FD},   {0x0897, 0x089F},   {0x08CA, 0x08D3},   {0x09FE, 0x09FE},   {0x0C3C, 0x0C3C},
    {0x0D3B, 0x0D3C},   {0x0EBA, 0x0EBA},   {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
    {0xA82C, 0xA82C},   {0x105C0, 0x105FF}, {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC},
    {0x10EFC, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x11380, 0x113FF}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11938, 0x11938}, {0x1193D, 0x1193E},
    {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
    {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16100, 0x1613F},
    {0x16D40, 0x16D7F}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF},
};

static int is_inert(uint32_t codepoint)
{
    size_t low = 0, high = sizeof inert / sizeof inert[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (codepoint > inert[middle].last)
            low = middle + 1;
        else if (codepoint < inert[middle].first)
            high = middle;
        else
            return 1;
    }
    return 0;
}

void nfc_scratch_free(struct nfc_scratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->codepoints);
    free(scratch->order);
    *scratch = (struct nfc_scratch){0};
}

int nfc_is_plain(const char *text, size_t size)
{
    unsigned char highest = 0;
    for (size_t i = 0; i < size; i++)
        highest = (unsigned char)text[i] > highest ? (unsigned char)text[i] : highest;
    return highest < 0xCC; /* the lead byte of U+0300 */
}

/* Whether a run of characters that influence each other can only begin here: not a mark, and not one of the
 * Hangul vowels and finals, the only letters that compose with what precedes them. */
static int is_boundary(uint32_t codepoint)
{
    if (codepoint < 0x300)
        return 1;
    if (codepoint >= 0x1160 && codepoint <= 0x11FF)
        return 0;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)codepoint);
    return category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_MC &&
           category != UTF8PROC_CATEGORY_ME;
}

static int make_room(struct nfc_scratch *scratch, struct err *err)
{
    if (scratch->count + DECOMPOSED_MAX <= scratch->capacity)
        return 0;
    if (scratch->count > LIMIT_WORD_BYTES)
        return err_set(err, ERR_LIMIT, "more than %zu combining marks in a row", LIMIT_WORD_BYTES);
    size_t capacity = scratch->capacity ? scratch->capacity * 2 : 256;
    int32_t *codepoints = reallocarray(scratch->codepoints, capacity, sizeof *codepoints);
    if (!codepoints)
        return err_set(err, ERR_NO_MEMORY, "normalisation: out of memory");
    scratch->codepoints = codepoints;
    scratch->capacity = capacity;
    return 0;
}

static unsigned combining_class(int32_t codepoint)
{
    return (unsigned)utf8proc_get_property(codepoint)->combining_class;
}

static int compare_order(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Sorts a run of marks by class and, within a class, by where they stood: one number holds class (8 bits),
 * position (32) and character (24), so an unstable sort is stable. */
static int sort_long_run(struct nfc_scratch *scratch, int32_t *run, size_t count, struct err *err)
{
    if (count > scratch->order_capacity) {
        free(scratch->order);
        scratch->order_capacity = 0;
        scratch->order = reallocarray(NULL, count, sizeof *scratch->order);
        if (!scratch->order)
            return err_set(err, ERR_NO_MEMORY, "normalisation: out of memory");
        scratch->order_capacity = count;
    }
    for (size_t i = 0; i < count; i++)
        scratch->order[i] = (uint64_t)combining_class(run[i]) << 56 | (uint64_t)i << 24 | (uint32_t)run[i];
    qsort(scratch->order, count, sizeof *scratch->order, compare_order);
    for (size_t i = 0; i < count; i++)
        run[i] = (int32_t)(scratch->order[i] & 0xFFFFFFU);
    return 0;
}

static void sort_short_run(int32_t *run, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        int32_t moving = run[i];
        size_t j = i;
        for (; j > 0 && combining_class(run[j - 1]) > combining_class(moving); j--)
            run[j] = run[j - 1];
        run[j] = moving;
    }
}

/* Canonical ordering: each run of characters with a nonzero class is sorted by it, stably. utf8proc would do
 * this in quadratic time. */
static int order_marks(struct nfc_scratch *scratch, struct err *err)
{
    int32_t *codepoints = scratch->codepoints;
    for (size_t i = 0; i < scratch->count;) {
        if (combining_class(codepoints[i]) == 0) {
            i++;
            continue;
        }
        size_t end = i + 1;
        while (end < scratch->count && combining_class(codepoints[end]) != 0)
            end++;
        if (end - i <= 16)
            sort_short_run(codepoints + i, end - i);
        else if (sort_long_run(scratch, codepoints + i, end - i, err))
            return err->code;
        i = end;
    }
    return 0;
}

/* Orders, composes and writes what is in the scratch. */
static int flush(struct nfc_scratch *scratch, struct buf *out, struct err *err)
{
    if (scratch->count == 0)
        return 0;
    if (order_marks(scratch, err))
        return err->code;
    utf8proc_ssize_t count = utf8proc_normalize_utf32(scratch->codepoints, (utf8proc_ssize_t)scratch->count,
                                                      UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (count < 0)
        return err_set(err, ERR_INTERNAL, "normalisation: %s", utf8proc_errmsg(count));
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        unsigned char encoded[UNICODE_UTF8_BYTES_MAX];
        (void)buf_append(out, encoded, unicode_encode((uint32_t)scratch->codepoints[i], encoded));
    }
    scratch->count = 0;
    return 0;
}

static int add(struct nfc_scratch *scratch, uint32_t codepoint, struct err *err)
{
    if (make_room(scratch, err))
        return err->code;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)codepoint, scratch->codepoints + scratch->count,
                                DECOMPOSED_MAX, UTF8PROC_COMPOSE | UTF8PROC_STABLE, NULL);
    if (count < 0 || count > DECOMPOSED_MAX)
        return err_set(err, ERR_INTERNAL, "normalisation: %s",
                       count < 0 ? utf8proc_errmsg(count) : "a decomposition is too long");
    scratch->count += (size_t)count;
    return 0;
}

int nfc_compose(struct nfc_scratch *scratch, const char *text, size_t size, struct buf *out, struct err *err)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t plain = 0; /* [plain, i) waits to be copied as it is */
    size_t i = 0;
    scratch->count = 0;
    while (i < size) {
        if (bytes[i] < 0xCC) { /* below U+0300, and the next one too: nothing can happen to it */
            size_t next = i + (bytes[i] < 0x80 ? 1 : 2);
            if (next >= size || bytes[next] < 0xCC) {
                i = next;
                continue;
            }
        }
        (void)buf_append(out, text + plain, i - plain);
        /* A base character and whatever belongs to it. */
        do {
            uint32_t codepoint;
            size_t length = unicode_decode_valid(bytes + i, &codepoint);
            if (is_inert(codepoint)) {
                if (flush(scratch, out, err))
                    return err->code;
                (void)buf_append(out, text + i, length);
            } else if (add(scratch, codepoint, err)) {
                return err->code;
            }
            i += length;
            if (i < size)
                (void)unicode_decode_valid(bytes + i, &codepoint);
            if (i == size || is_boundary(codepoint))
                break;
        } while (1);
        if (flush(scratch, out, err))
            return err->code;
        plain = i;
    }
    (void)buf_append(out, text + plain, size - plain);
    return buf_check(out, "normalised text", err);
}
