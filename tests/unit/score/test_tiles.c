/* Tiles of queries: every input of every document exactly once, in its own document, where the wave has it.
 */
#include "gpu/score_tiles.h"
#include "tests/tools/random_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TILE_ROWS 64U

/* Checks the tiles of one batch. */
static void check_batch(const struct score_plan_batch *batch, const struct score_packed *packed,
                        const struct score_tile *tiles, uint32_t tile_count)
{
    uint32_t next = 0, document = 0;
    for (uint32_t i = 0; i < tile_count; i++) {
        const struct score_tile *tile = &tiles[i];
        assert_int_equal(tile->begin, next); /* no gap, no overlap */
        assert_in_range(tile->count, 1, TILE_ROWS);
        while (packed->offsets[document + 1] <= tile->begin)
            document++;
        assert_int_equal(tile->document, packed->offsets[document]);
        assert_true(tile->begin + tile->count <= packed->offsets[document + 1]);
        assert_int_equal((tile->begin - tile->document) % TILE_ROWS, 0);
        assert_true(tile->count == TILE_ROWS || tile->begin + tile->count == packed->offsets[document + 1]);
        next = tile->begin + tile->count;
    }
    assert_int_equal(next, batch->input_count);
}

/* Packs and cuts all waves as a device does: into arrays of a whole wave, batch after batch. */
static void check_plan(const struct score_plan *plan)
{
    size_t tiles_max = 0, largest = 0;
    struct score_place *places = calloc(plan->batch_count, sizeof *places);
    uint32_t *words = calloc(2 * (plan->wave_inputs_max + plan->wave_targets_max), sizeof *words);
    uint32_t *offsets = calloc(plan->batch_documents_max + 1, sizeof *offsets);
    score_tiles_place(plan, TILE_ROWS, places, &tiles_max);
    struct score_tile *tiles = calloc(tiles_max, sizeof *tiles);
    assert_true(places && words && offsets && tiles);
    for (size_t i = 0; i < plan->wave_count; i++) {
        const struct score_plan_wave *wave = &plan->waves[i];
        size_t inputs = 0, targets = 0, tile_count = 0;
        for (size_t j = wave->batch_first; j < wave->batch_first + wave->batch_count; j++) {
            const struct score_plan_batch *batch = &plan->batches[j];
            assert_int_equal(places[j].input_first, inputs);
            assert_int_equal(places[j].target_first, targets);
            assert_int_equal(places[j].tile_first, tile_count);
            struct score_packed packed = {.ids = words + inputs,
                                          .positions = words + plan->wave_inputs_max + inputs,
                                          .offsets = offsets,
                                          .target_rows = words + 2 * plan->wave_inputs_max + targets,
                                          .target_ids = words + 2 * plan->wave_inputs_max +
                                                        plan->wave_targets_max + targets};
            score_plan_pack(plan, j, &packed);
            score_tiles_cut(batch, offsets, TILE_ROWS, tiles + tile_count);
            check_batch(batch, &packed, tiles + tile_count, places[j].tile_count);
            inputs += batch->input_count;
            targets += batch->target_count;
            tile_count += places[j].tile_count;
        }
        assert_int_equal(inputs, wave->input_count);
        assert_int_equal(targets, wave->target_count);
        largest = tile_count > largest ? tile_count : largest;
    }
    assert_int_equal(largest, tiles_max);
    free(places), free(words), free(offsets), free(tiles);
}

static void every_input_once(void **state)
{
    (void)state;
    static const size_t longest[] = {2, 64, 65, 66, 129, 700};
    static const size_t limits[][3] = {{1, 1, 1}, {64, 3, 1000}, {200, 10, 300}, {2048, 1000, SIZE_MAX}};
    for (size_t i = 0; i < sizeof longest / sizeof longest[0]; i++) {
        struct random_documents documents;
        assert_int_equal(random_documents_init(&documents, 40, longest[i], 1000), 0);
        for (size_t j = 0; j < sizeof limits / sizeof limits[0]; j++) {
            struct err err = ERR_INIT;
            struct score_plan plan;
            const struct score_plan_options options = {limits[j][0], limits[j][1], limits[j][2]};
            assert_int_equal(score_plan_init(&plan, &documents.request, &options, &err), 0);
            check_plan(&plan);
            score_plan_free(&plan);
        }
        random_documents_free(&documents);
    }
}

/* Inputs after the last target are left out of the plan, and so of the tiles. */
static void early_targets(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct random_documents documents;
    struct score_plan plan;
    struct score_place places[3];
    size_t tiles_max = 0;
    const struct score_plan_options options = {10000, 10000, 10000};
    assert_int_equal(random_documents_init(&documents, 3, 200, 1000), 0);
    documents.target_first[1] = 65; /* of 200 tokens: 65 inputs, two tiles */
    documents.target_count[1] = 1;
    documents.target_first[2] = 1; /* one input */
    documents.target_count[2] = 1;
    assert_int_equal(score_plan_init(&plan, &documents.request, &options, &err), 0);
    assert_int_equal(plan.batch_count, 1);
    score_tiles_place(&plan, TILE_ROWS, places, &tiles_max);
    assert_int_equal(tiles_max, 4);
    check_plan(&plan);
    score_plan_free(&plan);
    random_documents_free(&documents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_input_once), cmocka_unit_test(early_targets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
