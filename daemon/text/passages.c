#include "daemon/text/passages.h"

#include "daemon/base/limits.h"
#include "daemon/text/unicode.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct passages_builder {
    struct passages_options options;
    struct tokenizer_encoder *encoder;
    struct passages passages; /* its tokens are in `tokens` until the end */
    size_t capacity;          /* of the arrays per passage */
    struct token_ids tokens;
    struct token_ids context; /* of one text */
    struct buf repaired;      /* a text that was not valid UTF-8 */
    struct buf joined;        /* tokens: all texts; last_word: a space and a text */
    int is_finished;
};

/* -- Life ------------------------------------------------------------------------------------------ */

static int check_options(struct passages_options *options, struct err *err)
{
    uint32_t context = options->context_tokens;
    if (context == 0 || context > LIMIT_PASSAGE_TOKENS - 1)
        return err_set(err, ERR_INVALID, "a context of %" PRIu32 " tokens", context);
    if (options->prefix_id != PASSAGES_NO_PREFIX &&
        (options->prefix_id < 0 || options->prefix_id >= LIMIT_VOCABULARY))
        return err_set(err, ERR_INVALID, "prefix token %" PRId64 " is not a token id", options->prefix_id);
    if (options->prefix_id == PASSAGES_NO_PREFIX && options->starts_with_prefix)
        return err_set(err, ERR_INVALID, "texts start with a prefix token, and there is none");
    if (options->mode == PASSAGES_MODE_TEXT_MEAN && context < 2)
        return err_set(err, ERR_INVALID, "text_mean needs a context of 2 tokens or more");
    if (options->mode != PASSAGES_MODE_TOKENS)
        return 0;
    if (options->window_tokens == 0)
        options->window_tokens = context < 2 ? 2 : context;
    if (options->window_tokens < 2 || options->window_tokens - 1 > context)
        return err_set(err, ERR_INVALID, "window of %" PRIu32 " tokens: it must be 2 to %" PRIu32,
                       options->window_tokens, context + 1);
    if (options->stride_tokens == 0)
        options->stride_tokens = options->window_tokens / 2;
    if (options->stride_tokens >= options->window_tokens)
        return err_set(err, ERR_INVALID,
                       "stride of %" PRIu32 " tokens: it must be less than the window, %" PRIu32,
                       options->stride_tokens, options->window_tokens);
    if (!options->separator)
        options->separator = "\n\n";
    return 0;
}

int passages_builder_new(const struct passages_options *options, struct tokenizer_encoder *encoder,
                         struct passages_builder **ret_builder, struct err *err)
{
    struct passages_options checked = *options;
    if (check_options(&checked, err))
        return err->code;
    struct passages_builder *builder = calloc(1, sizeof *builder);
    if (!builder)
        return err_set(err, ERR_NO_MEMORY, "passages: out of memory");
    char *separator = checked.separator ? strdup(checked.separator) : NULL;
    if (checked.separator && !separator) {
        free(builder);
        return err_set(err, ERR_NO_MEMORY, "passages: out of memory");
    }
    checked.separator = separator;
    builder->options = checked;
    builder->encoder = encoder;
    token_ids_init(&builder->tokens, LIMIT_PASSAGE_TOKENS);
    token_ids_init(&builder->context, LIMIT_PASSAGE_TOKENS);
    buf_init(&builder->repaired, 3 * LIMIT_TEXT_BYTES);
    buf_init(&builder->joined, 3 * LIMIT_TEXT_BYTES + 1);
    *ret_builder = builder;
    return 0;
}

void passages_builder_free(struct passages_builder *builder)
{
    if (!builder)
        return;
    passages_free(&builder->passages);
    token_ids_free(&builder->tokens);
    token_ids_free(&builder->context);
    buf_free(&builder->repaired);
    buf_free(&builder->joined);
    free((char *)(uintptr_t)builder->options.separator);
    free(builder);
}

void passages_free(struct passages *passages)
{
    if (!passages)
        return;
    free(passages->tokens);
    free(passages->begin);
    free(passages->length);
    free(passages->target_first);
    free(passages->target_count);
    free(passages->text);
    *passages = (struct passages){0};
}

/* -- One passage ----------------------------------------------------------------------------------- */

static int resize_array(void **array, size_t capacity, size_t element_size)
{
    void *resized = reallocarray(*array, capacity, element_size);
    if (!resized)
        return 1;
    *array = resized;
    return 0;
}

/* Returns nonzero without memory: each array is either resized or as before. */
static int resize_arrays(struct passages *passages, size_t capacity)
{
    void *begin = passages->begin, *length = passages->length, *first = passages->target_first,
         *count = passages->target_count, *text = passages->text;
    int failed = resize_array(&begin, capacity, sizeof *passages->begin) ||
                 resize_array(&length, capacity, sizeof *passages->length) ||
                 resize_array(&first, capacity, sizeof *passages->target_first) ||
                 resize_array(&count, capacity, sizeof *passages->target_count) ||
                 resize_array(&text, capacity, sizeof *passages->text);
    passages->begin = begin;
    passages->length = length;
    passages->target_first = first;
    passages->target_count = count;
    passages->text = text;
    return failed;
}

static int grow(struct passages_builder *builder, struct err *err)
{
    size_t capacity = builder->capacity ? builder->capacity * 2 : 256;
    if (resize_arrays(&builder->passages, capacity))
        return err_set(err, ERR_NO_MEMORY, "out of memory for %zu passages", capacity);
    builder->capacity = capacity;
    return 0;
}

/* Records tokens [begin, begin + length), whose last `target_count` are scored. */
static int record(struct passages_builder *builder, uint64_t begin, size_t length, size_t target_count,
                  uint64_t text, struct err *err)
{
    struct passages *passages = &builder->passages;
    assert(length <= LIMIT_PASSAGE_TOKENS);
    assert(target_count > 0 && target_count < length);
    if (passages->count == LIMIT_PASSAGES)
        return err_set(err, ERR_LIMIT, "more than %d passages", LIMIT_PASSAGES);
    if (passages->count == builder->capacity && grow(builder, err))
        return err->code;
    size_t i = passages->count++;
    passages->begin[i] = begin;
    passages->length[i] = (uint32_t)length;
    passages->target_first[i] = (uint32_t)(length - target_count);
    passages->target_count[i] = (uint32_t)target_count;
    passages->text[i] = text;
    passages->target_total += target_count;
    return 0;
}

/* -- last_word ------------------------------------------------------------------------------------- */

/* Size of the text without the white space at its end. */
static size_t strip_right(const char *text, size_t size)
{
    while (size > 0) {
        uint32_t codepoint;
        size_t previous = unicode_previous(text, size);
        (void)unicode_decode_valid((const unsigned char *)text + previous, &codepoint);
        if (!unicode_is_python_space(codepoint))
            break;
        size = previous;
    }
    return size;
}

static int append_prefix(struct passages_builder *builder, struct err *err)
{
    if (builder->options.prefix_id == PASSAGES_NO_PREFIX)
        return err_set(err, ERR_INVALID, "one word without context, and the model has no BOS or EOS token");
    uint32_t prefix = (uint32_t)builder->options.prefix_id;
    return token_ids_append(&builder->tokens, &prefix, 1, err);
}

/* The context alone; the token before it goes to the tokens, where there is one. (lm_eval 0.4.13,
 * models/huggingface.py: tok_encode, has_bos_prefix) */
static int encode_context(struct passages_builder *builder, const char *text, size_t size,
                          int *ret_is_started, struct err *err)
{
    const struct passages_options *options = &builder->options;
    builder->context.count = 0;
    int code = tokenizer_encode(builder->encoder, text, size, &builder->context, err);
    *ret_is_started = options->starts_with_prefix &&
                      !(builder->context.count && builder->context.data[0] == (uint32_t)options->prefix_id);
    return code || !*ret_is_started ? code : append_prefix(builder, err);
}

/* Appends the tokens of context and target; *ret_context_count says where the target begins. */
static int encode_pair(struct passages_builder *builder, const char *text, size_t size,
                       size_t *ret_context_count, struct err *err)
{
    const char *space = memrchr(text, ' ', size);
    size_t context_size = space ? (size_t)(space - text) : 0;
    int is_empty = context_size == 0;
    struct token_ids *tokens = &builder->tokens;
    size_t begin = tokens->count;
    context_size = strip_right(text, context_size);
    if (context_size == 0 && append_prefix(builder, err))
        return err->code;
    if (!space) { /* one word: the target is a space and the word */
        buf_clear(&builder->joined);
        (void)buf_append_char(&builder->joined, ' ');
        (void)buf_append(&builder->joined, text, size);
        if (buf_check(&builder->joined, "text", err))
            return err->code;
        text = builder->joined.data;
        size = builder->joined.size;
    }
    int is_started = 0;
    if (context_size > 0 && encode_context(builder, text, context_size, &is_started, err))
        return err->code;
    if (tokenizer_encode(builder->encoder, text, size, tokens, err))
        return err->code;
    if (context_size == 0) {
        /* A target that begins with the prefix token has its context already. */
        const uint32_t *added = tokens->data + begin;
        size_t count = tokens->count - begin;
        if (is_empty && count > 1 && added[0] == added[1]) {
            memmove(tokens->data + begin, tokens->data + begin + 1, (count - 1) * sizeof *added);
            tokens->count--;
        }
        *ret_context_count = 1;
        return 0;
    }
    *ret_context_count = builder->context.count + (size_t)is_started;
    return 0;
}

static int add_last_word(struct passages_builder *builder, const char *text, size_t size, struct err *err)
{
    struct token_ids *tokens = &builder->tokens;
    size_t begin = tokens->count, context_count = 0;
    size_t context_max = builder->options.context_tokens;
    if (encode_pair(builder, text, size, &context_count, err))
        return err->code;
    size_t count = tokens->count - begin;
    if (context_count == 0 || count <= context_count) { /* nothing to predict, or from nothing */
        tokens->count = begin;
        builder->passages.skipped_count++;
        return 0;
    }
    size_t target_count = count - context_count;
    if (target_count > context_max)
        return err_set(err, ERR_INVALID, "the last word has %zu tokens, and the context %zu", target_count,
                       context_max);
    if (count > context_max + 1) {
        size_t excess = count - (context_max + 1);
        memmove(tokens->data + begin, tokens->data + begin + excess, (count - excess) * sizeof *tokens->data);
        tokens->count -= excess;
        count -= excess;
        builder->passages.truncated_count++;
    }
    return record(builder, begin, count, target_count, builder->passages.text_count, err);
}

/* -- text_mean ------------------------------------------------------------------------------------------ */

static int add_whole_text(struct passages_builder *builder, const char *text, size_t size, struct err *err)
{
    struct token_ids *tokens = &builder->tokens;
    size_t begin = tokens->count;
    if (builder->options.prefix_id != PASSAGES_NO_PREFIX && append_prefix(builder, err))
        return err->code;
    if (tokenizer_encode(builder->encoder, text, size, tokens, err))
        return err->code;
    size_t count = tokens->count - begin;
    if (count < 2) {
        tokens->count = begin;
        builder->passages.skipped_count++;
        return 0;
    }
    if (count > builder->options.context_tokens) {
        count = builder->options.context_tokens;
        tokens->count = begin + count;
        builder->passages.truncated_count++;
    }
    return record(builder, begin, count, count - 1, builder->passages.text_count, err);
}

/* -- tokens --------------------------------------------------------------------------------------------- */

static int join(struct passages_builder *builder, const char *text, size_t size, struct err *err)
{
    if (builder->passages.text_count)
        (void)buf_append_text(&builder->joined, builder->options.separator);
    (void)buf_append(&builder->joined, text, size);
    return buf_check(&builder->joined, "joined texts", err);
}

static int cut_windows(struct passages_builder *builder, struct err *err)
{
    struct token_ids *tokens = &builder->tokens;
    size_t window = builder->options.window_tokens, stride = builder->options.stride_tokens;
    if (tokenizer_encode(builder->encoder, buf_text(&builder->joined), builder->joined.size, tokens, err))
        return err->code;
    size_t scored_end = 1; /* tokens before this are scored, or the first */
    for (size_t begin = 0; scored_end < tokens->count; begin += stride) {
        size_t end = tokens->count - begin < window ? tokens->count : begin + window;
        if (record(builder, begin, end - begin, end - scored_end, 0, err))
            return err->code;
        scored_end = end;
    }
    if (builder->passages.text_count && tokens->count < 2)
        builder->passages.skipped_count = builder->passages.text_count;
    return 0;
}

/* -- Building ------------------------------------------------------------------------------------------- */

int passages_builder_add(struct passages_builder *builder, const char *text, size_t size, struct err *err)
{
    int code;
    assert(!builder->is_finished);
    if (builder->options.mode != PASSAGES_MODE_TOKENS && unicode_valid_prefix(text, size) < size) {
        buf_clear(&builder->repaired);
        unicode_repair(text, size, &builder->repaired);
        if (buf_check(&builder->repaired, "text", err))
            return err->code;
        text = buf_text(&builder->repaired);
        size = builder->repaired.size;
    }
    if (builder->options.mode == PASSAGES_MODE_LAST_WORD)
        code = add_last_word(builder, text, size, err);
    else if (builder->options.mode == PASSAGES_MODE_TEXT_MEAN)
        code = add_whole_text(builder, text, size, err);
    else
        code = join(builder, text, size, err);
    builder->passages.text_count++;
    return code ? err_wrap(err, "text %" PRIu64, builder->passages.text_count) : 0;
}

/* They are kept for as long as their texts are scored (daemon/measure/passages_cache.h): what the arrays had
 * to grow is given back. Without memory for that they stay as they are. */
static void give_back_room(struct passages *passages)
{
    void *tokens = passages->tokens;
    if (passages->token_count && !resize_array(&tokens, passages->token_count, sizeof *passages->tokens))
        passages->tokens = tokens;
    if (passages->count)
        (void)resize_arrays(passages, passages->count);
}

int passages_builder_finish(struct passages_builder *builder, struct passages *ret_passages, struct err *err)
{
    assert(!builder->is_finished);
    if (builder->options.mode == PASSAGES_MODE_TOKENS && cut_windows(builder, err))
        return err_wrap(err, "joined texts");
    builder->passages.tokens = builder->tokens.data;
    builder->passages.token_count = builder->tokens.count;
    builder->tokens.data = NULL;
    give_back_room(&builder->passages);
    *ret_passages = builder->passages;
    builder->passages = (struct passages){0};
    builder->is_finished = 1;
    return 0;
}
