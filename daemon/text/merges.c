#include "daemon/text/merges.h"

#include "daemon/base/limits.h"
#include "daemon/base/pulse.h"
#include "daemon/text/hash.h"

#include <assert.h>
#include <stdlib.h>

#define TURNS_PER_BEAT 65536 /* merges between two beats of the watchdog's pulse */

struct merges_symbol {
    uint32_t id;
    int32_t previous; /* index of the neighbour, or -1 */
    int32_t next;
    int removed; /* merged into the symbol on its left */
};

/* A pair that had a merge when it was found; it may have vanished since. */
struct merges_candidate {
    uint32_t rank;
    uint32_t position; /* of the left symbol */
    uint32_t new_id;
};

static_assert(LIMIT_WORD_BYTES < INT32_MAX, "symbols of a word are counted in 32 bits");

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}

int merges_init(struct merges *merges, size_t count, struct err *err)
{
    size_t slot_count = 64;
    while (slot_count < count * 2)
        slot_count *= 2;
    struct merge *slots = reallocarray(NULL, slot_count, sizeof *slots);
    if (!slots)
        return err_set(err, ERR_NO_MEMORY, "out of memory for %zu merges", count);
    for (size_t i = 0; i < slot_count; i++)
        slots[i] = (struct merge){.pair = MERGES_NO_PAIR};
    *merges = (struct merges){.slots = slots, .slot_count = slot_count, .seed = hash_seed()};
    return 0;
}

void merges_free(struct merges *merges)
{
    if (!merges)
        return;
    free(merges->slots);
    *merges = (struct merges){0};
}

static struct merge *find_slot(const struct merges *merges, uint64_t pair)
{
    size_t mask = merges->slot_count - 1;
    size_t slot = (size_t)hash_u64(pair ^ merges->seed) & mask;
    while (merges->slots[slot].pair != pair && merges->slots[slot].pair != MERGES_NO_PAIR)
        slot = (slot + 1) & mask;
    return &merges->slots[slot];
}

void merges_add(struct merges *merges, uint32_t left, uint32_t right, uint32_t rank, uint32_t new_id)
{
    struct merge *merge = find_slot(merges, pair_of(left, right));
    if (merge->pair == MERGES_NO_PAIR)
        merges->count++;
    *merge = (struct merge){.pair = pair_of(left, right), .rank = rank, .new_id = new_id};
}

const struct merge *merges_find(const struct merges *merges, uint32_t left, uint32_t right)
{
    const struct merge *merge = find_slot(merges, pair_of(left, right));
    return merge->pair == MERGES_NO_PAIR ? NULL : merge;
}

void merges_scratch_free(struct merges_scratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->symbols);
    free(scratch->heap);
    *scratch = (struct merges_scratch){0};
}

/* -- A binary heap of candidates, the first to merge on top ------------------------------------------- */

static int is_before(const struct merges_candidate *a, const struct merges_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->position < b->position;
}

static void sift_down(struct merges_candidate *heap, size_t count, size_t i)
{
    struct merges_candidate moving = heap[i];
    for (size_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
        if (child + 1 < count && is_before(&heap[child + 1], &heap[child]))
            child++;
        if (!is_before(&heap[child], &moving))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moving;
}

static void heap_push(struct merges_scratch *scratch, struct merges_candidate candidate)
{
    struct merges_candidate *heap = scratch->heap;
    size_t i = scratch->heap_count++;
    for (; i > 0 && is_before(&candidate, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = candidate;
}

static struct merges_candidate heap_pop(struct merges_scratch *scratch)
{
    struct merges_candidate top = scratch->heap[0];
    scratch->heap[0] = scratch->heap[--scratch->heap_count];
    if (scratch->heap_count)
        sift_down(scratch->heap, scratch->heap_count, 0);
    return top;
}

/* -- Merging ------------------------------------------------------------------------------------------- */

/* n - 1 candidates at the start, at most one more on balance per merge (each pops one and pushes two). */
static int make_room(struct merges_scratch *scratch, size_t count, struct err *err)
{
    if (count > scratch->symbol_capacity) {
        size_t capacity = count < 256 ? 256 : count;
        free(scratch->symbols);
        scratch->symbol_capacity = 0;
        scratch->symbols = reallocarray(NULL, capacity, sizeof *scratch->symbols);
        if (!scratch->symbols)
            return err_set(err, ERR_NO_MEMORY, "out of memory for a word of %zu bytes", count);
        scratch->symbol_capacity = capacity;
    }
    if (2 * count > scratch->heap_capacity) {
        size_t capacity = count < 256 ? 512 : 2 * count;
        free(scratch->heap);
        scratch->heap_capacity = 0;
        scratch->heap = reallocarray(NULL, capacity, sizeof *scratch->heap);
        if (!scratch->heap)
            return err_set(err, ERR_NO_MEMORY, "out of memory for a word of %zu bytes", count);
        scratch->heap_capacity = capacity;
    }
    return 0;
}

static void push_pair(const struct merges *merges, struct merges_scratch *scratch, int32_t left)
{
    const struct merges_symbol *symbol = &scratch->symbols[left];
    const struct merge *merge = merges_find(merges, symbol->id, scratch->symbols[symbol->next].id);
    if (merge)
        heap_push(scratch, (struct merges_candidate){merge->rank, (uint32_t)left, merge->new_id});
}

static void start(const struct merges *merges, struct merges_scratch *scratch, const uint32_t *ids,
                  size_t count)
{
    scratch->heap_count = 0;
    for (size_t i = 0; i < count; i++) {
        scratch->symbols[i] = (struct merges_symbol){
            .id = ids[i], .previous = (int32_t)i - 1, .next = i + 1 < count ? (int32_t)i + 1 : -1};
        const struct merge *merge = i + 1 < count ? merges_find(merges, ids[i], ids[i + 1]) : NULL;
        if (merge)
            scratch->heap[scratch->heap_count++] =
                (struct merges_candidate){merge->rank, (uint32_t)i, merge->new_id};
    }
    for (size_t i = scratch->heap_count / 2; i-- > 0;)
        sift_down(scratch->heap, scratch->heap_count, i);
}

/* Beats the pulse; whether to go on. */
static int keep_on(const struct merges_scratch *scratch, size_t turn, struct err *err)
{
    if (turn % TURNS_PER_BEAT != 0)
        return 0;
    pulse_beat();
    if (scratch->cancel && atomic_load(scratch->cancel))
        return err_set(err, ERR_CANCELLED, "cutting a text into tokens was cancelled");
    return 0;
}

int merges_apply(const struct merges *merges, struct merges_scratch *scratch, uint32_t *ids, size_t count,
                 size_t *ret_count, struct err *err)
{
    assert(count <= LIMIT_WORD_BYTES);
    if (make_room(scratch, count, err))
        return err->code;
    start(merges, scratch, ids, count);
    struct merges_symbol *symbols = scratch->symbols;
    for (size_t turn = 1; scratch->heap_count; turn++) {
        if (keep_on(scratch, turn, err))
            return err->code;
        struct merges_candidate candidate = heap_pop(scratch);
        struct merges_symbol *left = &symbols[candidate.position];
        if (left->removed || left->next < 0)
            continue;
        struct merges_symbol *right = &symbols[left->next];
        /* Expired if the pair has become another one, unless that one gives the same symbol. */
        const struct merge *merge = merges_find(merges, left->id, right->id);
        if (!merge || merge->new_id != candidate.new_id)
            continue;
        left->id = candidate.new_id;
        left->next = right->next;
        right->removed = 1;
        if (right->next >= 0)
            symbols[right->next].previous = (int32_t)candidate.position;
        if (left->previous >= 0)
            push_pair(merges, scratch, left->previous);
        if (left->next >= 0)
            push_pair(merges, scratch, (int32_t)candidate.position);
    }
    size_t result = 0;
    for (size_t i = 0; i < count; i++) {
        if (!symbols[i].removed)
            ids[result++] = symbols[i].id;
    }
    *ret_count = result;
    return 0;
}
