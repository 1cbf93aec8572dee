#include "daemon/text/alphabet.h"

#include "daemon/text/unicode.h"

#include <stdio.h>
#include <string.h>

/* How a byte is written where it is a symbol; returns the length. */
static size_t write_byte(const struct alphabet *alphabet, unsigned byte, char out[8])
{
    if (alphabet->is_byte_level)
        return unicode_encode(vocabulary_byte_to_char((unsigned char)byte), (unsigned char *)out);
    return (size_t)snprintf(out, 8, "<0x%02X>", byte);
}

void alphabet_find_bytes(struct alphabet *alphabet, const struct vocabulary *vocabulary)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char spelled[8];
        size_t size = write_byte(alphabet, byte, spelled);
        alphabet->has_byte[byte] =
            (unsigned char)vocabulary_find(vocabulary, spelled, size, &alphabet->byte_ids[byte]);
    }
}

int alphabet_has_all_bytes(const struct alphabet *alphabet)
{
    return memchr(alphabet->has_byte, 0, sizeof alphabet->has_byte) == NULL;
}

/* The symbols so far. An unknown one waits, since more of them may follow, and then stands behind the bytes
 * of characters in between, as there. */
struct spelling {
    uint32_t *ids;
    size_t count;
    int has_unknown;
};

static void add_known(struct spelling *spelling, const struct alphabet *alphabet, uint32_t id)
{
    if (spelling->has_unknown)
        spelling->ids[spelling->count++] = alphabet->unk_id;
    spelling->has_unknown = 0;
    spelling->ids[spelling->count++] = id;
}

static void add_unknown(struct spelling *spelling, const struct alphabet *alphabet)
{
    if (alphabet->unk_id == ALPHABET_NO_ID)
        return;
    if (spelling->has_unknown && !alphabet->fuse_unk)
        spelling->ids[spelling->count++] = alphabet->unk_id;
    spelling->has_unknown = 1;
}

/* Returns 0 if a byte of the character has no token. */
static int add_bytes(struct spelling *spelling, const struct alphabet *alphabet, const unsigned char *bytes,
                     size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!alphabet->has_byte[bytes[i]])
            return 0;
    for (size_t i = 0; i < length; i++)
        spelling->ids[spelling->count++] = alphabet->byte_ids[bytes[i]];
    return 1;
}

size_t alphabet_spell(const struct alphabet *alphabet, const struct vocabulary *vocabulary, const char *word,
                      size_t size, uint32_t *ids)
{
    const unsigned char *bytes = (const unsigned char *)word;
    struct spelling spelling = {.ids = ids};
    for (size_t i = 0, length; i < size; i += length) {
        uint32_t id;
        length = 1;
        if (alphabet->is_byte_level) {
            if (alphabet->has_byte[bytes[i]])
                add_known(&spelling, alphabet, alphabet->byte_ids[bytes[i]]);
            else
                add_unknown(&spelling, alphabet);
            continue;
        }
        length = unicode_decode_valid(bytes + i, &id);
        if (vocabulary_find(vocabulary, word + i, length, &id))
            add_known(&spelling, alphabet, id);
        else if (!alphabet->byte_fallback || !add_bytes(&spelling, alphabet, bytes + i, length))
            add_unknown(&spelling, alphabet);
    }
    if (spelling.has_unknown)
        ids[spelling.count++] = alphabet->unk_id;
    return spelling.count;
}
