/* The figure: axes, the map of the distribution, lines and marks, and what it refuses. */
#include "tests/unit/analysis/near.h"
#include "tests/unit/api/client/figure.h"
#include "tests/unit/store/fixture.h"

#include "api/client/plot.h"
#include "api/client/plot_axis.h"
#include "api/client/svg.h"
#include "daemon/base/utf8.h"

#include <jansson.h>
#include <math.h>

#define DISTRIBUTION                                                                                         \
    "{\"model\": \"a/<b>&\\\"c\\\"\", \"bins\": 4, \"low\": -2, \"high\": 2, \"revisions\": ["               \
    "{\"revision\": \"step1\", \"step\": 1, \"counts\": [0, 100, 100, 0]},"                                  \
    "{\"revision\": \"step10\", \"step\": 10, \"counts\": [100, 0, 25, 0]},"                                 \
    "{\"revision\": \"bad\", \"step\": 11, \"counts\": [1, 2]}]}"
#define SERIES                                                                                               \
    "{\"revisions\": [{\"revision\": \"step1\", \"step\": 1, \"tensor\": \"w\", \"digest\": \"d1\", "        \
    "\"msd\": 0.001,"                                                                                        \
    " \"dip\": 0.001, \"perplexity\": null},"                                                                \
    "{\"revision\": \"step10\", \"step\": 10, \"tensor\": \"w\", \"digest\": \"d2\", \"msd\": 0.1, "         \
    "\"dip\": 0.02},"                                                                                        \
    "{\"revision\": \"unmeasured\", \"step\": 90, \"msd\": null, \"dip\": null},"                            \
    "{\"revision\": \"main\", \"step\": null, \"msd\": 0.5}]}"
#define ANALYSIS                                                                                             \
    "{\"definition\": 2, \"onsets\": [{\"rows\": \"all\", \"view\": \"raw\", \"verdict\": \"yes\", "         \
    "\"step\": 10},"                                                                                         \
    " {\"rows\": \"tokens\", \"view\": \"raw\", \"verdict\": \"yes\", \"step\": 1}],"                        \
    " \"stop\": {\"verdict\": \"no\", \"step\": null},"                                                      \
    " \"perplexity_fall\": {\"verdict\": \"insufficient\", \"step_from\": null, \"step_to\": null},"         \
    " \"thresholds\": {\"dip_on\": 0.005}, \"revisions\": [{\"revision\": \"step1\", \"is_counted\": true}," \
    " {\"revision\": \"step10\", \"step\": 10, \"msd\": 0.1, \"is_counted\": false}]}"

static const struct plot_options standard = {.width = 700};

/* Draws into svg, which the caller frees. */
static int draw(const char *distribution, const char *series, const char *analysis,
                const struct plot_options *options, struct buf *svg, struct err *ret_err)
{
    json_t *documents[] = {json_loads(distribution, 0, NULL), json_loads(series, 0, NULL),
                           json_loads(analysis, 0, NULL)};
    struct plot_source source = {documents[0], documents[1], documents[2]};
    assert_non_null(documents[0]);
    assert_non_null(documents[1]);
    buf_init(svg, PLOT_BYTES_MAX);
    int code = plot_draw(&source, options, svg, ret_err);
    for (int i = 0; i < 3; i++)
        json_decref(documents[i]);
    return code;
}

static void test_axis_of_steps(void **state)
{
    (void)state;
    static const double steps[] = {0, 1, 10, 1000};
    struct plot_tick ticks[PLOT_TICKS_MAX];
    struct plot_axis axis = plot_axis_steps(steps, 4, 1, 0, 1000);
    double decade =
        (1000 - 20) / (3 + 0.4); /* 10 pixels of room at each end, step 0 at 0.4 decades before 1 */
    assert_near(plot_axis_at(&axis, 0), 10, 1e-9);
    assert_near(plot_axis_at(&axis, 1), 10 + 0.4 * decade, 1e-9);
    assert_near(plot_axis_at(&axis, 100), 10 + 2.4 * decade, 1e-9);
    assert_near(plot_axis_at(&axis, 1000), 990, 1e-9);
    assert_true(isnan(plot_axis_at(&axis, (double)NAN)));
    assert_int_equal(plot_axis_ticks(&axis, ticks), 5);
    static const char *const labels[] = {"0", "1", "10", "100", "1000"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(ticks[i].label, labels[i]);
    axis = plot_axis_steps(steps, 4, 0, 0, 1000);
    assert_near(plot_axis_at(&axis, 500), 500, 1e-9);
    assert_int_equal(plot_axis_ticks(&axis, ticks), 6);
    assert_string_equal(ticks[1].label, "200");
    axis = plot_axis_steps(steps + 3, 1, 1, 0, 1000); /* one step: an axis nevertheless */
    assert_true(plot_axis_at(&axis, 1000) >= 0 && plot_axis_at(&axis, 1000) <= 1000);
    axis = plot_axis_steps(NULL, 0, 1, 0, 1000);
    assert_true(plot_axis_ticks(&axis, ticks) <= PLOT_TICKS_MAX);
}

/* Wherever a run begins and ends, its axis has numbers, and no two are the same. */
static void test_every_axis_has_numbers(void **state)
{
    (void)state;
    static const struct {
        double steps[2];
        size_t count;
        int is_log;
        const char *first, *last;
    } cases[] = {
        {{143000}, 1, 1, "143k", "143k"},
        {{143000}, 1, 0, "143k", "143k"},
        {{0}, 1, 1, "0", "1"},
        {{1}, 1, 1, "1", "1"},
        {{110000, 143000}, 2, 1, "110k", "140k"},
        {{142900, 143000}, 2, 0, "142.9k", "143k"},
        {{0, 143000}, 2, 1, "0", "143k"},
        {{7, 9}, 2, 1, "7", "9"},
        {{1000100, 1000200}, 2, 0, "1.0001M", "1.0002M"},
        {{20e9, 220e9}, 2, 1, "20B", "200B"}, /* tokens */
        {{0, 2.5e12}, 2, 0, "0", "2.5T"},
        {{900e6, 1.1e9}, 2, 0, "900M", "1.1B"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plot_tick ticks[PLOT_TICKS_MAX];
        struct plot_axis axis = plot_axis_steps(cases[i].steps, cases[i].count, cases[i].is_log, 0, 1000);
        size_t count = plot_axis_ticks(&axis, ticks);
        assert_true(count > 0);
        assert_string_equal(ticks[0].label, cases[i].first);
        assert_string_equal(ticks[count - 1].label, cases[i].last);
        for (size_t k = 1; k < count; k++) {
            assert_true(ticks[k].at > ticks[k - 1].at);
            assert_string_not_equal(ticks[k].label, ticks[k - 1].label);
        }
    }
    struct plot_axis axis = plot_axis_steps(cases[0].steps, 1, 1, 0, 1000);
    assert_near(plot_axis_at(&axis, 143000), 500, 0.01);
    axis = plot_axis_steps((const double[]){1e300}, 1, 0, 0, 1000);
    assert_near(plot_axis_at(&axis, 1e300), 500, 1);
}

static void test_axis_of_values(void **state)
{
    (void)state;
    static const struct {
        double low, high;
        int is_log;
        const char *first, *last;
        size_t count;
    } cases[] = {
        {0, 1, 0, "0", "1", 5},
        {-3, 2, 0,
         "\xe2\x88\x92"
         "2",
         "2", 3},
        {20000, 60000, 0, "20k", "60k", 5},
        {1e-6, 1e-3, 1, "10\xe2\x81\xbb\xe2\x81\xb6", "10\xe2\x81\xbb\xc2\xb3", 4},
        {10, 40, 1, "10", "40", 4},
        {31, 33.5, 1, "31", "33", 3},
        {1, 1e12, 1, "1", "10\xc2\xb9\xc2\xb2", 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plot_tick ticks[PLOT_TICKS_MAX];
        struct plot_axis axis = plot_axis_values(cases[i].low, cases[i].high, cases[i].is_log, 200, 100);
        size_t count = plot_axis_ticks(&axis, ticks);
        if (count != cases[i].count || strcmp(ticks[0].label, cases[i].first) ||
            strcmp(ticks[count - 1].label, cases[i].last))
            fail_msg("case %zu: %zu ticks from %s to %s", i, count, ticks[0].label,
                     ticks[count ? count - 1 : 0].label);
        for (size_t k = 0; k < count; k++)
            assert_true(ticks[k].at >= 100 - 0.01 && ticks[k].at <= 200 + 0.01 &&
                        (k == 0 || ticks[k].at < ticks[k - 1].at));
    }
    /* whatever the numbers are, the axis ends */
    static const double odd[][2] = {
        {5, 5}, {0, 0}, {1e-320, 2e-320}, {-1e308, 1e308}, {1e300, 1e300 * (1 + 1e-15)}};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct plot_tick ticks[PLOT_TICKS_MAX];
        struct plot_axis axis = plot_axis_values(odd[i][0], odd[i][1], 0, 200, 100);
        assert_true(plot_axis_ticks(&axis, ticks) <= PLOT_TICKS_MAX);
        if (odd[i][0] > 0) {
            axis = plot_axis_values(odd[i][0], odd[i][1], 1, 200, 100);
            assert_true(plot_axis_ticks(&axis, ticks) <= PLOT_TICKS_MAX);
        }
    }
}

static void test_text_is_escaped(void **state)
{
    (void)state;
    struct buf svg;
    buf_init(&svg, 1000);
    svg_append_escaped(&svg, "<a b=\"c\">&\x01\x1f\t\n\xc3\xa9\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd");
    assert_string_equal(buf_text(&svg),
                        "&lt;a b=&quot;c&quot;&gt;&amp;\xef\xbf\xbd\xef\xbf\xbd\t\n\xc3\xa9\xef\xbf\xbd"
                        "\xef\xbf\xbd\xef\xbf\xbd");
    buf_free(&svg);
}

/* 700 wide: the steps' axis reaches from 66 to 568. The map is 300 high, so a bin is 75; it begins at 72.
 * Step 1 lies at 71.02 and step 10 at 562.98, so their border is at 317. */
static void test_map(void **state)
{
    (void)state;
    struct buf svg;
    OK(draw(DISTRIBUTION, SERIES, ANALYSIS, &standard, &svg, &err));
    const char *full = strstr(buf_text(&svg), "<path fill=\"#041432\" d=\"");
    assert_non_null(full);
    /* the two full bins of step1 are one rectangle; of step10 the lowest one is full */
    assert_int_equal(strncmp(full,
                             "<path fill=\"#041432\" d=\"M66.00 147.00h251.00v150.00h-251.00z"
                             "M317.00 297.00h251.00v75.00h-251.00z\"",
                             86),
                     0);
    /* a quarter of the fullest bin: half the way up the ramp, level 16 of 31 */
    const char *half = strstr(buf_text(&svg), "M317.00 147.00h251.00v75.00h-251.00z");
    assert_non_null(half);
    assert_int_equal(count_of(&svg, "M317.00 147.00h251.00v75.00"), 1);
    assert_null(strstr(buf_text(&svg), "nan"));
    assert_null(strstr(buf_text(&svg), "inf"));
    assert_non_null(strstr(buf_text(&svg), "a/&lt;b&gt;&amp;&quot;c&quot;"));
    buf_free(&svg);
}

/* A later stage whose steps begin anew has no place in the map: it is the same with and without it. */
static void test_map_of_one_run(void **state)
{
    static const char LATER[] = "{\"model\": \"a/b\", \"bins\": 2, \"low\": -2, \"high\": 2, \"revisions\": ["
                                "{\"revision\": \"step1\", \"step\": 1, \"counts\": [0, 9]},"
                                "{\"revision\": \"step10\", \"step\": 10, \"counts\": [9, 0]}%s]}";
    static const char STAGE2[] = ", {\"revision\": \"stage2-step1\", \"step\": 1, \"counts\": [9, 1]},"
                                 "{\"revision\": \"stage2-step5\", \"step\": 5, \"counts\": [1, 9]}";
    (void)state;
    struct buf svgs[2];
    for (int i = 0; i < 2; i++) {
        char distribution[1000];
        (void)snprintf(distribution, sizeof distribution, LATER, i ? STAGE2 : "");
        OK(draw(distribution, SERIES, ANALYSIS, &standard, &svgs[i], &err));
    }
    assert_string_equal(buf_text(&svgs[0]), buf_text(&svgs[1]));
    buf_free(&svgs[0]);
    buf_free(&svgs[1]);
}

static void test_lines_and_marks(void **state)
{
    (void)state;
    struct buf svg, again;
    OK(draw(DISTRIBUTION, SERIES, ANALYSIS, &standard, &svg, &err));
    OK(draw(DISTRIBUTION, SERIES, ANALYSIS, &standard, &again, &err));
    assert_string_equal(buf_text(&svg), buf_text(&again));
    buf_free(&again);
    /* heat, displacement and dip have data; each shows the onset, the first one names it */
    assert_int_equal(count_of(&svg, "class=\"onset\""), 3);
    assert_int_equal(
        count_of(&svg, "<line x1=\"562.98\" y1=\"72.00\" x2=\"562.98\" y2=\"372.00\" class=\"onset\"/>"), 1);
    assert_int_equal(count_of(&svg, ">onset: step 10<"), 1);
    assert_int_equal(count_of(&svg, "class=\"stop\""), 0);
    assert_int_equal(count_of(&svg, "class=\"band\""), 0);
    assert_int_equal(count_of(&svg, ">onset: 0.005<"), 1);
    /* the revision that is not counted is hollow in both panels of lines */
    assert_int_equal(count_of(&svg, "class=\"hollow0\""), 2);
    assert_int_equal(count_of(&svg, "class=\"dot0\""), 2);
    assert_non_null(strstr(buf_text(&svg), "; 2 revisions"));
    assert_int_equal(count_of(&svg, ">hollow: repeats"), 1);
    buf_free(&svg);
    struct plot_options tokens = {.width = 700, .is_tokens = 1};
    OK(draw(DISTRIBUTION, "{\"revisions\": [{\"step\": 1, \"tokens_msd\": 1, \"digest\": \"d\"}]}", ANALYSIS,
            &tokens, &svg, &err));
    assert_int_equal(count_of(&svg, ">onset: step 1<"), 1);
    buf_free(&svg);
}

/* A line of many revisions has no points but those that are left out: here the first, which repeats the last.
 */
static void test_many_revisions(void **state)
{
    (void)state;
    static const char found[] =
        "{\"stop\": {\"verdict\": \"no\", \"cautions\": [{\"name\": \"%s\"}]}, \"revisions\": "
        "[{\"revision\": \"step1\", \"step\": 1, \"msd\": 0, \"is_counted\": false}]}";
    struct buf svg, series;
    char analysis[sizeof found + 32];
    buf_init(&series, 100000);
    buf_append_text(&series, "{\"revisions\": [{\"revision\": \"step1\", \"step\": 1, \"dip\": 0.02}");
    for (int i = 2; i <= 154; i++)
        buf_appendf(&series, ", {\"revision\": \"step%d\", \"step\": %d, \"msd\": 0.1, \"dip\": 0.01}", i, i);
    buf_append_text(&series, "]}");
    for (int is_suspect = 0; is_suspect < 2; is_suspect++) {
        (void)snprintf(analysis, sizeof analysis, found, is_suspect ? "first_is_suspect" : "no_perplexity");
        OK(draw(DISTRIBUTION, buf_text(&series), analysis, &standard, &svg, &err));
        assert_int_equal(count_of(&svg, "class=\"hollow0\""), 1);
        assert_int_equal(count_of(&svg, "class=\"dot0\""), 0);
        assert_int_equal(count_of(&svg, ">hollow: repeats"), 1);
        assert_int_equal(count_of(&svg, ">repeats a late one<"), is_suspect);
        buf_free(&svg);
    }
    buf_free(&series);
}

/* Where perplexities alone are measured nothing is hollow, and no tensor is named. */
static void test_perplexities_alone(void **state)
{
    (void)state;
    struct buf svg;
    OK(draw("{\"model\": \"a/b\", \"revisions\": []}",
            "{\"revisions\": [{\"revision\": \"step1\", \"step\": 1, \"perplexity\": 9}, "
            "{\"revision\": \"step2\", \"step\": 2, \"perplexity\": 8}]}",
            "{\"revisions\": [{\"revision\": \"step1\", \"step\": 1, \"is_counted\": false, \"msd\": null}, "
            "{\"revision\": \"step2\", \"step\": 2, \"is_counted\": false, \"msd\": null}]}",
            &standard, &svg, &err));
    assert_int_equal(count_of(&svg, "class=\"dot0\""), 2);
    assert_int_equal(count_of(&svg, "class=\"hollow0\""), 0);
    assert_int_equal(count_of(&svg, ">2 revisions<"), 1);
    assert_int_equal(count_of(&svg, ">a/b over training</title>"), 1);
    buf_free(&svg);
    /* The last revision alone has no tensor: the figure is of that of the others. */
    OK(draw(DISTRIBUTION,
            "{\"revisions\": [{\"revision\": \"step1\", \"step\": 1, \"msd\": 1, \"tensor\": \"w\"}, "
            "{\"revision\": \"step2\", \"step\": 2, \"perplexity\": 8}]}",
            "{\"revisions\": []}", &standard, &svg, &err));
    assert_int_equal(count_of(&svg, ": w over training</title>"), 1);
    assert_int_equal(count_of(&svg, ">w, all rows, as stored; 2 revisions<"), 1);
    buf_free(&svg);
}

/* A perplexity of other texts is in no line, widens no axis, and is counted. */
static void test_other_texts(void **state)
{
    static const char series[] =
        "{\"revisions\": [{\"revision\": \"step1\", \"step\": 1, \"perplexity\": 20, \"pooled_perplexity\": "
        "30},"
        " {\"revision\": \"step10\", \"step\": 10, \"perplexity\": 9e9, \"perplexity_stderr\": 1e9},"
        " {\"revision\": \"step100\", \"step\": 100, \"perplexity\": 10, \"pooled_perplexity\": 25}]}";
    static const char other[] =
        "{\"revisions\": [{\"revision\": \"step1\", \"other_texts\": [\"text_mean\"]},"
        " {\"revision\": \"step10\", \"other_texts\": [\"last_word\"]}, {\"revision\": \"step100\", "
        "\"other_texts\": []}]}";
    static const char odd[] = "{\"revisions\": [{\"revision\": \"step1\", \"other_texts\": [3]},"
                              " {\"revision\": \"step10\", \"other_texts\": \"last_word\"}, {\"revision\": "
                              "\"step100\", \"other_texts\": null}]}";
    (void)state;
    struct buf svg;
    OK(draw(DISTRIBUTION, series, other, &standard, &svg, &err));
    assert_int_equal(count_of(&svg, "class=\"dot0\""), 2);
    assert_int_equal(count_of(&svg, "class=\"dot1\""), 2);
    assert_int_equal(count_of(&svg, "class=\"error\""), 0);
    assert_int_equal(count_of(&svg, ">10\xe2\x81\xb9<"), 0);
    assert_int_equal(count_of(&svg, ">1 of other texts<"), 1);
    assert_int_equal(count_of(&svg, ">left out<"), 1);
    buf_free(&svg);
    OK(draw(DISTRIBUTION, series, odd, &standard, &svg, &err));
    assert_int_equal(count_of(&svg, "class=\"dot0\""), 3);
    assert_int_equal(count_of(&svg, "class=\"error\""), 1);
    assert_int_equal(count_of(&svg, " of other texts<"), 0);
    buf_free(&svg);
}

/* A displacement from another revision than the run's is in no line, and is counted; the key says which it
 * is. */
static void test_other_references(void **state)
{
    static const char series[] =
        "{\"revisions\": [{\"revision\": \"step1\", \"step\": 1, \"msd\": 1, \"reference\": \"step0\"},"
        " {\"revision\": \"step10\", \"step\": 10, \"msd\": 1e-9, \"lag1_msd\": 2, \"reference\": "
        "\"step20\"},"
        " {\"revision\": \"step100\", \"step\": 100, \"msd\": 2, \"reference\": \"step0\"}]}";
    static const struct {
        const char *analysis, *name;
        int dots, left_out;
    } CASES[] = {
        {"{\"reference\": \"step0\", \"revisions\": [{\"revision\": \"step0\"}]}", "from the start", 2, 1},
        {"{\"reference\": \"step20\", \"revisions\": [{\"revision\": \"step0\"}]}", "from step20", 1, 2},
        {"{\"reference\": \"stage1-step0-tokens0B\", \"revisions\": []}", "from \xe2\x80\xa6step0-tokens0B",
         0, 3},
        {"{\"reference\": null, \"revisions\": []}", "from the start", 3, 0},
    };
    struct buf svg;
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[64];
        OK(draw(DISTRIBUTION, series, CASES[i].analysis, &standard, &svg, &err));
        assert_int_equal(count_of(&svg, "class=\"dot0\""), CASES[i].dots);
        assert_int_equal(count_of(&svg, "class=\"dot1\""), 1);
        (void)snprintf(text, sizeof text, ">%s<", CASES[i].name);
        assert_int_equal(count_of(&svg, text), CASES[i].dots != 0);
        (void)snprintf(text, sizeof text, ">%d from elsewhere<", CASES[i].left_out);
        assert_int_equal(count_of(&svg, text), CASES[i].left_out != 0);
        buf_free(&svg);
    }
    /* A long name is not cut within a character. */
    OK(draw(
        DISTRIBUTION,
        "{\"revisions\": [{\"revision\": \"b\", \"step\": 1, \"msd\": 1, \"reference\": \"\\u00e9tat-"
        "\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9-00\"}]}",
        "{\"reference\": \"\\u00e9tat-\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9-00\", \"revisions\": []}",
        &standard, &svg, &err));
    assert_int_equal(count_of(&svg, ">from \xe2\x80\xa6\xc3\xa9"), 1);
    assert_true(utf8_is_valid(buf_text(&svg), svg.size));
    buf_free(&svg);
}

/* Where a text of the figure begins, and on which line. */
static void find_text(const struct buf *svg, const char *words, double *ret_x, double *ret_y)
{
    char text[64];
    (void)snprintf(text, sizeof text, ">%s", words);
    const char *at = strstr(buf_text(svg), text);
    assert_non_null(at);
    while (strncmp(at, "<text x=\"", 9) != 0)
        at--;
    *ret_x = strtod(at + 9, NULL);
    *ret_y = strtod(strstr(at, " y=\"") + 4, NULL);
}

/* Labels that would lie at the right edge make room for each other, and notes at the foot too. */
static void test_labels_do_not_overlap(void **state)
{
    (void)state;
    static const char found[] =
        "{\"onsets\": [{\"rows\": \"all\", \"view\": \"raw\", \"verdict\": \"yes\", "
        "\"step\": 7}], \"stop\": {\"verdict\": \"yes\", \"step\": %d}, \"revisions\": "
        "[{\"revision\": \"step10\", \"step\": 10, \"msd\": 0.1, \"is_counted\": false}]}";
    for (int stop = 3; stop <= 9; stop += 2) {
        for (double width = PLOT_WIDTH_MIN; width < 1000; width += 100) {
            struct plot_options options = {.width = width};
            struct buf svg;
            double onset_x, stop_x, note_x, name_x, y, other_y;
            char analysis[sizeof found + 8];
            (void)snprintf(analysis, sizeof analysis, found, stop);
            OK(draw(DISTRIBUTION, SERIES, analysis, &options, &svg, &err));
            find_text(&svg, "onset: step 7<", &onset_x, &y);
            find_text(&svg, "could have stopped: step", &stop_x, &other_y);
            assert_true(y == other_y && onset_x > 0 && stop_x > 0);
            /* a letter is less than six pixels wide: 13 and 26 of them */
            assert_true(stop < 7 ? stop_x + 26 * 6 < onset_x : onset_x + 13 * 6 < stop_x);
            assert_true(onset_x + 13 * 6 < width && stop_x + 26 * 6 < width);
            find_text(&svg, "hollow: repeats", &note_x, &y);
            find_text(&svg, "bifurcated ", &name_x, &other_y); /* where it ends: some 43 letters */
            assert_true(other_y - y >= 12 || note_x + 64 * 5 < name_x - 43 * 5);
            buf_free(&svg);
        }
    }
}

/* A long folder begins with its end, whole characters, within the sheet. */
static void test_long_name(void **state)
{
    (void)state;
    struct plot_options options = {.width = PLOT_WIDTH_MIN};
    struct buf svg;
    double x, y;
    OK(draw("{\"model\": \"file:/a/long/way/to/the/"
            "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4/checkpoints/of-run-123\"}",
            SERIES, ANALYSIS, &options, &svg, &err));
    find_text(&svg, "\xe2\x80\xa6\xc3\xa4\xc3\xa4\xc3\xa4/checkpoints/of-run-123<", &x, &y);
    assert_int_equal(count_of(&svg, "file:/a/long/way"), 2); /* title and metadata of the document */
    buf_free(&svg);
}

/* A checkpoint may call a tensor anything: it is no markup, and cut between characters. */
static void test_name_of_a_tensor(void **state)
{
    (void)state;
    struct buf svg, series;
    buf_init(&series, 10000);
    buf_append_text(&series, "{\"revisions\": [{\"revision\": \"step1\", \"step\": 1, \"digest\": \"d\", "
                             "\"msd\": 1, \"dip\": 0.001, \"tensor\": \"<w>&x");
    for (int i = 0; i < 150; i++)
        buf_append_text(&series, "\xc3\xa9");
    buf_append_text(&series, "\"}]}");
    OK(draw(DISTRIBUTION, buf_text(&series), ANALYSIS, &standard, &svg, &err));
    assert_true(utf8_is_valid(buf_text(&svg), svg.size));
    assert_int_equal(count_of(&svg, "&lt;w&gt;&amp;x\xc3\xa9"), 3); /* title, metadata, head */
    assert_int_equal(count_of(&svg, "<w>"), 0);
    buf_free(&series);
    buf_free(&svg);
}

static void test_refusals(void **state)
{
    (void)state;
    struct buf svg;
    struct plot_options chosen = {.width = 700};
    struct err reason = ERR_INIT;
    unsigned panels = 0;
    assert_int_equal(draw("{}", "{\"revisions\": []}", "{}", &standard, &svg, &reason), ERR_NOT_FOUND);
    assert_non_null(strstr(reason.message, "bifurcate sweep"));
    buf_free(&svg);
    OK(plot_panels_parse("perplexity", &chosen.panels, &err));
    assert_int_equal(draw(DISTRIBUTION, SERIES, ANALYSIS, &chosen, &svg, &reason), ERR_NOT_FOUND);
    assert_non_null(strstr(reason.message, "--metric perplexity"));
    buf_free(&svg);
    OK(plot_panels_parse("bimodality,heat", &panels, &err));
    assert_int_equal(panels, 1U << PLOT_PANEL_HEAT | 1U << PLOT_PANEL_DIP | 1U << PLOT_PANEL_ASHMAN);
    static const char *const wrong[] = {"", "heat,", ",heat", "heat,,dip", "hea", "heats"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        FAILS(ERR_INVALID, plot_panels_parse(wrong[i], &panels, &err));
    /* documents of other shapes than the API's are no figure, and no accident */
    static const char *const odd[] = {"[]", "{\"revisions\": 3}",
                                      "{\"revisions\": [3, null, {\"step\": 1e300, \"msd\": 1e308}]}",
                                      "{\"revisions\": [{\"step\": 1, \"msd\": -1, \"dip\": -1e308}]}"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        (void)draw(DISTRIBUTION, odd[i], odd[i], &standard, &svg, &reason);
        buf_free(&svg);
        (void)draw(odd[i], SERIES, odd[i], &standard, &svg, &reason);
        buf_free(&svg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axis_of_steps),
        cmocka_unit_test(test_every_axis_has_numbers),
        cmocka_unit_test(test_axis_of_values),
        cmocka_unit_test(test_text_is_escaped),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_map_of_one_run),
        cmocka_unit_test(test_lines_and_marks),
        cmocka_unit_test(test_many_revisions),
        cmocka_unit_test(test_perplexities_alone),
        cmocka_unit_test(test_other_texts),
        cmocka_unit_test(test_other_references),
        cmocka_unit_test(test_labels_do_not_overlap),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_name_of_a_tensor),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
