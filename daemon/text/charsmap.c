#include "daemon/text/charsmap.h"

#include "daemon/text/unicode.h"

#include <string.h>

#define UNIT_BYTES 4
#define MATCHES_MAX 32 /* SentencePiece looks no further */

static uint32_t read_u32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

int charsmap_read(const void *data, size_t size, struct charsmap *ret_map, struct err *err)
{
    const unsigned char *bytes = data;
    if (size == 0) {
        *ret_map = (struct charsmap){.units = NULL};
        return 0;
    }
    if (size <= UNIT_BYTES)
        return err_set(err, ERR_FORMAT, "%zu bytes are too few", size);
    const uint32_t trie_size = read_u32(bytes);
    if (trie_size == 0 || trie_size % UNIT_BYTES || trie_size >= size - UNIT_BYTES)
        return err_set(err, ERR_FORMAT, "a trie of %u bytes does not fit into %zu", trie_size, size);
    const struct charsmap map = {
        .units = bytes + UNIT_BYTES,
        .unit_count = trie_size / UNIT_BYTES,
        .texts = (const char *)bytes + UNIT_BYTES + trie_size,
        .texts_size = size - UNIT_BYTES - trie_size,
    };
    if (map.texts[map.texts_size - 1] != 0)
        return err_set(err, ERR_FORMAT, "its last text does not end");
    if (unicode_valid_prefix(map.texts, map.texts_size) < map.texts_size)
        return err_set(err, ERR_FORMAT, "its texts are not UTF-8");
    *ret_map = map;
    return 0;
}

/* 0, which no unit of a walk is followed from, where the trie ends. */
static uint32_t unit_at(const struct charsmap *map, size_t place)
{
    return place < map->unit_count ? read_u32(map->units + place * UNIT_BYTES) : 0;
}

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & (1U << 9)) >> 6);
}

static uint32_t label_of(uint32_t unit)
{
    return unit & (1U << 31 | 0xFF);
}

static int has_leaf(uint32_t unit)
{
    return (unit >> 8 & 1) != 0;
}

/* What a leaf points to; a place within a character is none. */
static int read_text(const struct charsmap *map, uint32_t leaf, const char **ret_text, size_t *ret_size)
{
    const size_t begin = leaf & 0x7FFFFFFF;
    if (begin >= map->texts_size || ((unsigned char)map->texts[begin] & 0xC0) == 0x80)
        return 0;
    *ret_text = map->texts + begin;
    *ret_size = strlen(*ret_text);
    return 1;
}

size_t charsmap_find(const struct charsmap *map, const char *text, size_t size, const char **ret_text,
                     size_t *ret_size)
{
    size_t place = offset_of(unit_at(map, 0)), found = 0, matches = 0;
    for (size_t i = 0; map->units && i < size && matches < MATCHES_MAX; i++) {
        const unsigned char byte = (unsigned char)text[i];
        place ^= byte;
        const uint32_t unit = unit_at(map, place);
        if (place >= map->unit_count || label_of(unit) != byte)
            break;
        if (i == CHARSMAP_PIECE_BYTES_MAX)
            return CHARSMAP_TOO_LONG;
        place ^= offset_of(unit);
        if (!has_leaf(unit))
            continue;
        matches++;
        const int ends_character = i + 1 == size || ((unsigned char)text[i + 1] & 0xC0) != 0x80;
        if (ends_character && read_text(map, unit_at(map, place), ret_text, ret_size))
            found = i + 1;
    }
    return found;
}
