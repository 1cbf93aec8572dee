#include "tests/unit/base/fixture.h"

#include "daemon/base/json_text.h"
#include "tests/unit/base/no_memory.h"

/* Long enough that its strings grow several times while they are read. */
static const char DOCUMENT[] =
    "{\"text\": \"It was the best of times, it was the worst of times, it was the age of wisdom\", \"n\": "
    "[1, "
    "2.5, true, null], \"another name that is rather long\": {\"inner\": \"\\u00e9 and so on and so on\"}}";

static void test_parses(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    json_error_t fault;
    json_t *root = json_text_parse(DOCUMENT, sizeof DOCUMENT - 1, JSON_REJECT_DUPLICATES, &err);
    assert_non_null(root);
    assert_int_equal(json_object_size(root), 3);
    json_decref(root);
    root = json_text_load("[1]", 3, 0, &fault);
    assert_int_equal(json_array_size(root), 1);
    json_decref(root);
    json_decref(json_text_load("[1]", 3, 0, NULL));
}

static void test_faults_have_a_place(void **state)
{
    static const struct {
        const char *text;
        size_t flags;
        const char *words;
    } cases[] = {
        {"", 0, "not JSON: "},
        {"{\"a\": 1,}", 0, "at byte 9"},
        {"{\"a\": 1, \"a\": 2}", JSON_REJECT_DUPLICATES, "duplicate object key"},
        {"\"\\u0000\"", JSON_DECODE_ANY, "NUL"},
        {"[\"\xFF\"]", 0, "unable to decode byte 0xff"},
        {"[1] [2]", 0, "end of file expected"},
        {"[99999999999999999999, 1,]", 0, "at byte 26"},
        {"[1e999]", 0, "real number overflow"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err = ERR_INIT;
        json_error_t fault;
        size_t size = strlen(cases[i].text);
        assert_null(json_text_parse(cases[i].text, size, cases[i].flags, &err));
        assert_int_equal(err.code, ERR_FORMAT);
        assert_non_null(strstr(err.message, cases[i].words));
        assert_null(json_text_load(cases[i].text, size, cases[i].flags, &fault));
        assert_false(json_text_lacked_memory(&fault));
    }
}

/* transformers writes int(1e30) where a tokenizer has no limit: model_max_length of most models on the hub.
 */
#define BEYOND                                                                                               \
    "{\"a name that is longer than any number behind it\": false, \"model_max_length\": "                    \
    "1000000000000000019884624838656, "                                                                      \
    "\"\\\"99999999999999999999\": true}"

static void test_integers_of_any_size(void **state)
{
    static const struct {
        const char *text;
        double real;
    } beyond[] = {
        {"[1000000000000000019884624838656]", 1e30},
        {"[9223372036854775808]", 9223372036854775808.0},
        {"[-9223372036854775809]", -9223372036854775808.0},
        {"[ 18446744073709551615 ]", 18446744073709551615.0},
        {"[-1000000000000000019884624838656]", -1e30},
    };
    struct err err = ERR_INIT;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(beyond); i++) {
        json_t *root = json_text_parse(beyond[i].text, strlen(beyond[i].text), 0, &err);
        assert_non_null(root);
        assert_true(json_is_real(json_array_get(root, 0)));
        assert_memory_equal(&(double){json_real_value(json_array_get(root, 0))}, &beyond[i].real,
                            sizeof(double));
        json_decref(root);
    }
    /* Beside such a one the others, and what stands in strings, stay what they are. */
    static const char mixed[] =
        "[1e30, 99999999999999999999, -9223372036854775808, 9223372036854775807, 0, 12345678901234567890.5, "
        "\"99999999999999999999\\\"99999999999999999999\"]";
    json_t *root = json_text_parse(mixed, sizeof mixed - 1, 0, &err);
    assert_true(json_is_real(json_array_get(root, 0)) && json_is_real(json_array_get(root, 1)));
    assert_true(json_is_integer(json_array_get(root, 2)) &&
                json_integer_value(json_array_get(root, 2)) == INT64_MIN);
    assert_true(json_is_integer(json_array_get(root, 3)) &&
                json_integer_value(json_array_get(root, 3)) == INT64_MAX);
    assert_true(json_is_integer(json_array_get(root, 4)) && json_is_real(json_array_get(root, 5)));
    assert_string_equal(json_string_value(json_array_get(root, 6)),
                        "99999999999999999999\"99999999999999999999");
    json_decref(root);
    root = json_text_parse(BEYOND, sizeof BEYOND - 1, JSON_REJECT_DUPLICATES, &err);
    assert_true(json_is_true(json_object_get(root, "\"99999999999999999999")));
    json_decref(root);
}

/* Each of its allocations fails once: never a result, never a fault of the text. */
static void check_lack_of_memory(const char *document, size_t size)
{
    unsigned failures = 0;
    for (unsigned nth = 1;; nth++) {
        struct err err = ERR_INIT;
        countdown = nth;
        json_t *root = json_text_parse(document, size, 0, &err);
        if (countdown) { /* there are fewer */
            assert_non_null(root);
            json_decref(root);
            break;
        }
        failures++;
        assert_null(root);
        assert_int_equal(err.code, ERR_NO_MEMORY);
    }
    assert_true(failures > 10);
}

static void test_a_lack_of_memory_is_one(void **state)
{
    (void)state;
    check_lack_of_memory(DOCUMENT, sizeof DOCUMENT - 1);
    check_lack_of_memory(BEYOND, sizeof BEYOND - 1);
    for (unsigned nth = 1; nth < 10; nth++) {
        json_error_t fault;
        countdown = nth;
        assert_null(json_text_load(DOCUMENT, sizeof DOCUMENT - 1, 0, &fault));
        assert_true(json_text_lacked_memory(&fault));
        assert_string_equal(fault.text, "out of memory");
    }
    countdown = 0;
}

/* Where the lexer's buffer has to grow for what ends a number or a word, jansson alone would abort. */
static void test_numbers_without_memory(void **state)
{
    static const char *const starts[] = {"[1", "[0.", "[-1e-", "[e", "{\"a\": [1, 0."};
    (void)state;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        const int is_word = starts[i][1] == 'e';
        for (size_t length = 1; length < 140; length++) {
            char text[200];
            size_t at = (size_t)snprintf(text, sizeof text, "%s", starts[i]);
            memset(text + at, is_word ? 'e' : '1', length);
            text[at + length] = ',';
            for (unsigned nth = 1, is_over = 0; !is_over; nth++) {
                struct err err = ERR_INIT;
                countdown = nth;
                assert_null(json_text_parse(text, at + length + 1, 0, &err)); /* it has no end */
                is_over = countdown;
                countdown = 0;
                assert_int_equal(err.code, is_over ? ERR_FORMAT : ERR_NO_MEMORY);
            }
        }
    }
}

/* Nor where memory lacks throughout, at whatever allocation that begins: large arrays, long strings with what
 * may not be in them, and long numbers ask for memory of the same sizes. */
static void test_no_memory_from_one_allocation_on(void **state)
{
    enum { ELEMENTS = 600, TAIL_MAX = 5000 };
    static const int lengths[] = {12, 13, 14, 15, 31, 63, 127, 511, 1023, 2047, 3999};
    static const struct {
        const char *begin;
        char filled, end;
    } tails[] = {{"", '1', ','},   {"0.", '1', ']'},  {"", 'e', ','},
                 {"1x", 'e', ','}, {"\"", 'a', '\n'}, {"\"\\\"", 'a', 1}};
    (void)state;
    char *text = malloc(ELEMENTS * 2 + TAIL_MAX);
    lacks_throughout = 1;
    for (size_t i = 0; i < COUNT_OF(lengths) * COUNT_OF(tails); i++) {
        const size_t length = (size_t)lengths[i / COUNT_OF(tails)], tail = i % COUNT_OF(tails);
        size_t at = 0;
        text[at++] = '[';
        for (size_t k = 0; k < (i % 2 ? ELEMENTS : 1); k++, at += 2)
            memcpy(text + at, "1,", 2);
        memcpy(text + at, tails[tail].begin, strlen(tails[tail].begin));
        at += strlen(tails[tail].begin);
        memset(text + at, tails[tail].filled, length);
        at += length;
        text[at++] = tails[tail].end;
        for (unsigned nth = 1, is_over = 0; !is_over; nth += 1 + nth / 40) {
            struct err err = ERR_INIT;
            countdown = nth;
            has_failed = 0;
            json_t *root = json_text_parse(text, at, 0, &err);
            is_over = !has_failed;
            countdown = 0;
            assert_int_equal(!root && err.code == ERR_NO_MEMORY, !is_over);
            json_decref(root);
        }
    }
    lacks_throughout = has_failed = 0;
    free(text);
}

/* What no number needs is refused before the lexer's buffer is as long as the spare memory. */
static void test_tokens_have_a_length(void **state)
{
    enum { MOST = 4000 };
    char text[MOST + 10];
    (void)state;
    for (size_t length = MOST - 1; length <= MOST + 1; length++) {
        for (int is_word = 0; is_word < 2; is_word++) {
            struct err err = ERR_INIT;
            text[0] = '[';
            memset(text + 1, is_word ? 'e' : '0', length);
            if (!is_word)
                text[2] = '.';
            text[length + 1] = ']';
            json_t *root = json_text_parse(text, length + 2, 0, &err);
            assert_int_equal(root != NULL, !is_word && length <= MOST);
            assert_int_equal(strstr(err.message, "longer than 4,000") != NULL, length > MOST);
            json_decref(root);
        }
    }
    struct err err = ERR_INIT;
    memset(text, 'x', sizeof text); /* strings may be longer */
    text[0] = '[';
    text[1] = text[sizeof text - 2] = '"';
    text[sizeof text - 1] = ']';
    json_t *root = json_text_parse(text, sizeof text, 0, &err);
    assert_int_equal(json_string_length(json_array_get(root, 0)), sizeof text - 4);
    json_decref(root);
}

/* The same for what is written: the whole text, or none. */
static void test_a_text_is_whole_or_none(void **state)
{
    unsigned failures = 0, is_over = 0, wrong = 0;
    (void)state;
    json_t *root = json_loadb(DOCUMENT, sizeof DOCUMENT - 1, 0, NULL);
    char *right = json_text_dump(root, JSON_COMPACT | JSON_SORT_KEYS);
    for (unsigned nth = 1; !is_over; nth++) {
        countdown = nth;
        char *text = json_text_dump(root, JSON_COMPACT | JSON_SORT_KEYS);
        is_over = countdown;
        failures += !text;
        if (text)
            assert_string_equal(text, right);
        free(text);
        countdown = nth;
        text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
        wrong += text && strcmp(text, right) != 0;
        free(text);
        countdown = 0;
    }
    print_message("jansson %s alone: %u texts that are not whole\n", JANSSON_VERSION, wrong);
    assert_true(failures > 2);
    free(right);
    json_decref(root);
}

/* What this module is for. Should it fail with a later release of jansson, that has mended it. */
static void test_jansson_alone(void **state)
{
    unsigned wrong = 0, misnamed = 0;
    (void)state;
    json_t *right = json_loadb(DOCUMENT, sizeof DOCUMENT - 1, 0, NULL);
    for (unsigned nth = 1;; nth++) {
        json_error_t fault;
        countdown = nth;
        json_t *root = json_loadb(DOCUMENT, sizeof DOCUMENT - 1, 0, &fault);
        unsigned is_over = countdown;
        countdown = 0;
        wrong += root && !json_equal(root, right);
        misnamed += !root && json_error_code(&fault) != json_error_out_of_memory;
        json_decref(root);
        if (is_over)
            break;
    }
    json_decref(right);
    print_message("jansson %s alone: %u wrong results, %u faults without their name\n", JANSSON_VERSION,
                  wrong, misnamed);
    assert_true(wrong + misnamed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses),
        cmocka_unit_test(test_faults_have_a_place),
        cmocka_unit_test(test_integers_of_any_size),
        cmocka_unit_test_setup_teardown(test_a_lack_of_memory_is_one, let_memory_fail, restore_memory),
        cmocka_unit_test_setup_teardown(test_numbers_without_memory, let_memory_fail, restore_memory),
        cmocka_unit_test_setup_teardown(test_no_memory_from_one_allocation_on, let_memory_fail,
                                        restore_memory),
        cmocka_unit_test(test_tokens_have_a_length),
        cmocka_unit_test_setup_teardown(test_a_text_is_whole_or_none, let_memory_fail, restore_memory),
        cmocka_unit_test_setup_teardown(test_jansson_alone, let_memory_fail, restore_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
