#include "daemon/text/added_tokens.h"

#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/text/unicode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_PER_BEAT 65536 /* of the watchdog's pulse; where tokens are made for it a turn takes 0.1 ms */

static void token_free(struct added_token *token)
{
    free(token->content);
    free(token->pattern);
}

void added_tokens_init(struct added_tokens *added)
{
    *added = (struct added_tokens){0};
    vocabulary_init(&added->by_content);
}

void added_tokens_free(struct added_tokens *added)
{
    if (!added)
        return;
    for (size_t i = 0; i < added->count; i++)
        token_free(&added->tokens[i]);
    free(added->tokens);
    free(added->raw.nodes);
    free(added->normalized.nodes);
    vocabulary_free(&added->by_content);
    added_tokens_init(added);
}

static char *copy(const char *text, size_t size)
{
    char *result = malloc(size + 1);
    if (!result)
        return NULL;
    memcpy(result, text, size);
    result[size] = 0;
    return result;
}

/* Room for one more token; the new element is not counted yet. */
static struct added_token *make_place(struct added_tokens *added, struct err *err)
{
    if (added->count == LIMIT_ADDED_TOKENS) {
        (void)err_set(err, ERR_LIMIT, "more than %d added tokens", LIMIT_ADDED_TOKENS);
        return NULL;
    }
    if (added->count == added->capacity) {
        size_t capacity = added->capacity ? added->capacity * 2 : 32;
        struct added_token *tokens = reallocarray(added->tokens, capacity, sizeof *tokens);
        if (!tokens) {
            (void)err_set(err, ERR_NO_MEMORY, "out of memory");
            return NULL;
        }
        added->tokens = tokens;
        added->capacity = capacity;
    }
    return &added->tokens[added->count];
}

int added_tokens_add(struct added_tokens *added, const struct added_token *token, struct err *err)
{
    uint32_t index;
    int code = 0;
    if (token->content_size > LIMIT_ADDED_TOKEN_BYTES || token->pattern_size > LIMIT_ADDED_TOKEN_BYTES)
        return err_set(err, ERR_LIMIT, "content has more than %d bytes", LIMIT_ADDED_TOKEN_BYTES);
    int is_known = vocabulary_find(&added->by_content, token->content, token->content_size, &index);
    struct added_token *place = is_known ? &added->tokens[index] : make_place(added, err);
    if (!place)
        return err->code;
    struct added_token taken = *token;
    taken.content = copy(token->content, token->content_size);
    taken.pattern = copy(token->pattern, token->pattern_size);
    if (!taken.content || !taken.pattern)
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!code && !is_known)
        code = vocabulary_add(&added->by_content, token->content, token->content_size, (uint32_t)added->count,
                              err);
    if (code) {
        token_free(&taken);
        return code;
    }
    if (is_known)
        token_free(place);
    else
        added->count++;
    *place = taken;
    if (taken.id >= added->id_limit)
        added->id_limit = taken.id + 1;
    return 0;
}

const struct added_token *added_tokens_find(const struct added_tokens *added, const char *content,
                                            size_t size)
{
    uint32_t index;
    return vocabulary_find(&added->by_content, content, size, &index) ? &added->tokens[index] : NULL;
}

/* -- The tries ----------------------------------------------------------------------------------------- */

static uint32_t find_child(const struct added_tokens_set *set, uint32_t node, unsigned char byte)
{
    uint32_t child = set->nodes[node].child;
    while (child && set->nodes[child].byte != byte)
        child = set->nodes[child].sibling;
    return child;
}

/* Adds a node and returns its index; 0 without memory (the root, made first, is never a child). */
static uint32_t add_node(struct added_tokens_set *set, unsigned char byte)
{
    if (set->node_count == set->node_capacity) {
        size_t capacity = set->node_capacity ? set->node_capacity * 2 : 64;
        struct added_tokens_node *nodes = reallocarray(set->nodes, capacity, sizeof *nodes);
        if (!nodes)
            return 0;
        set->nodes = nodes;
        set->node_capacity = capacity;
    }
    assert(set->nodes);
    set->nodes[set->node_count] = (struct added_tokens_node){.byte = byte};
    return (uint32_t)set->node_count++;
}

static int insert(struct added_tokens_set *set, const struct added_token *token, size_t index,
                  struct err *err)
{
    uint32_t node = 0;
    if (!set->nodes && (add_node(set, 0), !set->nodes))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    set->begins[(unsigned char)token->pattern[0]] = 1;
    for (size_t i = 0; i < token->pattern_size; i++) {
        unsigned char byte = (unsigned char)token->pattern[i];
        uint32_t child = find_child(set, node, byte);
        if (!child) {
            child = add_node(set, byte);
            if (!child)
                return err_set(err, ERR_NO_MEMORY, "out of memory");
            set->nodes[child].sibling = set->nodes[node].child;
            set->nodes[node].child = child;
        }
        node = child;
    }
    if (set->nodes[node].token)
        return err_set(err, ERR_UNSUPPORTED, "two tokens are the same text after normalisation");
    set->nodes[node].token = (uint32_t)index + 1;
    return 0;
}

int added_tokens_index(struct added_tokens *added, struct err *err)
{
    for (size_t i = 0; i < added->count; i++) {
        const struct added_token *token = &added->tokens[i];
        if (insert(token->normalized ? &added->normalized : &added->raw, token, i, err))
            return err_wrap(err, "added_tokens[%zu]", i);
    }
    return 0;
}

/* -- Walking -------------------------------------------------------------------------------------------- */

void added_tokens_begin(struct added_tokens_walk *walk, const struct added_tokens *added,
                        const struct added_tokens_set *set, const char *text, size_t size)
{
    *walk = (struct added_tokens_walk){.added = added, .set = set, .text = text, .size = size};
}

/* The longest token that `text` begins with: its index + 1, or 0. */
static uint32_t find_longest(const struct added_tokens_set *set, const char *text, size_t size,
                             size_t *ret_size)
{
    uint32_t node = 0, best = 0;
    for (size_t i = 0; i < size; i++) {
        node = find_child(set, node, (unsigned char)text[i]);
        if (!node)
            break;
        if (set->nodes[node].token) {
            best = set->nodes[node].token;
            *ret_size = i + 1;
        }
    }
    return best;
}

size_t added_tokens_longest(const struct added_tokens_set *set, const char *text, size_t size)
{
    size_t found = 0;
    if (set->nodes && size && set->begins[(unsigned char)*text])
        (void)find_longest(set, text, size, &found);
    return found;
}

/* The longest token that begins at `begin`, or NULL. */
static const struct added_token *longest_at(const struct added_tokens_walk *walk, size_t begin)
{
    size_t size;
    uint32_t best = find_longest(walk->set, walk->text + begin, walk->size - begin, &size);
    return best ? &walk->added->tokens[best - 1] : NULL;
}

static int is_single_word(const struct added_tokens_walk *walk, size_t begin, size_t end)
{
    const unsigned char *text = (const unsigned char *)walk->text;
    uint32_t codepoint;
    if (begin > 0) {
        (void)unicode_decode_valid(text + unicode_previous(walk->text, begin), &codepoint);
        if (unicode_is_word(codepoint))
            return 0;
    }
    if (end < walk->size) {
        (void)unicode_decode_valid(text + end, &codepoint);
        if (unicode_is_word(codepoint))
            return 0;
    }
    return 1;
}

static size_t skip_space_left(const char *text, size_t begin, size_t floor)
{
    while (begin > floor) {
        uint32_t codepoint;
        size_t previous = unicode_previous(text, begin);
        (void)unicode_decode_valid((const unsigned char *)text + previous, &codepoint);
        if (!unicode_is_space(codepoint))
            break;
        begin = previous;
    }
    return begin < floor ? floor : begin;
}

static size_t skip_space_right(const char *text, size_t end, size_t size)
{
    while (end < size) {
        uint32_t codepoint;
        size_t length = unicode_decode_valid((const unsigned char *)text + end, &codepoint);
        if (!unicode_is_space(codepoint))
            break;
        end += length;
    }
    return end;
}

static void take_turn(struct added_tokens_walk *walk)
{
    if (++walk->turn_count % TURNS_PER_BEAT == 0)
        pulse_beat();
}

int added_tokens_next(struct added_tokens_walk *walk, struct added_tokens_step *ret_step)
{
    if (walk->is_done)
        return 0;
    for (; walk->set->nodes && walk->cursor < walk->size; take_turn(walk)) {
        size_t begin = walk->cursor;
        if (!walk->set->begins[(unsigned char)walk->text[begin]]) {
            walk->cursor++;
            continue;
        }
        const struct added_token *token = longest_at(walk, begin);
        if (!token) {
            walk->cursor++;
            continue;
        }
        size_t end = begin + token->pattern_size;
        walk->cursor = end;
        if (token->single_word && !is_single_word(walk, begin, end))
            continue;
        if (token->lstrip)
            begin = skip_space_left(walk->text, begin, walk->piece_begin);
        if (token->rstrip)
            end = skip_space_right(walk->text, end, walk->size);
        if (begin >= end) /* the token before has taken all of this one */
            continue;
        *ret_step = (struct added_tokens_step){walk->piece_begin, begin, token};
        if (begin < walk->piece_begin)
            ret_step->piece_end = walk->piece_begin;
        walk->piece_begin = end;
        take_turn(walk);
        return 1;
    }
    walk->is_done = 1;
    *ret_step = (struct added_tokens_step){walk->piece_begin, walk->size, NULL};
    return 1;
}
