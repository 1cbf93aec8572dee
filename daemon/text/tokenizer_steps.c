/*
 * The "normalizer" and "pre_tokenizer" of tokenizer.json.
 * (tokenizers/src/normalizers and pre_tokenizers: utils, prepend.rs, replace.rs, byte_level.rs, digits.rs,
 * split.rs)
 */
#include "daemon/text/json_field.h"
#include "daemon/text/tokenizer_parts.h"
#include "daemon/text/unicode.h"

#include <jansson.h>
#include <string.h>

/* -- normalizer: none, NFC, Prepend, Replace of a text, or a Sequence of these -----------------------------
 */

static int read_text(const json_t *part, const char *name, char out[NORMALIZER_STRING_BYTES_MAX],
                     size_t *ret_size, struct err *err)
{
    const json_t *value = json_object_get(part, name);
    if (!json_is_string(value))
        return err_set(err, ERR_FORMAT, "%s: not a string", name);
    if (json_string_length(value) > NORMALIZER_STRING_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d bytes", name, NORMALIZER_STRING_BYTES_MAX);
    *ret_size = json_string_length(value);
    memcpy(out, json_string_value(value), *ret_size);
    return 0;
}

static int read_prepend(const json_t *part, struct normalizer *normalizer, struct err *err)
{
    struct normalizer_step step = {.kind = NORMALIZER_PREPEND};
    if (read_text(part, "prepend", step.content, &step.content_size, err))
        return err->code;
    return normalizer_add(normalizer, &step, err);
}

static int read_replace(const json_t *part, struct normalizer *normalizer, struct err *err)
{
    struct normalizer_step step = {.kind = NORMALIZER_REPLACE};
    const json_t *pattern = json_object_get(part, "pattern");
    if (json_is_object(pattern) && !json_object_get(pattern, "String"))
        return err_set(err, ERR_UNSUPPORTED, "pattern: only a String is supported");
    if (read_text(pattern, "String", step.pattern, &step.pattern_size, err))
        return err_wrap(err, "pattern");
    if (step.pattern_size == 0)
        return err_set(err, ERR_UNSUPPORTED, "pattern.String: nothing");
    if (read_text(part, "content", step.content, &step.content_size, err))
        return err->code;
    return normalizer_add(normalizer, &step, err);
}

static int read_normalizer(const json_t *part, int depth, struct normalizer *normalizer, struct err *err)
{
    const char *type;
    if (json_field_is_absent(part))
        return 0;
    if (json_field_type(part, &type, err))
        return err->code;
    if (strcmp(type, "NFC") == 0)
        return normalizer_add(normalizer, &(struct normalizer_step){.kind = NORMALIZER_NFC}, err);
    if (strcmp(type, "Prepend") == 0)
        return read_prepend(part, normalizer, err);
    if (strcmp(type, "Replace") == 0)
        return read_replace(part, normalizer, err);
    if (strcmp(type, "Sequence") != 0 || depth == TOKENIZER_NESTING_MAX)
        return json_field_refuse_type(type, err);
    const json_t *list = json_object_get(part, "normalizers");
    size_t i;
    const json_t *inner;
    if (!json_is_array(list))
        return err_set(err, ERR_FORMAT, "normalizers: not a list");
    json_array_foreach(list, i, inner)
    {
        if (read_normalizer(inner, depth + 1, normalizer, err))
            return err_wrap(err, "normalizers[%zu]", i);
    }
    return 0;
}

int tokenizer_normalizer_read(const json_t *part, struct normalizer *normalizer, struct err *err)
{
    return read_normalizer(part, 0, normalizer, err);
}

/* -- pre_tokenizer: cuts, and at the end the spelling of bytes; or Metaspace ---------------------------- */

/* The place of one more splitter, which counts once it is there. */
static struct splitter **next_splitter(struct pre_tokenizer *pre_tokenizer, struct err *err)
{
    if (pre_tokenizer->count < PRE_TOKENIZER_SPLITTERS_MAX)
        return &pre_tokenizer->splitters[pre_tokenizer->count];
    (void)err_set(err, ERR_UNSUPPORTED, "more than %d cuts one after the other are not supported",
                  PRE_TOKENIZER_SPLITTERS_MAX);
    return NULL;
}

static int read_byte_level(const json_t *part, struct tokenizer *tokenizer, struct err *err)
{
    struct pre_tokenizer *pre_tokenizer = &tokenizer->pre_tokenizer;
    int is_prefixed, use_regex;
    if (json_field_flag(part, "add_prefix_space", 1, &is_prefixed, err) ||
        json_field_flag(part, "use_regex", 1, &use_regex, err))
        return err->code;
    if (is_prefixed && pre_tokenizer->count)
        return err_set(err, ERR_UNSUPPORTED, "add_prefix_space: true after a cut is not supported");
    if (is_prefixed)
        pre_tokenizer->prefix = PRE_TOKENIZER_PREFIX_ALWAYS;
    tokenizer->alphabet.is_byte_level = 1;
    if (!use_regex)
        return 0;
    struct splitter **splitter = next_splitter(pre_tokenizer, err);
    if (!splitter || splitter_new(splitter_gpt2, splitter, err))
        return err->code;
    pre_tokenizer->count++;
    return 0;
}

/* Of known expressions which match every character, "the matches, without what lies between" is the same as
 * "all, each match by itself". */
static int read_split(const json_t *part, struct pre_tokenizer *pre_tokenizer, struct err *err)
{
    int invert;
    const char *behavior = json_string_value(json_object_get(part, "behavior"));
    const char *expression = json_string_value(json_object_get(json_object_get(part, "pattern"), "Regex"));
    struct splitter **splitter = next_splitter(pre_tokenizer, err);
    if (!splitter || json_field_flag(part, "invert", 0, &invert, err))
        return err->code;
    if (!behavior || (strcmp(behavior, "Isolated") != 0 && strcmp(behavior, "Removed") != 0))
        return err_set(err, ERR_UNSUPPORTED, "behavior: only \"Isolated\" and \"Removed\" are supported");
    if (invert != (strcmp(behavior, "Removed") == 0))
        return err_set(err, ERR_UNSUPPORTED, "invert: %s with \"%s\" is not supported",
                       invert ? "true" : "false", behavior);
    if (!expression)
        return err_set(err, ERR_UNSUPPORTED, "pattern: only a Regex is supported");
    if (invert && strcmp(expression, splitter_bloom) == 0)
        return err_set(err, ERR_UNSUPPORTED, "behavior: \"Removed\" with this expression is not supported");
    if (splitter_new(expression, splitter, err))
        return err_wrap(err, "pattern.Regex");
    pre_tokenizer->count++;
    return 0;
}

/* Gemma's cut at spaces, of which its normalizer has left none. */
static int read_idle_split(const json_t *part, const struct normalizer *normalizer, struct err *err)
{
    const char *pattern = json_string_value(json_object_get(json_object_get(part, "pattern"), "String"));
    const struct normalizer_step *last = normalizer->count ? &normalizer->steps[normalizer->count - 1] : NULL;
    int invert;
    if (json_field_flag(part, "invert", 0, &invert, err))
        return err->code;
    if (pattern && strcmp(pattern, " ") == 0 && !invert && last && last->kind == NORMALIZER_REPLACE &&
        last->pattern_size == 1 && last->pattern[0] == ' ' && !memchr(last->content, ' ', last->content_size))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "type: \"Split\" alone is supported only at spaces that the normalizer has replaced");
}

static int read_digits(const json_t *part, struct pre_tokenizer *pre_tokenizer, struct err *err)
{
    int is_each;
    struct splitter **splitter = next_splitter(pre_tokenizer, err);
    if (!splitter || json_field_flag(part, "individual_digits", 0, &is_each, err) ||
        splitter_new_digits(is_each, splitter, err))
        return err->code;
    pre_tokenizer->count++;
    return 0;
}

/* prepend_scheme, which an add_prefix_space of before may contradict. */
static int read_scheme(const json_t *part, enum pre_tokenizer_prefix *ret_prefix, struct err *err)
{
    static const char *const names[] = {"never", "first", "always"}; /* as the enum */
    const json_t *scheme = json_object_get(part, "prepend_scheme");
    size_t i;
    int is_prefixed;
    if (scheme && !json_is_string(scheme))
        return err_set(err, ERR_FORMAT, "prepend_scheme: not a string");
    for (i = 0; scheme && i < 3 && strcmp(names[i], json_string_value(scheme)) != 0; i++)
        ;
    if (i == 3)
        return err_set(err, ERR_UNSUPPORTED, "prepend_scheme: neither always, first nor never");
    *ret_prefix = scheme ? (enum pre_tokenizer_prefix)i : PRE_TOKENIZER_PREFIX_ALWAYS;
    if (json_field_flag(part, "add_prefix_space", 1, &is_prefixed, err))
        return err->code;
    if (!is_prefixed && *ret_prefix != PRE_TOKENIZER_PREFIX_NEVER)
        return err_set(err, ERR_FORMAT, "add_prefix_space: false, but prepend_scheme is not \"never\"");
    return 0;
}

static int read_metaspace(const json_t *part, struct tokenizer *tokenizer, struct err *err)
{
    struct pre_tokenizer *pre_tokenizer = &tokenizer->pre_tokenizer;
    const json_t *mark = json_object_get(part, "replacement");
    uint32_t codepoint;
    int is_split;
    size_t size = json_string_length(mark);
    if (size == 0 || unicode_decode_valid((const unsigned char *)json_string_value(mark), &codepoint) != size)
        return err_set(err, ERR_FORMAT, "replacement: not one character");
    if (read_scheme(part, &pre_tokenizer->prefix, err) || json_field_flag(part, "split", 1, &is_split, err))
        return err->code;
    /* What of a text is its beginning is asked of the text as it was. */
    if (pre_tokenizer->prefix == PRE_TOKENIZER_PREFIX_FIRST &&
        tokenizer->normalizer.count > normalizer_count(&tokenizer->normalizer, NORMALIZER_NFC))
        return err_set(err, ERR_UNSUPPORTED,
                       "prepend_scheme: \"first\" after another normalizer than NFC is not supported");
    memcpy(pre_tokenizer->mark, json_string_value(mark), size);
    pre_tokenizer->mark_size = size;
    if (!is_split)
        return 0;
    struct splitter **splitter = next_splitter(pre_tokenizer, err);
    if (!splitter || splitter_new_before(codepoint, splitter, err))
        return err->code;
    pre_tokenizer->count++;
    return 0;
}

static int read_step(const json_t *part, size_t place, size_t count, struct tokenizer *tokenizer,
                     struct err *err)
{
    const int is_last = place + 1 == count;
    const char *type;
    if (json_field_type(part, &type, err))
        return err->code;
    if (strcmp(type, "Split") == 0 && !is_last)
        return read_split(part, &tokenizer->pre_tokenizer, err);
    if (strcmp(type, "Split") == 0 && count == 1)
        return read_idle_split(part, &tokenizer->normalizer, err);
    if (strcmp(type, "Digits") == 0 && !is_last)
        return read_digits(part, &tokenizer->pre_tokenizer, err);
    if (strcmp(type, "ByteLevel") == 0 && is_last)
        return read_byte_level(part, tokenizer, err);
    if (strcmp(type, "Metaspace") == 0 && count == 1)
        return read_metaspace(part, tokenizer, err);
    return json_field_refuse_type(type, err);
}

int tokenizer_pre_tokenizer_read(const json_t *part, struct tokenizer *tokenizer, struct err *err)
{
    const char *type;
    if (json_field_is_absent(part))
        return 0;
    if (json_field_type(part, &type, err))
        return err->code;
    if (strcmp(type, "Sequence") != 0)
        return read_step(part, 0, 1, tokenizer, err);
    const json_t *list = json_object_get(part, "pretokenizers");
    size_t i, count = json_array_size(list);
    const json_t *inner;
    if (!json_is_array(list) || count == 0)
        return err_set(err, ERR_FORMAT, "pretokenizers: not a list with elements");
    json_array_foreach(list, i, inner)
    {
        if (read_step(inner, i, count, tokenizer, err))
            return err_wrap(err, "pretokenizers[%zu]", i);
    }
    return 0;
}
