#include "daemon/text/tokenizer_encoder.h"

#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/text/json_field.h"
#include "daemon/text/sentencepiece_text.h"
#include "daemon/text/tokenizer_parts.h"
#include "daemon/text/unicode.h"
#include "daemon/text/word_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REBUILT_MAX 2 /* by version 5, and of a tokenizer.model by 4 */

struct tokenizer_encoder {
    const struct tokenizer *tokenizer;
    unsigned doubts;             /* of enum tokenizer_doubt */
    struct added_tokens foreign; /* texts that are refused */
    size_t rebuilt_count;        /* as other versions build it, with their encoders */
    struct tokenizer *rebuilt[REBUILT_MAX];
    struct tokenizer_encoder *rebuilt_encoders[REBUILT_MAX];
    struct token_ids rebuilt_ids;
    const atomic_bool *cancel; /* may be NULL */
    struct pre_tokenizer_walk walk;
    struct word_cache cache;
    struct merges_scratch merging;
    struct normalizer_scratch normalizing;
    struct buf repaired;  /* the text, if it was not valid UTF-8 */
    struct buf rewritten; /* the present piece as the pre-tokenizer writes it */
    struct buf spelled;   /* the present word in the vocabulary's spelling */
};

int tokenizer_encoder_new(const struct tokenizer *tokenizer, struct tokenizer_encoder **ret_encoder,
                          struct err *err)
{
    struct tokenizer_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return err_set(err, ERR_NO_MEMORY, "tokenizer: out of memory");
    encoder->tokenizer = tokenizer;
    added_tokens_init(&encoder->foreign);
    token_ids_init(&encoder->rebuilt_ids, LIMIT_PASSAGE_TOKENS);
    normalizer_scratch_init(&encoder->normalizing);
    buf_init(&encoder->repaired, 3 * LIMIT_TEXT_BYTES); /* U+FFFD has three bytes */
    buf_init(&encoder->rewritten, 9 * LIMIT_TEXT_BYTES + UNICODE_UTF8_BYTES_MAX);
    buf_init(&encoder->spelled, 2 * LIMIT_WORD_BYTES);
    if (word_cache_init(&encoder->cache, err) ||
        pre_tokenizer_walk_init(&encoder->walk, &tokenizer->pre_tokenizer, err)) {
        tokenizer_encoder_free(encoder);
        return err_wrap(err, "tokenizer");
    }
    *ret_encoder = encoder;
    return 0;
}

static void forget_rebuilt(struct tokenizer_encoder *encoder)
{
    for (size_t i = 0; i < REBUILT_MAX; i++) {
        tokenizer_encoder_free(encoder->rebuilt_encoders[i]);
        tokenizer_rebuilt_free(encoder->rebuilt[i]);
        encoder->rebuilt_encoders[i] = NULL;
        encoder->rebuilt[i] = NULL;
    }
    encoder->rebuilt_count = 0;
}

void tokenizer_encoder_free(struct tokenizer_encoder *encoder)
{
    if (!encoder)
        return;
    forget_rebuilt(encoder);
    added_tokens_free(&encoder->foreign);
    token_ids_free(&encoder->rebuilt_ids);
    pre_tokenizer_walk_free(&encoder->walk);
    word_cache_free(&encoder->cache);
    merges_scratch_free(&encoder->merging);
    normalizer_scratch_free(&encoder->normalizing);
    buf_free(&encoder->repaired);
    buf_free(&encoder->rewritten);
    buf_free(&encoder->spelled);
    free(encoder);
}

static int add_rebuilt(struct tokenizer_encoder *encoder, unsigned as, struct err *err)
{
    const size_t i = encoder->rebuilt_count;
    if (i == REBUILT_MAX)
        return err_set(err, ERR_INTERNAL, "tokenizer: more than %d doubts of versions", REBUILT_MAX);
    if (tokenizer_rebuild(encoder->tokenizer, as, &encoder->rebuilt[i], err) ||
        tokenizer_encoder_new(encoder->rebuilt[i], &encoder->rebuilt_encoders[i], err))
        return err->code;
    encoder->rebuilt_count++;
    tokenizer_encoder_set_cancel(encoder->rebuilt_encoders[i], encoder->cancel);
    return 0;
}

int tokenizer_encoder_set_doubts(struct tokenizer_encoder *encoder, unsigned doubts, struct err *err)
{
    forget_rebuilt(encoder);
    encoder->doubts = doubts;
    for (unsigned built = doubts & TOKENIZER_DOUBT_BUILT; built; built &= built - 1)
        if (add_rebuilt(encoder, built & -built, err))
            return err->code;
    return 0;
}

int tokenizer_encoder_set_foreign(struct tokenizer_encoder *encoder, const char *names, struct err *err)
{
    added_tokens_free(&encoder->foreign);
    for (const char *end; (end = strchr(names, TOKENIZER_NAME_END)) != NULL; names = end + 1) {
        const size_t size = (size_t)(end - names);
        char *name = (char *)(uintptr_t)names;
        const struct added_token token = {
            .content = name, .content_size = size, .pattern = name, .pattern_size = size};
        if (size && added_tokens_add(&encoder->foreign, &token, err))
            return err->code;
    }
    return added_tokens_index(&encoder->foreign, err);
}

void tokenizer_encoder_set_cancel(struct tokenizer_encoder *encoder, const atomic_bool *cancel)
{
    encoder->cancel = encoder->merging.cancel = cancel;
    for (size_t i = 0; i < REBUILT_MAX && encoder->rebuilt_encoders[i]; i++)
        tokenizer_encoder_set_cancel(encoder->rebuilt_encoders[i], cancel);
}

/* -- Text, pieces between added tokens, words, symbols -- */

static int find_whole(struct tokenizer_encoder *encoder, const char *word, size_t size, uint32_t *ret_id)
{
    const struct vocabulary *vocabulary = &encoder->tokenizer->vocabulary;
    if (!encoder->tokenizer->alphabet.is_byte_level)
        return vocabulary_find(vocabulary, word, size, ret_id);
    buf_clear(&encoder->spelled);
    vocabulary_spell(word, size, &encoder->spelled);
    return !encoder->spelled.failed &&
           vocabulary_find(vocabulary, buf_text(&encoder->spelled), encoder->spelled.size, ret_id);
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
                          alphabet_spell(&tokenizer->alphabet, &tokenizer->vocabulary, word, size, place),
                          &count, err))
        return err->code;
    if (is_cached)
        word_cache_put(&encoder->cache, word, size, hash, place, count);
    ids->count += count;
    return 0;
}

/* A word in parts between which nothing is merged; none where it may be a token as a whole. */
static int encode_parts(struct tokenizer_encoder *encoder, const char *word, size_t size,
                        struct token_ids *ids, struct err *err)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    for (size_t begin = 0, end; begin < size; begin = end) {
        pulse_beat();
        if (encoder->cancel && atomic_load(encoder->cancel))
            return err_set(err, ERR_CANCELLED, "cutting a text into tokens was cancelled");
        end = tokenizer->ignore_merges
                  ? size
                  : seams_next(&tokenizer->seams, &tokenizer->vocabulary, word, size, begin);
        if (encode_word(encoder, word + begin, end - begin, ids, err))
            return err->code;
    }
    return 0;
}

/* Text between added tokens. */
struct piece {
    const char *text;
    size_t size;
    int is_first; /* the whole text begins with it */
};

typedef int encode_piece(struct tokenizer_encoder *encoder, const struct piece *piece, struct token_ids *ids,
                         struct err *err);

static int encode_words(struct tokenizer_encoder *encoder, const struct piece *piece, struct token_ids *ids,
                        struct err *err)
{
    const char *text = piece->text;
    size_t size = piece->size, begin = 0, end = 0;
    if (pre_tokenizer_rewrite(&encoder->tokenizer->pre_tokenizer, piece->is_first, &encoder->rewritten, &text,
                              &size, err))
        return err->code;
    pre_tokenizer_begin(&encoder->walk, text, size);
    do {
        if (pre_tokenizer_next(&encoder->walk, &begin, &end, err) ||
            encode_parts(encoder, text + begin, end - begin, ids, err))
            return err->code;
    } while (begin < end);
    return 0;
}

/* Finds the added tokens of a set in a piece, and gives what lies between them to `encode`. */
static int split_at_added(struct tokenizer_encoder *encoder, const struct added_tokens_set *set,
                          const struct piece *piece, encode_piece *encode, struct token_ids *ids,
                          struct err *err)
{
    struct added_tokens_walk walk;
    struct added_tokens_step step;
    added_tokens_begin(&walk, &encoder->tokenizer->added, set, piece->text, piece->size);
    while (added_tokens_next(&walk, &step)) {
        const struct piece between = {.text = piece->text + step.piece_begin,
                                      .size = step.piece_end - step.piece_begin,
                                      .is_first = piece->is_first && step.piece_begin == 0};
        if (between.size && encode(encoder, &between, ids, err))
            return err->code;
        if (step.token && token_ids_append(ids, &step.token->id, 1, err))
            return err->code;
    }
    return 0;
}

static int encode_raw_piece(struct tokenizer_encoder *encoder, const struct piece *piece,
                            struct token_ids *ids, struct err *err)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    struct piece normal = *piece;
    if (tokenizer->sentencepiece && !tokenizer->converts_sentencepiece) {
        struct buf *out = &encoder->normalizing.texts[0];
        if (sentencepiece_normalize(tokenizer->sentencepiece, &tokenizer->added, piece->text, piece->size,
                                    encoder->cancel, out, err))
            return err->code;
        normal.text = buf_text(out);
        normal.size = out->size;
    } else if (normalizer_apply(&tokenizer->normalizer, &encoder->normalizing, piece->text, piece->size,
                                &normal.text, &normal.size, err)) {
        return err->code;
    }
    return split_at_added(encoder, &tokenizer->added.normalized, &normal, encode_words, ids, err);
}

static int refuse_own_token(const char *token, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "it holds \"%s\", which is not an added token of tokenizer.json, but transformers' class "
                   "adds it: name bos_token, eos_token, unk_token and pad_token in tokenizer_config.json",
                   token);
}

/* Tokens that a class adds to those of the file. */
static int check_own_tokens(const struct tokenizer_encoder *encoder, const char *text, size_t size,
                            struct err *err)
{
    const unsigned doubts = encoder->doubts;
    if (doubts & TOKENIZER_DOUBT_END && memmem(text, size, TOKENIZER_END, strlen(TOKENIZER_END)))
        return refuse_own_token(TOKENIZER_END, err);
    if (doubts & TOKENIZER_DOUBT_PADDING && memmem(text, size, TOKENIZER_PADDING, strlen(TOKENIZER_PADDING)))
        return refuse_own_token(TOKENIZER_PADDING, err);
    return 0;
}

/* Tokens of a class's that are none of tokenizer.model's, or none in a text. */
static int check_foreign(const struct added_tokens *tokens, const char *text, size_t size, struct err *err)
{
    struct added_tokens_walk walk;
    struct added_tokens_step step;
    added_tokens_begin(&walk, tokens, &tokens->raw, text, size);
    (void)added_tokens_next(&walk, &step);
    if (!step.token)
        return 0;
    return err_set(
        err, ERR_UNSUPPORTED,
        "it holds \"%.*s\", which SentencePiece cuts like any text, and transformers' class takes for a "
        "token (the sweep's \"tokenizer\": \"file\", or --tokenizer file, cuts it as SentencePiece)",
        json_field_shown_size(step.token->content, step.token->content_size), step.token->content);
}

static int refuse_rebuilt(const struct tokenizer *tokenizer, struct err *err)
{
    if (tokenizer->sentencepiece)
        return err_set(
            err, ERR_UNSUPPORTED,
            "SentencePiece and transformers 4 and 5, which convert tokenizer.model, do not all cut it "
            "into the same tokens (the sweep's \"tokenizer\": \"file\", or --tokenizer file, takes "
            "SentencePiece's)");
    return err_set(err, ERR_UNSUPPORTED,
                   "transformers 4 and 5 cut it into other tokens: 5 passes over the normalizer and "
                   "pre_tokenizer of tokenizer.json, unless tokenizer_class is PreTrainedTokenizerFast "
                   "(the sweep's \"tokenizer\": \"file\", or --tokenizer file, takes them as 4 does)");
}

/* Whether the tokenizers that other versions build give the same ids as these. */
static int check_rebuilt(struct tokenizer_encoder *encoder, const char *text, size_t size,
                         const struct token_ids *ids, size_t before, struct err *err)
{
    const size_t count = ids->count - before;
    struct token_ids *others = &encoder->rebuilt_ids;
    for (size_t i = 0; i < REBUILT_MAX && encoder->rebuilt_encoders[i]; i++) {
        others->count = 0;
        if (tokenizer_encode(encoder->rebuilt_encoders[i], text, size, others, err))
            return err->code;
        if (others->count != count ||
            (count && memcmp(others->data, ids->data + before, count * sizeof *ids->data) != 0))
            return refuse_rebuilt(encoder->tokenizer, err);
    }
    return 0;
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
    const struct piece whole = {.text = text, .size = size, .is_first = 1};
    int code = check_own_tokens(encoder, text, size, err);
    if (!code)
        code = check_foreign(&encoder->foreign, text, size, err);
    if (!code && encoder->doubts & TOKENIZER_DOUBT_CONTROLS)
        code = check_foreign(&encoder->tokenizer->controls, text, size, err);
    if (!code)
        code = split_at_added(encoder, &encoder->tokenizer->added.raw, &whole, encode_raw_piece, ids, err);
    if (!code)
        code = check_rebuilt(encoder, text, size, ids, before, err);
    if (code)
        ids->count = before;
    return code;
}
