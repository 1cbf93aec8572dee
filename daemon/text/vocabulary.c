#include "daemon/text/vocabulary.h"

#include "daemon/base/limits.h"
#include "daemon/text/hash.h"
#include "daemon/text/unicode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void vocabulary_init(struct vocabulary *vocabulary)
{
    *vocabulary = (struct vocabulary){.seed = hash_seed()};
    buf_init(&vocabulary->text, LIMIT_TOKENIZER_JSON_BYTES);
}

void vocabulary_free(struct vocabulary *vocabulary)
{
    if (!vocabulary)
        return;
    buf_free(&vocabulary->text);
    free(vocabulary->entries);
    free(vocabulary->slots);
    free(vocabulary->by_id);
    vocabulary_init(vocabulary);
}

/* The slot of a token: where it is, or the free one where it belongs. */
static size_t find_slot(const struct vocabulary *vocabulary, const char *token, size_t size)
{
    size_t mask = vocabulary->slot_count - 1;
    size_t slot = (size_t)hash_bytes(token, size, vocabulary->seed) & mask;
    for (; vocabulary->slots[slot]; slot = (slot + 1) & mask) {
        const struct vocabulary_entry *entry = &vocabulary->entries[vocabulary->slots[slot] - 1];
        if (entry->size == size && memcmp(vocabulary->text.data + entry->offset, token, size) == 0)
            break;
    }
    return slot;
}

static int grow(struct vocabulary *vocabulary, struct err *err)
{
    size_t capacity = vocabulary->capacity ? vocabulary->capacity * 2 : 256;
    size_t slot_count = capacity * 2;
    struct vocabulary_entry *entries = reallocarray(vocabulary->entries, capacity, sizeof *entries);
    if (!entries)
        return err_set(err, ERR_NO_MEMORY, "vocabulary: out of memory");
    vocabulary->entries = entries;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return err_set(err, ERR_NO_MEMORY, "vocabulary: out of memory");
    free(vocabulary->slots);
    vocabulary->slots = slots;
    vocabulary->slot_count = slot_count;
    vocabulary->capacity = capacity;
    for (size_t i = 0; i < vocabulary->count; i++) {
        const struct vocabulary_entry *entry = &vocabulary->entries[i];
        slots[find_slot(vocabulary, vocabulary->text.data + entry->offset, entry->size)] = (uint32_t)i + 1;
    }
    return 0;
}

int vocabulary_add(struct vocabulary *vocabulary, const char *token, size_t size, uint32_t id,
                   struct err *err)
{
    if (id >= LIMIT_VOCABULARY || vocabulary->count >= LIMIT_VOCABULARY)
        return err_set(err, ERR_LIMIT, "id %" PRIu32 ": a vocabulary has at most %d tokens", id,
                       LIMIT_VOCABULARY);
    if (vocabulary->count == vocabulary->capacity && grow(vocabulary, err))
        return err->code;
    size_t slot = find_slot(vocabulary, token, size);
    if (vocabulary->slots[slot])
        return err_set(err, ERR_FORMAT, "ids %" PRIu32 " and %" PRIu32 " have the same token",
                       vocabulary->entries[vocabulary->slots[slot] - 1].id, id);
    size_t offset = vocabulary->text.size;
    (void)buf_append(&vocabulary->text, token, size);
    if (buf_check(&vocabulary->text, "vocabulary", err))
        return err->code;
    vocabulary->entries[vocabulary->count] =
        (struct vocabulary_entry){.offset = offset, .size = (uint32_t)size, .id = id};
    vocabulary->slots[slot] = (uint32_t)++vocabulary->count;
    if (id >= vocabulary->id_limit)
        vocabulary->id_limit = id + 1;
    return 0;
}

int vocabulary_index_ids(struct vocabulary *vocabulary, struct err *err)
{
    uint32_t *by_id = calloc(vocabulary->id_limit ? vocabulary->id_limit : 1, sizeof *by_id);
    if (!by_id)
        return err_set(err, ERR_NO_MEMORY, "vocabulary: out of memory");
    free(vocabulary->by_id);
    vocabulary->by_id = by_id;
    for (size_t i = 0; i < vocabulary->count; i++) {
        uint32_t id = vocabulary->entries[i].id;
        if (by_id[id])
            return err_set(err, ERR_FORMAT, "two tokens have the id %" PRIu32, id);
        by_id[id] = (uint32_t)i + 1;
    }
    return 0;
}

int vocabulary_find(const struct vocabulary *vocabulary, const char *token, size_t size, uint32_t *ret_id)
{
    if (!vocabulary->slot_count)
        return 0;
    uint32_t entry = vocabulary->slots[find_slot(vocabulary, token, size)];
    if (!entry)
        return 0;
    *ret_id = vocabulary->entries[entry - 1].id;
    return 1;
}

const char *vocabulary_token(const struct vocabulary *vocabulary, uint32_t id, size_t *ret_size)
{
    if (id >= vocabulary->id_limit || !vocabulary->by_id[id])
        return NULL;
    const struct vocabulary_entry *entry = &vocabulary->entries[vocabulary->by_id[id] - 1];
    *ret_size = entry->size;
    return vocabulary->text.data + entry->offset;
}

static int is_printable(uint32_t byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t vocabulary_byte_to_char(unsigned char byte)
{
    if (is_printable(byte))
        return byte;
    /* The unprintable ones in order: 00..20 (33 of them), 7F..A0 (34), AD. */
    if (byte <= 0x20)
        return 0x100U + byte;
    if (byte <= 0xA0)
        return 0x100U + 33U + (byte - 0x7FU);
    return 0x100U + 33U + 34U;
}

void vocabulary_spell(const char *bytes, size_t size, struct buf *out)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char spelled[UNICODE_UTF8_BYTES_MAX];
        size_t length = unicode_encode(vocabulary_byte_to_char((unsigned char)bytes[i]), spelled);
        (void)buf_append(out, spelled, length);
    }
}
