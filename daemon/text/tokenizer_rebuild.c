/*
 * What transformers 5 makes of a tokenizer.json for the classes that it builds by itself.
 * (transformers 5: models/gemma, gpt2, gpt_neox, llama, qwen2: tokenization_*.py;
 * tokenization_utils_tokenizers.py)
 */
#include "daemon/base/limits.h"
#include "daemon/text/tokenizer.h"
#include "daemon/text/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

int tokenizer_added_add(struct tokenizer *tokenizer, const struct added_token *token, struct err *err)
{
    struct normalizer_scratch scratch;
    struct added_token taken = *token;
    const char *text;
    char pattern[LIMIT_ADDED_TOKEN_BYTES];
    size_t size;
    int code = 0;
    taken.pattern = taken.content;
    taken.pattern_size = taken.content_size;
    if (!token->normalized)
        return added_tokens_add(&tokenizer->added, &taken, err);
    normalizer_scratch_init(&scratch);
    if (normalizer_apply(&tokenizer->normalizer, &scratch, token->content, token->content_size, &text, &size,
                         err))
        code = err->code;
    else if (size == 0)
        code = err_set(err, ERR_UNSUPPORTED, "content: the normalizer leaves nothing of it");
    else if (size > LIMIT_ADDED_TOKEN_BYTES)
        code = err_set(err, ERR_LIMIT, "normalised, content has more than %d bytes", LIMIT_ADDED_TOKEN_BYTES);
    if (!code) {
        memcpy(pattern, text, size);
        taken.pattern = pattern;
        taken.pattern_size = size;
        code = added_tokens_add(&tokenizer->added, &taken, err);
    }
    normalizer_scratch_free(&scratch);
    return code;
}

/* -- The parts that a class has by itself ------------------------------------------------------------ */

static int set_splitter(struct pre_tokenizer *pre_tokenizer, const char *expression, struct err *err)
{
    if (splitter_new(expression, &pre_tokenizer->splitters[0], err))
        return err->code;
    pre_tokenizer->count = 1;
    return 0;
}

static int set_steps(struct tokenizer *rebuilt, unsigned as, struct err *err)
{
    static const struct normalizer_step nfc = {.kind = NORMALIZER_NFC};
    static const char mark[] = "\xE2\x96\x81"; /* U+2581 */
    struct pre_tokenizer *pre_tokenizer = &rebuilt->pre_tokenizer;
    if (as == TOKENIZER_DOUBT_AS_LLAMA || as == TOKENIZER_DOUBT_AS_LEGACY_LLAMA) {
        pre_tokenizer->prefix =
            as == TOKENIZER_DOUBT_AS_LLAMA ? PRE_TOKENIZER_PREFIX_FIRST : PRE_TOKENIZER_PREFIX_ALWAYS;
        pre_tokenizer->mark_size = sizeof mark - 1;
        memcpy(pre_tokenizer->mark, mark, sizeof mark - 1);
        rebuilt->alphabet.byte_fallback = rebuilt->alphabet.fuse_unk = 1;
        return 0;
    }
    if (as == TOKENIZER_DOUBT_AS_GEMMA) {
        struct normalizer_step marks = {.kind = NORMALIZER_REPLACE, .pattern = " ", .pattern_size = 1};
        marks.content_size = sizeof mark - 1;
        memcpy(marks.content, mark, sizeof mark - 1);
        pre_tokenizer->prefix = PRE_TOKENIZER_PREFIX_NEVER;
        rebuilt->alphabet.byte_fallback = rebuilt->alphabet.fuse_unk = 1;
        return normalizer_add(&rebuilt->normalizer, &marks, err);
    }
    if (as != TOKENIZER_DOUBT_AS_GPT2 && normalizer_add(&rebuilt->normalizer, &nfc, err))
        return err->code;
    return set_splitter(pre_tokenizer, as == TOKENIZER_DOUBT_AS_QWEN2 ? splitter_qwen2 : splitter_gpt2, err);
}

static int fill(const struct tokenizer *tokenizer, unsigned as, struct tokenizer *rebuilt, struct err *err)
{
    rebuilt->ignore_merges = 0;
    rebuilt->normalizer = (struct normalizer){0};
    rebuilt->pre_tokenizer = (struct pre_tokenizer){.prefix = tokenizer->pre_tokenizer.prefix};
    rebuilt->alphabet.unk_id = ALPHABET_NO_ID;
    added_tokens_init(&rebuilt->added);
    if (tokenizer->sentencepiece)
        return tokenizer_sentencepiece_rebuild(tokenizer, as, rebuilt, err);
    if (set_steps(rebuilt, as, err))
        return err->code;
    alphabet_find_bytes(&rebuilt->alphabet, &rebuilt->vocabulary);
    seams_finish(&rebuilt->seams, &rebuilt->alphabet, &rebuilt->vocabulary);
    for (size_t i = 0; i < tokenizer->added.count; i++) {
        if (tokenizer_added_add(rebuilt, &tokenizer->added.tokens[i], err))
            return err->code;
    }
    return added_tokens_index(&rebuilt->added, err);
}

int tokenizer_rebuild(const struct tokenizer *tokenizer, unsigned as, struct tokenizer **ret_rebuilt,
                      struct err *err)
{
    struct tokenizer *rebuilt = malloc(sizeof *rebuilt);
    if (!rebuilt)
        return err_set(err, ERR_NO_MEMORY, "tokenizer: out of memory");
    *rebuilt = *tokenizer;
    if (fill(tokenizer, as, rebuilt, err)) {
        tokenizer_rebuilt_free(rebuilt);
        return err->code;
    }
    *ret_rebuilt = rebuilt;
    return 0;
}

void tokenizer_rebuilt_free(struct tokenizer *rebuilt)
{
    if (!rebuilt)
        return;
    pre_tokenizer_free(&rebuilt->pre_tokenizer);
    added_tokens_free(&rebuilt->added);
    if (rebuilt->sentencepiece)
        merges_free(&rebuilt->merges);
    free(rebuilt);
}

/* Whether each character has symbols, so that none is unknown. */
static int knows_all(const struct alphabet *alphabet)
{
    return alphabet_has_all_bytes(alphabet) && (alphabet->is_byte_level || alphabet->byte_fallback);
}

int tokenizer_is_same(const struct tokenizer *tokenizer, const struct tokenizer *rebuilt)
{
    const struct alphabet *a = &tokenizer->alphabet, *b = &rebuilt->alphabet;
    return tokenizer->ignore_merges == rebuilt->ignore_merges &&
           normalizer_is_same(&tokenizer->normalizer, &rebuilt->normalizer) &&
           pre_tokenizer_is_same(&tokenizer->pre_tokenizer, &rebuilt->pre_tokenizer) &&
           a->byte_fallback == b->byte_fallback && (a->unk_id == b->unk_id || (knows_all(a) && knows_all(b)));
}
