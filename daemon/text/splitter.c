#define PCRE2_CODE_UNIT_WIDTH 8

#include "daemon/text/splitter.h"

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* White_Space, to stand in a character class. */
#define SPACE                                                                                                \
    "\\x{09}-\\x{0D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"   \
    "\\x{3000}"

/* \p{L} and \p{N} of Unicode 16: what PCRE2 knows, and what was assigned since Unicode 14. */
#define LETTER                                                                                               \
    "\\p{L}\\x{1C89}\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{"     \
    "10D65}"                                                                                                 \
    "\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}\\x{11240}\\x{11380}-\\x{11389}\\x{1138B}\\x{"      \
    "1138E}"                                                                                                 \
    "\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{"      \
    "11F10}"                                                                                                 \
    "\\x{11F12}-\\x{11F33}\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}"         \
    "\\x{16D40}-\\x{16D6C}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}\\x{1E030}-\\x{1E06D}"          \
    "\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{"     \
    "323AF}"
#define NUMBER                                                                                               \
    "\\p{N}\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}"             \
    "\\x{16130}-\\x{16139}\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1D2C0}-\\x{1D2D3}\\x{1E4F0}-\\x{"    \
    "1E4F9}"                                                                                                 \
    "\\x{1E5F1}-\\x{1E5FA}"

/* Kinds of letters, and marks, likewise. */
#define UPPER "\\p{Lu}\\x{1C89}\\x{A7CB}\\x{A7CC}\\x{A7DA}\\x{A7DC}\\x{10D50}-\\x{10D65}"
#define MODIFIER                                                                                             \
    "\\p{Lm}\\x{10D4E}\\x{10D6F}\\x{16D40}-\\x{16D42}\\x{16D6B}\\x{16D6C}\\x{1E030}-\\x{1E06D}"              \
    "\\x{1E4EB}"
#define OTHER                                                                                                \
    "\\p{Lo}\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D4D}\\x{10D4F}\\x{10EC2}-\\x{10EC4}\\x{1123F}"             \
    "\\x{11240}\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}"           \
    "\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}\\x{1342F}"          \
    "\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}\\x{16D43}-\\x{16D6A}\\x{18CFF}"         \
    "\\x{1B132}\\x{1B155}\\x{1E4D0}-\\x{1E4EA}\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}\\x{2EBF0}-"          \
    "\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define LOWER "\\p{Ll}\\x{1C8A}\\x{A7CD}\\x{A7DB}\\x{10D70}-\\x{10D85}\\x{1DF25}-\\x{1DF2A}"
#define MARK                                                                                                 \
    "\\p{M}\\x{897}\\x{CF3}\\x{ECE}\\x{10D69}-\\x{10D6D}\\x{10EFC}-\\x{10EFF}\\x{11241}\\x{113B8}-"          \
    "\\x{113C0}\\x{113C2}\\x{113C5}\\x{113C7}-\\x{113CA}\\x{113CC}-\\x{113D0}\\x{113D2}\\x{113E1}"           \
    "\\x{113E2}\\x{11F00}\\x{11F01}\\x{11F03}\\x{11F34}-\\x{11F3A}\\x{11F3E}-\\x{11F42}\\x{11F5A}"           \
    "\\x{13440}\\x{13447}-\\x{13455}\\x{1611E}-\\x{1612F}\\x{1E08F}\\x{1E4EC}-\\x{1E4EF}\\x{1E5EE}"          \
    "\\x{1E5EF}"

const char splitter_gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* Digits goes by the numbers of Unicode 17 (Rust's char::is_numeric). */
#define NUMBER_17 NUMBER "\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}"

#define CL100K(digits)                                                                                       \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits                               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const char splitter_qwen2[] = CL100K("");

#define BEGINNING "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define REST "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define TEKKEN                                                                                               \
    "[^\\r\\n\\p{L}\\p{N}]?" BEGINNING "*" REST "+|[^\\r\\n\\p{L}\\p{N}]?" BEGINNING "+" REST "*"            \
    "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* In `tokenizers`' dialect a bracket within brackets is a class within the class: "|", "(" and ")" are
 * members as the marks are. */
const char splitter_bloom[] = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+";
#define BLOOM_FLAT " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"

/* Expressions of tokenizer.json. Each but the last matches every character, so that nothing lies between two
 * words. */
static const char *const known[] = {
    splitter_gpt2,   /* GPT-2, GPT-NeoX, OLMo */
    CL100K("{1,3}"), /* OLMo 2 and 3, Llama 3, SmolLM3 */
    splitter_qwen2,  /* and 3 */
    TEKKEN,          /* Apertus, and Mistral from Nemo on */
    splitter_bloom,
};

struct splitter {
    pcre2_code *code;
    const char *expression; /* of known, or NULL */
};

struct splitter_match {
    pcre2_match_data *data;
};

/* What stands for a class of `tokenizers`' dialect inside of brackets, and the characters that it has there.
 */
static const struct {
    const char *escape, *members;
    int is_outside; /* of the members */
} classes[] = {
    {"\\p{L}", LETTER, 0},    {"\\p{N}", NUMBER, 0}, {"\\p{Lu}", UPPER, 0},
    {"\\p{Lm}", MODIFIER, 0}, {"\\p{Lo}", OTHER, 0}, {"\\p{Ll}", LOWER, 0},
    {"\\p{M}", MARK, 0},      {"\\s", SPACE, 0},     {"\\S", SPACE, 1},
};

/* Writes a known expression for PCRE2: its classes as lists of what they have. */
static void translate(const char *expression, struct buf *out)
{
    int is_in_brackets = 0;
    while (*expression) {
        size_t class = 0;
        while (class < sizeof classes / sizeof classes[0] &&
               strncmp(expression, classes[class].escape, strlen(classes[class].escape)) != 0)
            class ++;
        if (class < sizeof classes / sizeof classes[0]) {
            (void)buf_appendf(out, is_in_brackets ? "%s%s" : "[%s%s]", classes[class].is_outside ? "^" : "",
                              classes[class].members);
            expression += strlen(classes[class].escape);
            continue;
        }
        if (*expression == '[' || *expression == ']')
            is_in_brackets = *expression == '[';
        (void)buf_append_char(out, *expression++);
    }
}

static int compile(const char *expression, struct splitter **ret_splitter, struct err *err)
{
    struct splitter *splitter = calloc(1, sizeof *splitter);
    if (!splitter)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code;
    PCRE2_SIZE offset;
    splitter->code = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                                   &code, &offset, NULL);
    if (!splitter->code) {
        char reason[128] = "";
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        free(splitter);
        return err_set(err, ERR_INTERNAL, "PCRE2 refuses an expression at %zu: %s", (size_t)offset, reason);
    }
    /* Where no executable memory may be had (MemoryDenyWriteExecute=), matching is interpreted: slower,
     * equal. */
    (void)pcre2_jit_compile(splitter->code, PCRE2_JIT_COMPLETE);
    *ret_splitter = splitter;
    return 0;
}

int splitter_new(const char *expression, struct splitter **ret_splitter, struct err *err)
{
    struct buf translation;
    size_t i = 0;
    while (i < sizeof known / sizeof known[0] && strcmp(known[i], expression) != 0)
        i++;
    if (i == sizeof known / sizeof known[0])
        return err_set(err, ERR_UNSUPPORTED, "the expression is not one of those known");
    buf_init(&translation, 64 * KIB);
    translate(known[i] == splitter_bloom ? BLOOM_FLAT : expression, &translation);
    int code = buf_check(&translation, "expression", err);
    if (!code)
        code = compile(buf_text(&translation), ret_splitter, err);
    buf_free(&translation);
    if (!code)
        (*ret_splitter)->expression = known[i];
    return code;
}

int splitter_new_digits(int is_each, struct splitter **ret_splitter, struct err *err)
{
    return compile(is_each ? "[" NUMBER_17 "]" : "[" NUMBER_17 "]+", ret_splitter, err);
}

int splitter_new_before(uint32_t codepoint, struct splitter **ret_splitter, struct err *err)
{
    char expression[64];
    (void)snprintf(expression, sizeof expression, "\\x{%" PRIX32 "}?[^\\x{%" PRIX32 "}]*", codepoint,
                   codepoint);
    return compile(expression, ret_splitter, err);
}

int splitter_is_same(const struct splitter *a, const struct splitter *b)
{
    return a->expression && a->expression == b->expression;
}

void splitter_free(struct splitter *splitter)
{
    if (!splitter)
        return;
    pcre2_code_free(splitter->code);
    free(splitter);
}

int splitter_match_new(const struct splitter *splitter, struct splitter_match **ret_match, struct err *err)
{
    struct splitter_match *match = calloc(1, sizeof *match);
    if (match)
        match->data = pcre2_match_data_create_from_pattern(splitter->code, NULL);
    if (!match || !match->data) {
        splitter_match_free(match);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    *ret_match = match;
    return 0;
}

void splitter_match_free(struct splitter_match *match)
{
    if (!match)
        return;
    pcre2_match_data_free(match->data);
    free(match);
}

int splitter_next(const struct splitter *splitter, struct splitter_match *match, const char *text,
                  size_t size, size_t begin, size_t *ret_end, struct err *err)
{
    int count =
        pcre2_match(splitter->code, (PCRE2_SPTR)text, size, begin, PCRE2_NO_UTF_CHECK, match->data, NULL);
    if (count == PCRE2_ERROR_NOMATCH) {
        *ret_end = size;
        return 0;
    }
    if (count < 0) {
        char reason[128] = "";
        (void)pcre2_get_error_message(count, (PCRE2_UCHAR *)reason, sizeof reason);
        return err_set(err, ERR_LIMIT, "cutting into words: %s", reason);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(match->data);
    *ret_end = bounds[0] > begin ? bounds[0] : bounds[1];
    if (*ret_end <= begin)
        return err_set(err, ERR_INTERNAL, "cutting into words: an empty match");
    return 0;
}
