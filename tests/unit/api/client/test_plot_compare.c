/* The figure of several runs: its axis, its lines and rings, what tells the models apart, and what it
 * refuses. */
#include "tests/unit/api/client/figure.h"
#include "tests/unit/store/fixture.h"

#include "api/client/plot_compare.h"

#include <jansson.h>
#include <stdlib.h>

#define SERIES(unit, digest)                                                                                 \
    "{\"step_unit\": \"" unit "\", \"revisions\": ["                                                         \
    "{\"revision\": \"step1\", \"step\": 1, \"tensor\": \"w\", \"digest\": \"" digest                        \
    "1\", \"msd\": 0.001, "                                                                                  \
    "\"dip\": 0.001, \"perplexity\": 90, \"perplexity_dataset_digest\": \"" digest "\"},"                    \
    "{\"revision\": \"step10\", \"step\": 10, \"tensor\": \"w\", \"digest\": \"" digest                      \
    "2\", \"msd\": 0.1, "                                                                                    \
    "\"dip\": 0.02, \"perplexity\": 9, \"perplexity_dataset_digest\": \"" digest "\"},"                      \
    "{\"revision\": \"main\", \"step\": null, \"msd\": 0.5}]}"
#define ANALYSIS(tokens)                                                                                     \
    "{\"onsets\": [{\"rows\": \"all\", \"view\": \"raw\", \"verdict\": \"yes\", \"revision\": \"step10\", "  \
    "\"step\": 10}], \"thresholds\": {\"dip_on\": 0.005}, \"revisions\": ["                                  \
    "{\"revision\": \"step1\", \"step\": 1, \"tokens\": " tokens "},"                                        \
    "{\"revision\": \"step10\", \"step\": 10, \"tokens\": " tokens "0}]}"

static const struct plot_options standard = {.width = 700};

struct run {
    const char *name, *series, *analysis;
};

/* Draws into svg, which the caller frees. */
static int draw(const struct run *runs, size_t count, const struct plot_options *options, enum step_unit unit,
                struct buf *svg, struct err *ret_err)
{
    struct plot_source sources[PLOT_MODELS_MAX + 1];
    const char *names[PLOT_MODELS_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        names[i] = runs[i].name;
        sources[i] = (struct plot_source){NULL, json_loads(runs[i].series, 0, NULL),
                                          json_loads(runs[i].analysis, 0, NULL)};
        assert_non_null(sources[i].series);
        assert_non_null(sources[i].analysis);
    }
    const struct plot_compare_source source = {count, names, sources};
    buf_init(svg, PLOT_BYTES_MAX);
    int code = plot_compare_draw(&source, options, unit, svg, ret_err);
    for (size_t i = 0; i < count; i++) {
        json_decref((json_t *)(uintptr_t)sources[i].series);
        json_decref((json_t *)(uintptr_t)sources[i].analysis);
    }
    return code;
}

static void test_a_line_for_each_model(void **state)
{
    (void)state;
    static const struct run runs[] = {{"a/m-70m", SERIES("steps", "x"), ANALYSIS("20")},
                                      {"a/<m>-1b", SERIES("steps", "x"), ANALYSIS("20")}};
    struct buf svg;
    struct err err = ERR_INIT;
    assert_int_equal(draw(runs, 2, &standard, STEP_UNIT_COUNT, &svg, &err), 0);
    /* in the key and in three panels: displacement, dip, perplexity; of Ashman's D nothing is there */
    assert_int_equal(count_of(&svg, "class=\"m0\""), 4);
    assert_int_equal(count_of(&svg, "class=\"m1\""), 4);
    assert_int_equal(count_of(&svg, "class=\"r0\""), 3);
    assert_int_equal(count_of(&svg, "class=\"d1\""), 6);
    assert_int_equal(count_of(&svg, "Ashman"), 0);
    assert_int_equal(count_of(&svg, ">&lt;m&gt;-1b</text>"), 1);
    assert_int_equal(count_of(&svg, "<run model=\"a/m-70m\""), 1);
    assert_int_equal(count_of(&svg, ">training step (logarithmic)<"), 1);
    assert_int_equal(count_of(&svg, "do not"), 0);
    buf_free(&svg);
}

/* What the analysis leaves out is hollow, and a reference that is a late revision's weights is told. */
static void test_repeated_weights(void **state)
{
    (void)state;
    static const char found[] =
        "{\"stop\": {\"cautions\": [{\"name\": \"first_is_suspect\"}]}, \"revisions\": "
        "[{\"revision\": \"step1\", \"step\": 1, \"msd\": 0.001, \"is_counted\": false}]}";
    static const struct run runs[] = {{"a/b", SERIES("steps", "x"), found},
                                      {"a/c", SERIES("steps", "x"), ANALYSIS("20")}};
    struct buf svg;
    struct err err = ERR_INIT;
    assert_int_equal(draw(runs, 2, &standard, STEP_UNIT_COUNT, &svg, &err), 0);
    assert_int_equal(count_of(&svg, "class=\"hollow0 h0\""), 3); /* of two points in each panel */
    assert_int_equal(count_of(&svg, "class=\"d0\""), 3);
    assert_int_equal(count_of(&svg, "class=\"d1\""), 6);
    assert_int_equal(count_of(&svg, ">ring: onset of bifurcation; hollow: repeated weights<"), 1);
    assert_int_equal(count_of(&svg, ">1 from late<"), 1);
    buf_free(&svg);
}

/* The key's names, of two runs of which all but these is the same. */
static void check_key(const char *first, const char *second, const char *first_key, const char *second_key)
{
    const struct run runs[] = {{first, SERIES("steps", "x"), ANALYSIS("20")},
                               {second, SERIES("steps", "x"), ANALYSIS("20")}};
    struct buf svg;
    struct err err = ERR_INIT;
    assert_int_equal(draw(runs, 2, &standard, STEP_UNIT_COUNT, &svg, &err), 0);
    assert_int_equal(count_of(&svg, first_key), 1);
    assert_int_equal(count_of(&svg, second_key), 1);
    buf_free(&svg);
}

static void test_names_in_the_key_are_apart(void **state)
{
    (void)state;
    check_key("a/m-1", "b/m-2", ">m-1</text>", ">m-2</text>");
    check_key("a/m", "b/m", ">a/m</text>", ">b/m</text>");
    check_key("file:/data/lr-1e-3/of/a/long/path/to/all/the/checkpoints",
              "file:/data/lr-1e-4/of/a/long/path/to/all/the/checkpoints", ">lr-1e-3</text>",
              ">lr-1e-4</text>");
    check_key("file:/data/of/a/long/path/to/all/the/checkpoints",
              "file:/data/x/of/a/long/path/to/all/the/checkpoints", ">of</text>", ">x/of</text>");
}

static void test_one_axis(void **state)
{
    (void)state;
    static const struct run runs[] = {{"a/one", SERIES("steps", "x"), ANALYSIS("20")},
                                      {"a/two", SERIES("tokens", "y"), ANALYSIS("1")}};
    static const struct run without[] = {{"a/one", SERIES("steps", "x"), ANALYSIS("null")},
                                         {"a/two", SERIES("epochs", "x"), "{\"revisions\": []}"}};
    struct buf svg;
    struct err err = ERR_INIT;
    assert_int_equal(draw(runs, 2, &standard, STEP_UNIT_COUNT, &svg, &err), 0);
    assert_int_equal(count_of(&svg, ">training tokens (logarithmic)<"), 1);
    assert_int_equal(count_of(&svg, ">do not<") + count_of(&svg, ">texts: do not<"), 1); /* digests differ */
    buf_free(&svg);
    assert_int_equal(draw(runs, 2, &standard, STEP_UNIT_STEPS, &svg, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "a/two: its revisions count tokens"));
    buf_free(&svg);
    assert_int_equal(draw(without + 1, 1, &standard, STEP_UNIT_TOKENS, &svg, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "where they lie in tokens is not known"));
    buf_free(&svg);
    assert_int_equal(draw(without + 1, 1, &standard, STEP_UNIT_COUNT, &svg, &err), 0);
    assert_int_equal(count_of(&svg, ">epoch (logarithmic)<"), 1);
    buf_free(&svg);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct run runs[] = {{"a/one", SERIES("steps", "x"), ANALYSIS("20")},
                                      {"a/none", "{\"revisions\": []}", "{}"}};
    struct plot_options options = standard;
    struct buf svg;
    struct err err = ERR_INIT;
    assert_int_equal(draw(runs, 2, &standard, STEP_UNIT_COUNT, &svg, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "a/none"));
    buf_free(&svg);
    options.panels = 1U << PLOT_PANEL_HEAT;
    assert_int_equal(draw(runs, 1, &options, STEP_UNIT_COUNT, &svg, &err), ERR_INVALID);
    buf_free(&svg);
    options.panels = 1U << PLOT_PANEL_VALLEY;
    assert_int_equal(draw(runs, 1, &options, STEP_UNIT_COUNT, &svg, &err), ERR_NOT_FOUND);
    buf_free(&svg);
    struct run many[PLOT_MODELS_MAX + 1];
    for (size_t i = 0; i < PLOT_MODELS_MAX + 1; i++)
        many[i] = runs[0];
    assert_int_equal(draw(many, PLOT_MODELS_MAX + 1, &standard, STEP_UNIT_COUNT, &svg, &err), ERR_LIMIT);
    buf_free(&svg);
}

static int is_alike(const struct plot_look *one, const struct plot_look *other)
{
    return strcmp(one->colour, other->colour) == 0 && one->dashes == other->dashes;
}

static void test_no_two_look_alike(void **state)
{
    (void)state;
    static const char *const suites[][16] = {
        {"p-70m", "p-70m-deduped", "p-160m", "p-160m-deduped", "p-410m", "p-410m-deduped", "p-1b",
         "p-1b-deduped", "p-1.4b", "p-1.4b-deduped", "p-2.8b", "p-2.8b-deduped", "p-6.9b", "p-6.9b-deduped",
         "p-12b", "p-12b-deduped"},
        {"m-1b", "m-1B", "n-1b", "m-1b-seed1", "m-1b-seed2", "m1b", "x", "y", "z", "m-", "m-0b", "q", "r",
         "s", "t", ""},
        {"m-1m", "m-2m", "m-3m", "m-4m", "m-5m", "m-6m", "m-7m", "m-8m", "m-9m", "m-10m", "m-11m", "m-12m",
         "m-13m", "m-14m", "m-15m", "m-16m"}};
    struct plot_look looks[16];
    for (size_t s = 0; s < 3; s++) {
        for (int is_dark = 0; is_dark < 2; is_dark++) {
            plot_looks_choose(suites[s], 16, is_dark, looks);
            for (size_t i = 0; i < 16; i++) {
                for (size_t k = 0; k < i; k++)
                    assert_false(is_alike(&looks[i], &looks[k]));
            }
        }
    }
    plot_looks_choose(suites[0], 16, 0, looks);
    assert_int_equal(looks[0].dashes, looks[1].dashes); /* the same size of both families */
    assert_string_equal(looks[0].colour, "#3d8fd1");
    assert_string_equal(looks[14].colour, "#08287a");
    assert_string_equal(looks[15].colour, "#531c03");
    const char *many[PLOT_MODELS_MAX];
    struct plot_look of_many[PLOT_MODELS_MAX];
    char names[PLOT_MODELS_MAX][8];
    for (size_t i = 0; i < PLOT_MODELS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "run%zu", i);
        many[i] = names[i];
    }
    plot_looks_choose(many, PLOT_MODELS_MAX, 1, of_many);
    for (size_t i = 0; i < PLOT_MODELS_MAX; i++) {
        for (size_t k = 0; k < i; k++)
            assert_false(is_alike(&of_many[i], &of_many[k]));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_for_each_model),
        cmocka_unit_test(test_repeated_weights),
        cmocka_unit_test(test_names_in_the_key_are_apart),
        cmocka_unit_test(test_one_axis),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_two_look_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
