#include "daemon/text/tokenizer.h"

#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/text/normalizer.h"
#include "daemon/text/tokenizer_parts.h"
#include "daemon/text/unicode.h"
#include "daemon/text/word_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct tokenizer_encoder {
    const struct tokenizer *tokenizer;
    unsigned doubts;              /* of enum tokenizer_doubt */
    const atomic_bool *cancel;    /* may be NULL */
    struct splitter_match *match; /* NULL without a splitter */
    struct word_cache cache;
    struct merges_scratch merging;
    struct normalizer_scratch normalizing;
    struct buf repaired;   /* the text, if it was not valid UTF-8 */
    struct buf normalized; /* the present piece, if NFC may change it */
    struct buf prefixed;   /* the present piece behind its added space */
    struct buf spelled;    /* the present word in the vocabulary's spelling */
};

/* -- Life ------------------------------------------------------------------------------------------ */

int tokenizer_load(const void *json, size_t size, struct tokenizer **ret_tokenizer, struct err *err)
{
    struct tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return err_set(err, ERR_NO_MEMORY, "tokenizer.json: out of memory");
    vocabulary_init(&tokenizer->vocabulary);
    added_tokens_init(&tokenizer->added);
    if (tokenizer_json_read(json, size, tokenizer, err)) {
        tokenizer_free(tokenizer);
        return err_wrap(err, "tokenizer.json");
    }
    *ret_tokenizer = tokenizer;
    return 0;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    vocabulary_free(&tokenizer->vocabulary);
    merges_free(&tokenizer->merges);
    added_tokens_free(&tokenizer->added);
    splitter_free(tokenizer->splitter);
    free(tokenizer);
}

int tokenizer_encoder_new(const struct tokenizer *tokenizer, struct tokenizer_encoder **ret_encoder,
                          struct err *err)
{
    struct tokenizer_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return err_set(err, ERR_NO_MEMORY, "tokenizer: out of memory");
    encoder->tokenizer = tokenizer;
    /* U+FFFD has three bytes; NFC at most triples a text. */
    buf_init(&encoder->repaired, 3 * LIMIT_TEXT_BYTES);
    buf_init(&encoder->normalized, 9 * LIMIT_TEXT_BYTES);
    buf_init(&encoder->prefixed, 9 * LIMIT_TEXT_BYTES + 1);
    buf_init(&encoder->spelled, 2 * LIMIT_WORD_BYTES);
    if (word_cache_init(&encoder->cache, err) ||
        (tokenizer->splitter && splitter_match_new(tokenizer->splitter, &encoder->match, err))) {
        tokenizer_encoder_free(encoder);
        return err_wrap(err, "tokenizer");
    }
    *ret_encoder = encoder;
    return 0;
}

void tokenizer_encoder_free(struct tokenizer_encoder *encoder)
{
    if (!encoder)
        return;
    splitter_match_free(encoder->match);
    word_cache_free(&encoder->cache);
    merges_scratch_free(&encoder->merging);
    normalizer_scratch_free(&encoder->normalizing);
    buf_free(&encoder->repaired);
    buf_free(&encoder->normalized);
    buf_free(&encoder->prefixed);
    buf_free(&encoder->spelled);
    free(encoder);
}

void tokenizer_encoder_set_doubts(struct tokenizer_encoder *encoder, unsigned doubts)
{
    encoder->doubts = doubts;
}

void tokenizer_encoder_set_cancel(struct tokenizer_encoder *encoder, const atomic_bool *cancel)
{
    encoder->cancel = cancel;
}

/* -- Questions ------------------------------------------------------------------------------------- */

uint32_t tokenizer_id_limit(const struct tokenizer *tokenizer)
{
    return tokenizer->id_limit;
}

int tokenizer_find(const struct tokenizer *tokenizer, const char *token, size_t size, uint32_t *ret_id)
{
    const struct added_token *added = added_tokens_find(&tokenizer->added, token, size);
    if (!added)
        return vocabulary_find(&tokenizer->vocabulary, token, size, ret_id);
    *ret_id = added->id;
    return 1;
}

int tokenizer_decode(const struct tokenizer *tokenizer, const uint32_t *ids, size_t count, struct buf *text,
                     struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct added_token *added = added_tokens_of_id(&tokenizer->added, ids[i]);
        size_t size = 0;
        const char *token = added ? added->pattern : vocabulary_token(&tokenizer->vocabulary, ids[i], &size);
        if (!token)
            return err_set(err, ERR_INVALID, "id %" PRIu32 " is not a token", ids[i]);
        vocabulary_unspell(token, added ? added->pattern_size : size, text);
    }
    return buf_check(text, "decoded text", err);
}

/* -- Encoding: text, pieces between added tokens, words, symbols
 * --------------------------------------------- */

/* The symbols that a word starts from, one per byte that has a token, written to `ids`; returns their number.
 */
static size_t spell_symbols(const struct tokenizer *tokenizer, const char *word, size_t size, uint32_t *ids)
{
    size_t count = 0;
    int follows_unk = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)word[i];
        int is_unk = !tokenizer->has_byte[byte];
        if (is_unk && (tokenizer->unk_id == TOKENIZER_NO_ID || (follows_unk && tokenizer->fuse_unk)))
            continue;
        ids[count++] = tokenizer->byte_ids[byte];
        follows_unk = is_unk;
    }
    return count;
}

static int find_whole(struct tokenizer_encoder *encoder, const char *word, size_t size, uint32_t *ret_id)
{
    buf_clear(&encoder->spelled);
    vocabulary_spell(word, size, &encoder->spelled);
    return !encoder->spelled.failed &&
           vocabulary_find(&encoder->tokenizer->vocabulary, buf_text(&encoder->spelled),
                           encoder->spelled.size, ret_id);
}

static int encode_word(struct tokenizer_encoder *encoder, const char *word, size_t size,
                       struct token_ids *ids, struct err *err)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    uint64_t hash = 0;
    size_t count = 0;
    int is_cached = size <= WORD_CACHE_WORD_BYTES_MAX;
    if (is_cached) {
        const uint32_t *known = word_cache_get(&encoder->cache, word, size, &hash, &count);
        if (known)
            return token_ids_append(ids, known, count, err);
    }
    if (size > LIMIT_WORD_BYTES)
        return err_set(err, ERR_LIMIT, "a word of %zu bytes: the limit is %zu", size, LIMIT_WORD_BYTES);
    uint32_t *place = token_ids_reserve(ids, size, err);
    if (!place)
        return err->code;
    if (tokenizer->ignore_merges && find_whole(encoder, word, size, place))
        count = 1;
    else if (merges_apply(&tokenizer->merges, &encoder->merging, place,
                          spell_symbols(tokenizer, word, size, place), &count, err))
        return err->code;
    if (is_cached)
        word_cache_put(&encoder->cache, word, size, hash, place, count);
    ids->count += count;
    return 0;
}

/* A piece without added tokens: words. */
static int encode_words(struct tokenizer_encoder *encoder, const char *text, size_t size,
                        struct token_ids *ids, struct err *err)
{
    if (encoder->tokenizer->add_prefix_space && text[0] != ' ') {
        buf_clear(&encoder->prefixed);
        (void)buf_append_char(&encoder->prefixed, ' ');
        (void)buf_append(&encoder->prefixed, text, size);
        if (buf_check(&encoder->prefixed, "text behind a space", err))
            return err->code;
        text = encoder->prefixed.data;
        size = encoder->prefixed.size;
    }
    for (size_t begin = 0; begin < size;) {
        size_t end = size;
        pulse_beat();
        if (encoder->cancel && atomic_load(encoder->cancel))
            return err_set(err, ERR_CANCELLED, "cutting a text into tokens was cancelled");
        if (encoder->match &&
            splitter_next(encoder->tokenizer->splitter, encoder->match, text, size, begin, &end, err))
            return err->code;
        if (encode_word(encoder, text + begin, end - begin, ids, err))
            return err->code;
        begin = end;
    }
    return 0;
}

static int encode_normalized(struct tokenizer_encoder *encoder, const char *text, size_t size,
                             struct token_ids *ids, struct err *err)
{
    const struct added_tokens *added = &encoder->tokenizer->added;
    struct added_tokens_walk walk;
    struct added_tokens_step step;
    added_tokens_begin(&walk, added, &added->normalized, text, size);
    while (added_tokens_next(&walk, &step)) {
        if (step.piece_begin < step.piece_end &&
            encode_words(encoder, text + step.piece_begin, step.piece_end - step.piece_begin, ids, err))
            return err->code;
        if (step.token && token_ids_append(ids, &step.token->id, 1, err))
            return err->code;
    }
    return 0;
}

static int encode_raw_piece(struct tokenizer_encoder *encoder, const char *text, size_t size,
                            struct token_ids *ids, struct err *err)
{
    if (encoder->tokenizer->is_nfc && !normalizer_is_plain(text, size)) {
        buf_clear(&encoder->normalized);
        if (normalizer_compose(&encoder->normalizing, text, size, &encoder->normalized, err))
            return err->code;
        text = encoder->normalized.data;
        size = encoder->normalized.size;
    }
    return encode_normalized(encoder, text, size, ids, err);
}

static int encode_raw(struct tokenizer_encoder *encoder, const char *text, size_t size, struct token_ids *ids,
                      struct err *err)
{
    const struct added_tokens *added = &encoder->tokenizer->added;
    struct added_tokens_walk walk;
    struct added_tokens_step step;
    added_tokens_begin(&walk, added, &added->raw, text, size);
    while (added_tokens_next(&walk, &step)) {
        if (step.piece_begin < step.piece_end &&
            encode_raw_piece(encoder, text + step.piece_begin, step.piece_end - step.piece_begin, ids, err))
            return err->code;
        if (step.token && token_ids_append(ids, &step.token->id, 1, err))
            return err->code;
    }
    return 0;
}

static int refuse_own_token(const char *token, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "it holds \"%s\", which is not an added token of tokenizer.json, but transformers' class "
                   "adds it: name bos_token, eos_token, unk_token and pad_token in tokenizer_config.json",
                   token);
}

static int check_doubts(struct tokenizer_encoder *encoder, const char *text, size_t size, struct err *err)
{
    const unsigned doubts = encoder->doubts;
    if (doubts & TOKENIZER_DOUBT_END && memmem(text, size, TOKENIZER_END, strlen(TOKENIZER_END)))
        return refuse_own_token(TOKENIZER_END, err);
    if (doubts & TOKENIZER_DOUBT_PADDING && memmem(text, size, TOKENIZER_PADDING, strlen(TOKENIZER_PADDING)))
        return refuse_own_token(TOKENIZER_PADDING, err);
    if (!(doubts & TOKENIZER_DOUBT_NFC) || normalizer_is_plain(text, size))
        return 0;
    buf_clear(&encoder->normalized);
    if (normalizer_compose(&encoder->normalizing, text, size, &encoder->normalized, err))
        return err->code;
    if (encoder->normalized.size == size && memcmp(encoder->normalized.data, text, size) == 0)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "NFC changes it, and of transformers 4 and 5 only one applies NFC: 5 passes over the "
                   "normalizer of tokenizer.json, unless tokenizer_class is PreTrainedTokenizerFast");
}

int tokenizer_encode(struct tokenizer_encoder *encoder, const char *text, size_t size, struct token_ids *ids,
                     struct err *err)
{
    size_t before = ids->count;
    if (size > LIMIT_TEXT_BYTES)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes: the limit is %zu", size, LIMIT_TEXT_BYTES);
    if (unicode_valid_prefix(text, size) < size) {
        buf_clear(&encoder->repaired);
        unicode_repair(text, size, &encoder->repaired);
        if (buf_check(&encoder->repaired, "repaired text", err))
            return err->code;
        text = encoder->repaired.data;
        size = encoder->repaired.size;
    }
    int code = check_doubts(encoder, text, size, err);
    if (!code)
        code = encode_raw(encoder, text, size, ids, err);
    if (code)
        ids->count = before;
    return code;
}
