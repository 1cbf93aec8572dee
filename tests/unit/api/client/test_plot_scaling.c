/* The figure of a suite: where points, bars and laws stand, and what it leaves out. */
#include "tests/unit/store/fixture.h"

#include "tests/unit/analysis/near.h"

#include "api/client/plot_axis.h"
#include "api/client/plot_scaling.h"

#include <jansson.h>
#include <math.h>

#define RAW                                                                                                  \
    "{\"models\": ["                                                                                         \
    "{\"model\": \"a/<small>\", \"parameter_count\": 100, \"onset_step\": 10, \"onset_step_before\": 0},"    \
    "{\"model\": \"a/large\", \"parameter_count\": 10000, \"onset_step\": 1000, \"onset_step_before\": "     \
    "100},"                                                                                                  \
    "{\"model\": \"a/never\", \"parameter_count\": 500, \"onset_step\": null, \"onset_step_before\": 90},"   \
    "{\"model\": \"a/unknown\", \"parameter_count\": 0, \"onset_step\": 5, \"onset_step_before\": 2},"       \
    "{\"model\": \"a/zero\", \"parameter_count\": 70, \"onset_step\": 0, \"onset_step_before\": null}],"     \
    "\"fit\": {\"is_fitted\": true, \"exponent\": 1, \"exponent_low\": 0.5, \"exponent_high\": 1.5,"         \
    " \"prefactor\": 0.1, \"sizes\": 3, \"unforked\": 1, \"count\": 3}}"
#define CENTRED                                                                                              \
    "{\"models\": ["                                                                                         \
    "{\"model\": \"a/<small>\", \"parameter_count\": 100, \"onset_step\": 20, \"onset_step_before\": null}," \
    "{\"model\": \"a/never\", \"parameter_count\": 1000, \"onset_step\": 30, \"onset_step_before\": 20}],"   \
    "\"fit\": {\"is_fitted\": false}}"

static const struct plot_options standard = {.width = 760, .is_tokens = 1};

/* Draws into svg, which the caller frees. */
static int draw(const char *raw, const char *centred, const struct plot_options *options, struct buf *svg,
                struct err *ret_err)
{
    json_t *documents[] = {raw ? json_loads(raw, 0, NULL) : NULL,
                           centred ? json_loads(centred, 0, NULL) : NULL};
    buf_init(svg, PLOT_BYTES_MAX);
    int code =
        plot_scaling_draw(&(struct plot_scaling_source){{documents[0], documents[1]}}, options, svg, ret_err);
    json_decref(documents[0]);
    json_decref(documents[1]);
    return code;
}

static void expect(const struct buf *svg, const char *text)
{
    if (!strstr(buf_text(svg), text))
        fail_msg("not there: %s", text);
}

static void test_places(void **state)
{
    struct buf svg;
    struct err err = ERR_INIT;
    char text[160];
    (void)state;
    assert_int_equal(draw(RAW, CENTRED, &standard, &svg, &err), 0);
    /* from 100 to 10000 parameters, and from step 10 to 1000, each with a twentieth of room */
    struct plot_axis sizes = plot_axis_values(100, 10000, 1, 66, 760 - 132);
    struct plot_axis steps = plot_axis_values(10, 1000, 1, 52 + 380, 52);
    const struct {
        double size, step, before;
        const char *dot, *bar;
        double aside;
    } points[] = {{100, 10, 0, "dot0", "error", -1.5},
                  {10000, 1000, 100, "dot0", "error", -1.5},
                  {100, 20, 0, "ring1", "error1", 1.5},
                  {1000, 30, 20, "ring1", "error1", 1.5}};
    for (size_t i = 0; i < 4; i++) {
        double x = plot_axis_at(&sizes, points[i].size), y = plot_axis_at(&steps, points[i].step);
        double foot = points[i].before > 0 ? plot_axis_at(&steps, points[i].before) : 52 + 380;
        (void)snprintf(text, sizeof text, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%s\" class=\"%s\"/>", x, y,
                       i < 2 ? "3.50" : "5.00", points[i].dot);
        expect(&svg, text);
        (void)snprintf(text, sizeof text,
                       "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" class=\"%s\"/>",
                       x + points[i].aside, y, x + points[i].aside, foot, points[i].bar);
        expect(&svg, text);
    }
    (void)snprintf(text, sizeof text, "<path class=\"line0\" d=\"M%.2f %.2fL%.2f %.2f\"/>",
                   plot_axis_at(&sizes, 100), plot_axis_at(&steps, 10), plot_axis_at(&sizes, 10000),
                   plot_axis_at(&steps, 1000));
    expect(&svg, text);
    assert_null(strstr(buf_text(&svg), "<path class=\"line1\""));
    double x = plot_axis_at(&sizes, 500) - 1.5;
    (void)snprintf(text, sizeof text,
                   "<line x1=\"%.2f\" y1=\"52.00\" x2=\"%.2f\" y2=\"%.2f\" class=\"error\"/>", x, x,
                   plot_axis_at(&steps, 90));
    expect(&svg, text);
    expect(&svg, "a/never, 500 parameters, as stored: no onset so far, after step 90.\n");
    expect(&svg, ">not forked so far: 1<");
    expect(&svg, "token rows; 3 of 5 models, those with a known size and a bound of the onset");
    expect(&svg, "a/&lt;small&gt;, 100 parameters, as stored: onset at step 10, after step 0.\n");
    expect(&svg, "a/&lt;small&gt;, 100 parameters, around column means: onset at step 20.\n");
    expect(&svg, ">exponent 1.000<");
    expect(&svg, ">no law<");
    assert_null(strstr(buf_text(&svg), "a/unknown"));
    assert_null(strstr(buf_text(&svg), "a/zero"));
    buf_free(&svg);
}

/* In the unit of the law alone: a model that counts in another has no point. */
static void test_units(void **state)
{
    static const char models[] =
        "\"models\": [{\"model\": \"a/b\", \"parameter_count\": 100, \"step_unit\": \"steps\", "
        "\"onset_step\": 512, "
        "\"onset_step_before\": 256, \"onset_tokens\": 1e9, \"onset_tokens_before\": 5e8},"
        "{\"model\": \"a/c\", \"parameter_count\": 200, \"step_unit\": \"words\", \"onset_step\": 7e6, "
        "\"onset_step_before\": 1e6, \"onset_tokens\": null, \"onset_tokens_before\": null}]}";
    static const struct {
        const char *unit, *there, *absent, *title;
    } cases[] = {
        {"tokens", "onset at 1B tokens, after 500M tokens.", "a/c", ">onset, training tokens (logarithmic)<"},
        {"steps", "onset at step 512, after step 256.", "a/c", ">onset, training step (logarithmic)<"},
        {"words", "onset at 7M words, after 1M words.", "a/b", ">onset, training words (logarithmic)<"},
    };
    struct err err = ERR_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char document[700];
        struct buf svg;
        (void)snprintf(document, sizeof document, "{\"unit\": \"%s\", %s", cases[i].unit, models);
        assert_int_equal(draw(document, NULL, &standard, &svg, &err), 0);
        expect(&svg, cases[i].there);
        expect(&svg, cases[i].title);
        assert_null(strstr(buf_text(&svg), cases[i].absent));
        buf_free(&svg);
    }
}

/* Equal data give equal bytes; other onsets another digest. */
static void test_contents(void **state)
{
    struct buf svg[3];
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(draw(RAW, NULL, &standard, &svg[0], &err), 0);
    assert_int_equal(draw(RAW, NULL, &standard, &svg[1], &err), 0);
    assert_int_equal(draw(CENTRED, NULL, &standard, &svg[2], &err), 0);
    assert_string_equal(buf_text(&svg[0]), buf_text(&svg[1]));
    const char *at[2];
    for (int i = 0; i < 2; i++)
        assert_non_null(at[i] = strstr(buf_text(&svg[2 * i]), " contents=\""));
    assert_int_not_equal(strncmp(at[0], at[1], 76), 0);
    for (int i = 0; i < 3; i++)
        buf_free(&svg[i]);
}

static void test_refused_and_odd(void **state)
{
    static const char *const nothing[] = {
        "{}",
        "{\"models\": []}",
        "{\"models\": 7, \"fit\": 7}",
        "{\"models\": [7, null, {}]}",
        "{\"models\": [{\"model\": \"a/b\", \"parameter_count\": -5, \"onset_step\": 1}]}",
    };
    static const char *const odd[] = {
        "{\"models\": [{\"model\": 7, \"parameter_count\": 1e300, \"onset_step\": 1e-300},"
        "{\"parameter_count\": 1, \"onset_step\": 1e300, \"onset_step_before\": -7}],"
        "\"fit\": {\"is_fitted\": true, \"exponent\": 1e300, \"prefactor\": 1e300}}",
        "{\"models\": [{\"model\": \"a/\", \"parameter_count\": 1, \"onset_step\": 1}], \"fit\": "
        "{\"is_fitted\": true}}",
    };
    struct buf svg;
    (void)state;
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(draw(nothing[i], NULL, &standard, &svg, &err), ERR_NOT_FOUND);
        assert_int_equal(svg.size, 0);
        buf_free(&svg);
    }
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(draw(odd[i], odd[i], &standard, &svg, &err), 0);
        assert_null(strstr(buf_text(&svg), "\"nan"));
        assert_null(strstr(buf_text(&svg), "\"inf"));
        assert_null(strstr(buf_text(&svg), " nan"));
        expect(&svg, ">no law<");
        buf_free(&svg);
    }
}

/* Names stand beside their points only where they cover no other name. */
static void test_names_keep_apart(void **state)
{
    struct buf text, svg;
    struct err err = ERR_INIT;
    size_t count = 0;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_append_text(&text, "{\"models\": [");
    for (int i = 0; i < 1000; i++)
        buf_appendf(&text, "%s{\"model\": \"suite/model-%d\", \"parameter_count\": 1000, \"onset_step\": 64}",
                    i ? "," : "", i);
    buf_append_text(&text, "], \"fit\": {\"is_fitted\": false}}");
    assert_int_equal(draw(buf_text(&text), NULL, &standard, &svg, &err), 0);
    for (const char *at = buf_text(&svg); (at = strstr(at, ">model-")); at++)
        count++;
    assert_int_equal(count, 2); /* above and below */
    buf_free(&text);
    buf_free(&svg);
}

/* A daemon that answers with more models than it may does not keep the client busy for ever. */
static void test_too_many_models(void **state)
{
    struct buf text, svg;
    struct err err = ERR_INIT;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_append_text(&text, "{\"models\": [");
    for (int i = 0; i < 3000; i++)
        buf_appendf(&text, "%s{\"model\": \"a/%d\", \"parameter_count\": 1000, \"onset_step\": 64}",
                    i ? "," : "", i);
    buf_append_text(&text, "]}");
    assert_int_equal(draw(buf_text(&text), buf_text(&text), &standard, &svg, &err), 0);
    expect(&svg, "; 1000 of the first 3000 models");
    assert_null(strstr(buf_text(&svg), "a/1000,"));
    buf_free(&text);
    buf_free(&svg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_contents),
                                       cmocka_unit_test(test_units),
                                       cmocka_unit_test(test_refused_and_odd),
                                       cmocka_unit_test(test_names_keep_apart),
                                       cmocka_unit_test(test_too_many_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
