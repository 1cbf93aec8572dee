#include "tests/unit/base/fixture.h"
#include "tests/unit/base/no_memory.h"

#include "daemon/base/buf.h"
#include "daemon/watch/announce.h"

struct round {
    json_t *known, *findings, *news;
};

static json_t *parse(const char *text)
{
    json_error_t fault;
    json_t *value = json_loads(text, 0, &fault);
    if (!value)
        fail_msg("%s: %s", text, fault.text);
    return value;
}

/* One look after another: what holds now is known next time. `expected`: names of the events, each and a
 * space. */
static void look(struct round *round, const char *analysis_text, const char *audit_text, const char *expected)
{
    char events[256] = "";
    size_t i;
    json_t *one, *head = parse("{\"model\":\"a/b\",\"at\":\"now\"}");
    json_t *analysis = parse(analysis_text), *audit = parse(audit_text);
    json_decref(round->news);
    round->findings = json_array();
    round->news = json_array();
    OK(announce_compare(head, analysis, audit, round->known, round->findings, round->news, &err));
    json_array_foreach(round->news, i, one)
    {
        json_t *body = json_object_get(one, "body");
        const char *name = json_string_value(json_object_get(body, "event"));
        assert_string_equal(json_string_value(json_object_get(body, "model")), "a/b");
        assert_string_equal(name, delivery_event_name((enum delivery_event)json_integer_value(
                                      json_object_get(one, "event"))));
        (void)snprintf(events + strlen(events), sizeof events - strlen(events), "%s ", name);
    }
    assert_string_equal(events, expected);
    json_object_clear(round->known);
    json_array_foreach(round->findings, i, one)
        json_object_set_new(round->known, json_string_value(one), json_true());
    json_decref(round->findings);
    json_decref(analysis);
    json_decref(audit);
    json_decref(head);
}

#define ONSET(verdict, revision)                                                                             \
    "{\"rows\":\"tokens\",\"view\":\"raw\",\"verdict\":\"" verdict "\",\"revision\":\"" revision "\"}"
#define STOP(verdict, step) "\"stop\":{\"verdict\":\"" verdict "\",\"step\":" step "}"
#define NOTHING "{\"step_unit\":\"tokens\",\"findings\":[]}"
#define TWICE(revision)                                                                                      \
    "{\"kind\":\"duplicate\",\"step\":7,\"revision\":\"" revision "\",\"other\":\"step9\"}"

static void test_each_finding_once_and_again_when_it_changed(void **state)
{
    struct round round = {.known = json_object()};
    (void)state;
    look(&round, "{\"onsets\":[" ONSET("insufficient", "") "]," STOP("insufficient", "null") "}", NOTHING,
         "");
    look(&round, "{\"onsets\":[" ONSET("no", "") "]," STOP("no", "null") "}", NOTHING, "");
    look(&round, "{\"onsets\":[" ONSET("yes", "step512") "]," STOP("no", "null") "}", NOTHING,
         "onset.found ");
    json_t *body = json_object_get(json_array_get(round.news, 0), "body");
    assert_int_equal(json_array_size(json_object_get(json_object_get(body, "analysis"), "onsets")), 1);
    look(&round, "{\"onsets\":[" ONSET("yes", "step512") "]," STOP("no", "null") "}", NOTHING, "");
    look(&round, "{\"onsets\":[" ONSET("yes", "step256") "]," STOP("yes", "5000") "}", NOTHING,
         "onset.found stopping.recommended ");
    look(&round, "{\"onsets\":[" ONSET("yes", "step256") "]," STOP("yes", "5000") "}", NOTHING, "");
    look(&round, "{\"onsets\":[" ONSET("yes", "step256") "]," STOP("yes", "6000") "}", NOTHING,
         "stopping.recommended ");
    look(&round, "{\"onsets\":[" ONSET("no", "") "]," STOP("no", "null") "}", NOTHING, "");
    look(&round, "{\"onsets\":[" ONSET("yes", "step256") "]," STOP("no", "null") "}", NOTHING,
         "onset.found ");
    json_decref(round.known);
    json_decref(round.news);
}

static void test_findings_of_the_audit(void **state)
{
    static const char none[] = "{\"onsets\":[]," STOP("no", "null") "}";
    struct round round = {.known = json_object()};
    (void)state;
    look(&round, none, "{\"step_unit\":\"tokens\",\"findings\":[" TWICE("step7") "]}", "audit.finding ");
    look(&round, none, "{\"step_unit\":\"tokens\",\"findings\":[" TWICE("step7") "]}", "");
    look(&round, none, "{\"step_unit\":\"tokens\",\"findings\":[" TWICE("step7") "," TWICE("step8") "]}",
         "audit.finding ");
    json_t *body = json_object_get(json_array_get(round.news, 0), "body");
    assert_int_equal(json_integer_value(json_object_get(body, "count")), 1); /* the new one alone */
    assert_string_equal(json_string_value(json_object_get(body, "step_unit")), "tokens");
    json_t *finding = json_array_get(json_object_get(body, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(finding, "revision")), "step8");

    /* Very many: they are counted, and the first are told. */
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_text(&text, "{\"step_unit\":\"tokens\",\"findings\":[");
    for (int i = 0; i < 3 * ANNOUNCE_FINDINGS_MAX; i++)
        buf_appendf(&text, "%s{\"kind\":\"missing\",\"step\":%d,\"revision\":null,\"other\":null}",
                    i ? "," : "", i);
    buf_append_text(&text, "]}");
    look(&round, none, buf_text(&text), "audit.finding ");
    body = json_object_get(json_array_get(round.news, 0), "body");
    assert_int_equal(json_integer_value(json_object_get(body, "count")), 3 * ANNOUNCE_FINDINGS_MAX);
    assert_int_equal(json_array_size(json_object_get(body, "findings")), ANNOUNCE_FINDINGS_MAX);
    look(&round, none, buf_text(&text), "");
    buf_free(&text);
    json_decref(round.known);
    json_decref(round.news);
}

/* Each allocation fails once: an error, and never fewer findings or events than there are. */
static void test_without_memory_nothing_is_lost(void **state)
{
    (void)state;
    json_t *head = parse("{\"model\":\"a/b\",\"at\":\"now\"}"), *known = parse("{\"stop 4000\":true}");
    json_t *analysis = parse("{\"onsets\":[" ONSET("yes", "step512") "]," STOP("yes", "5000") "}");
    json_t *audit = parse("{\"step_unit\":\"tokens\",\"findings\":[" TWICE("step7") "," TWICE("step8") "]}");
    unsigned failures = 0;
    for (unsigned nth = 1;; nth++) {
        struct err err = ERR_INIT;
        json_t *findings = json_array(), *news = json_array();
        countdown = nth;
        int code = announce_compare(head, analysis, audit, known, findings, news, &err);
        unsigned left = countdown;
        countdown = 0;
        if (code) {
            assert_int_equal(code, ERR_NO_MEMORY);
            failures++;
        } else {
            assert_int_equal(json_array_size(findings), 4);
            assert_int_equal(json_array_size(news), 3);
            const json_t *body = json_object_get(json_array_get(news, 2), "body");
            assert_int_equal(json_integer_value(json_object_get(body, "count")), 2);
            assert_int_equal(json_array_size(json_object_get(body, "findings")), 2);
        }
        json_decref(findings);
        json_decref(news);
        if (left)
            break;
    }
    assert_true(failures > 20);
    json_decref(head);
    json_decref(known);
    json_decref(analysis);
    json_decref(audit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_finding_once_and_again_when_it_changed),
        cmocka_unit_test(test_findings_of_the_audit),
        cmocka_unit_test_setup_teardown(test_without_memory_nothing_is_lost, let_memory_fail, restore_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
