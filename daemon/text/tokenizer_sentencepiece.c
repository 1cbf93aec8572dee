/*
 * A tokenizer of SentencePiece's tokenizer.model: its BPE, and what transformers' class for Llama makes of
 * it.
 *
 * SentencePiece merges any two neighbours that join to a piece, the piece of the best score first, leftmost
 * among equals: here each pair of pieces that joins to one is a merge, whose rank is the place of that score.
 * (sentencepiece/src/bpe_model.cc)
 *
 * transformers' converters make a list of the same merges, in which two ways to join one piece have different
 * ranks: 4's goes by score and has the longest left half first, 5's by id and has the shortest first.
 * (4: convert_slow_tokenizer.py; 5: tokenization_utils_base.py, generate_merges)
 */
#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/text/tokenizer.h"
#include "daemon/text/tokenizer_parts.h"
#include "daemon/text/unicode.h"

#include <stdlib.h>
#include <string.h>

#define PIECES_PER_BEAT 4096      /* of the watchdog's pulse */
#define CONVERTED_WITHOUT_SCORE 3 /* 4 takes the first pieces for those of control, whatever they are */

/* Two pieces that join to one. */
struct join {
    float score;
    uint32_t joined, left, right;
    uint16_t left_characters, right_characters;
};

struct joins {
    struct join *data;
    size_t count, capacity;
};

static const struct sentencepiece_piece *piece_of(const struct tokenizer *tokenizer, uint32_t id)
{
    return &tokenizer->sentencepiece->pieces[id];
}

static int add_join(struct joins *joins, const struct join *join, struct err *err)
{
    if (joins->count == LIMIT_VOCABULARY)
        return err_set(err, ERR_LIMIT, "more than %d pairs of pieces that join to one", LIMIT_VOCABULARY);
    if (joins->count == joins->capacity) {
        size_t capacity = joins->capacity ? joins->capacity * 2 : 4096;
        struct join *data = reallocarray(joins->data, capacity, sizeof *data);
        if (!data)
            return err_set(err, ERR_NO_MEMORY, "out of memory for the pairs of its pieces");
        joins->data = data;
        joins->capacity = capacity;
    }
    joins->data[joins->count++] = *join;
    return 0;
}

static int count_characters(const char *text, size_t size)
{
    int count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* The ways to part a piece into two that are pieces, by SentencePiece normal ones. */
static int part_piece(const struct tokenizer *tokenizer, uint32_t id, int is_of_any_type, struct joins *joins,
                      struct err *err)
{
    const struct sentencepiece_piece *piece = piece_of(tokenizer, id);
    const int characters = count_characters(piece->text, piece->size);
    struct join join = {.joined = id,
                        .score = is_of_any_type && id < CONVERTED_WITHOUT_SCORE ? 0 : piece->score};
    uint32_t codepoint;
    int left = 0;
    for (size_t i = unicode_decode_valid((const unsigned char *)piece->text, &codepoint); i < piece->size;
         i += unicode_decode_valid((const unsigned char *)piece->text + i, &codepoint)) {
        left++;
        if (!vocabulary_find(&tokenizer->vocabulary, piece->text, i, &join.left) ||
            !vocabulary_find(&tokenizer->vocabulary, piece->text + i, piece->size - i, &join.right))
            continue;
        if (!is_of_any_type && (piece_of(tokenizer, join.left)->type != SENTENCEPIECE_NORMAL ||
                                piece_of(tokenizer, join.right)->type != SENTENCEPIECE_NORMAL))
            continue;
        join.left_characters = (uint16_t)left;
        join.right_characters = (uint16_t)(characters - left);
        if (add_join(joins, &join, err))
            return err->code;
    }
    return 0;
}

static int find_joins(const struct tokenizer *tokenizer, int is_of_any_type, struct joins *joins,
                      struct err *err)
{
    const struct sentencepiece *model = tokenizer->sentencepiece;
    for (uint32_t id = 0; id < model->count; id++) {
        if (id % PIECES_PER_BEAT == 0)
            pulse_beat();
        if ((is_of_any_type || model->pieces[id].type == SENTENCEPIECE_NORMAL) &&
            part_piece(tokenizer, id, is_of_any_type, joins, err))
            return err_wrap(err, "piece %u", (unsigned)id);
    }
    return 0;
}

/* -- Orders: the first is merged first ------------------------------------------------------------------- */

static int by_number(long long a, long long b)
{
    return (a > b) - (a < b);
}

static int by_score(const void *a, const void *b)
{
    const struct join *one = a, *other = b;
    return (one->score < other->score) - (one->score > other->score);
}

static int by_score_and_left(const void *a, const void *b)
{
    const struct join *one = a, *other = b;
    int order = by_score(a, b);
    if (!order)
        order = by_number(other->left_characters, one->left_characters);
    if (!order)
        order = by_number(other->right_characters, one->right_characters);
    return order ? order : by_number(one->joined, other->joined);
}

static int by_id(const void *a, const void *b)
{
    const struct join *one = a, *other = b;
    int order = by_number(one->joined, other->joined);
    return order ? order : by_number(one->left_characters, other->left_characters);
}

/* Fills the merges, one rank for each place of the order. */
static int rank(struct tokenizer *tokenizer, struct joins *joins, int (*order)(const void *, const void *),
                struct err *err)
{
    uint32_t place = 0;
    if (merges_init(&tokenizer->merges, joins->count, err))
        return err->code;
    if (joins->count)
        qsort(joins->data, joins->count, sizeof *joins->data, order);
    for (size_t i = 0; i < joins->count; i++) {
        const struct join *join = &joins->data[i];
        const struct sentencepiece_piece *piece = piece_of(tokenizer, join->joined);
        place += i > 0 && order(join - 1, join) != 0;
        merges_add(&tokenizer->merges, join->left, join->right, place, join->joined);
        seams_see(&tokenizer->seams, piece->text, piece->size);
    }
    return 0;
}

static int make_merges(struct tokenizer *tokenizer, int is_of_any_type,
                       int (*order)(const void *, const void *), struct err *err)
{
    struct joins joins = {.data = NULL};
    int code = find_joins(tokenizer, is_of_any_type, &joins, err);
    if (!code)
        code = rank(tokenizer, &joins, order, err);
    free(joins.data);
    if (!code)
        seams_finish(&tokenizer->seams, &tokenizer->alphabet, &tokenizer->vocabulary);
    return code;
}

/* -- By SentencePiece ------------------------------------------------------------------------------------ */

/* SentencePiece also merges a character that is no piece by itself. */
static int check_characters(const struct tokenizer *tokenizer, const struct sentencepiece_piece *piece,
                            struct err *err)
{
    uint32_t id;
    for (size_t i = 0, length; i < piece->size; i += length) {
        length = unicode_decode_valid((const unsigned char *)piece->text + i, &id);
        if (!vocabulary_find(&tokenizer->vocabulary, piece->text + i, length, &id))
            return err_set(err, ERR_UNSUPPORTED,
                           "\"%.*s\": its character \"%.*s\" is no piece by itself, which is not supported",
                           sentencepiece_shown_size(piece), piece->text, (int)length, piece->text + i);
    }
    return 0;
}

static int add_special(const struct sentencepiece_piece *piece, uint32_t id, struct tokenizer *tokenizer,
                       struct err *err)
{
    const struct added_token token = {
        .content = (char *)(uintptr_t)piece->text,
        .content_size = piece->size,
        .pattern = (char *)(uintptr_t)piece->text,
        .pattern_size = piece->size,
        .id = id,
        .special = piece->type != SENTENCEPIECE_USER_DEFINED,
        .normalized = piece->type == SENTENCEPIECE_USER_DEFINED, /* found in what is made of a text */
    };
    return added_tokens_add(token.special ? &tokenizer->controls : &tokenizer->added, &token, err);
}

static int add_piece(uint32_t id, struct tokenizer *tokenizer, struct err *err)
{
    const struct sentencepiece_piece *piece = piece_of(tokenizer, id);
    if (vocabulary_add(&tokenizer->vocabulary, piece->text, piece->size, id, err))
        return err->code;
    return piece->type == SENTENCEPIECE_NORMAL || piece->type == SENTENCEPIECE_BYTE
               ? 0
               : add_special(piece, id, tokenizer, err);
}

static int add_pieces(struct tokenizer *tokenizer, struct err *err)
{
    const struct sentencepiece *model = tokenizer->sentencepiece;
    for (uint32_t id = 0; id < model->count; id++)
        if (add_piece(id, tokenizer, err))
            return err_wrap(err, "piece %u", (unsigned)id);
    for (uint32_t id = 0; id < model->count; id++)
        if (model->pieces[id].type == SENTENCEPIECE_NORMAL &&
            check_characters(tokenizer, &model->pieces[id], err))
            return err_wrap(err, "piece %u", (unsigned)id);
    if (vocabulary_index_ids(&tokenizer->vocabulary, err) || added_tokens_index(&tokenizer->added, err))
        return err->code;
    return added_tokens_index(&tokenizer->controls, err);
}

int tokenizer_sentencepiece_read(const void *data, size_t size, struct tokenizer *tokenizer, struct err *err)
{
    struct sentencepiece *model = calloc(1, sizeof *model);
    if (!model)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    tokenizer->sentencepiece = model;
    if (sentencepiece_read(data, size, model, err) || add_pieces(tokenizer, err))
        return err->code;
    tokenizer->id_limit = (uint32_t)model->count;
    tokenizer->alphabet.byte_fallback = model->has_byte_fallback;
    tokenizer->alphabet.fuse_unk = 1;
    tokenizer->alphabet.unk_id = model->unknown_id;
    alphabet_find_bytes(&tokenizer->alphabet, &tokenizer->vocabulary);
    if (model->has_byte_fallback && !alphabet_has_all_bytes(&tokenizer->alphabet))
        return err_set(err, ERR_FORMAT, "byte_fallback: not all of \"<0x00>\" to \"<0xFF>\" are pieces");
    return make_merges(tokenizer, 0, by_score, err);
}

/* -- By transformers' class for Llama -------------------------------------------------------------------- */

/* 4 has the spaces marked by a normalizer, and 5 and 4 without "legacy" when text is cut into words. */
static int set_steps(struct tokenizer *rebuilt, unsigned as, struct err *err)
{
    static const char mark[] = "\xE2\x96\x81"; /* U+2581 */
    struct normalizer_step prepend = {.kind = NORMALIZER_PREPEND, .content_size = sizeof mark - 1};
    struct normalizer_step replace = {
        .kind = NORMALIZER_REPLACE, .pattern = " ", .pattern_size = 1, .content_size = sizeof mark - 1};
    if (as == TOKENIZER_DOUBT_AS_CONVERTED) {
        memcpy(prepend.content, mark, sizeof mark - 1);
        memcpy(replace.content, mark, sizeof mark - 1);
        return normalizer_add(&rebuilt->normalizer, &prepend, err) ||
                       normalizer_add(&rebuilt->normalizer, &replace, err)
                   ? err->code
                   : 0;
    }
    rebuilt->pre_tokenizer.prefix =
        as == TOKENIZER_DOUBT_AS_LEGACY_LLAMA ? PRE_TOKENIZER_PREFIX_ALWAYS : PRE_TOKENIZER_PREFIX_FIRST;
    rebuilt->pre_tokenizer.mark_size = sizeof mark - 1;
    memcpy(rebuilt->pre_tokenizer.mark, mark, sizeof mark - 1);
    return 0;
}

static int is_by_4(unsigned as)
{
    return as == TOKENIZER_DOUBT_AS_CONVERTED || as == TOKENIZER_DOUBT_AS_CONVERTED_FIRST;
}

static void set_alphabet(const struct sentencepiece *model, unsigned as, struct tokenizer *rebuilt)
{
    struct alphabet *alphabet = &rebuilt->alphabet;
    alphabet->byte_fallback = alphabet->fuse_unk = 1;
    if (!is_by_4(as) || !vocabulary_find(&rebuilt->vocabulary, model->unknown_name, model->unknown_name_size,
                                         &alphabet->unk_id))
        alphabet->unk_id = ALPHABET_NO_ID;
}

/* In the raw text, where SentencePiece finds them in what it made of it. */
static int add_user_defined(const struct tokenizer *tokenizer, struct tokenizer *rebuilt, struct err *err)
{
    for (size_t i = 0; i < tokenizer->added.count; i++) {
        struct added_token token = tokenizer->added.tokens[i];
        token.normalized = 0;
        if (added_tokens_add(&rebuilt->added, &token, err))
            return err->code;
    }
    return added_tokens_index(&rebuilt->added, err);
}

int tokenizer_sentencepiece_rebuild(const struct tokenizer *tokenizer, unsigned as, struct tokenizer *rebuilt,
                                    struct err *err)
{
    rebuilt->merges = (struct merges){.slots = NULL};
    rebuilt->seams = (struct seams){.joined_count = 0};
    rebuilt->converts_sentencepiece = 1;
    if (add_user_defined(tokenizer, rebuilt, err) || set_steps(rebuilt, as, err))
        return err->code;
    set_alphabet(tokenizer->sentencepiece, as, rebuilt);
    return make_merges(rebuilt, 1, is_by_4(as) ? by_score_and_left : by_id, err);
}
