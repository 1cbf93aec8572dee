/* Vocabularies: both directions, and the spelling of bytes. */
#include "daemon/base/limits.h"
#include "daemon/text/vocabulary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void both_directions(void **state)
{
    (void)state;
    struct vocabulary vocabulary;
    struct err err = ERR_INIT;
    char token[32];
    uint32_t id = 0;
    size_t size;
    vocabulary_init(&vocabulary);
    assert_false(vocabulary_find(&vocabulary, "x", 1, &id));
    for (uint32_t i = 0; i < 5000; i++) {
        size = (size_t)snprintf(token, sizeof token, "token %u", i);
        assert_int_equal(vocabulary_add(&vocabulary, token, size, 3 * i, &err), 0);
    }
    assert_int_equal(vocabulary_add(&vocabulary, "", 0, 1, &err), 0);
    assert_int_equal(vocabulary_index_ids(&vocabulary, &err), 0);
    assert_int_equal(vocabulary.id_limit, 3 * 4999 + 1);
    for (uint32_t i = 0; i < 5000; i++) {
        size_t expected = (size_t)snprintf(token, sizeof token, "token %u", i);
        assert_true(vocabulary_find(&vocabulary, token, expected, &id));
        assert_int_equal(id, 3 * i);
        const char *found = vocabulary_token(&vocabulary, id, &size);
        assert_int_equal(size, expected);
        assert_memory_equal(found, token, size);
    }
    assert_true(vocabulary_find(&vocabulary, "", 0, &id));
    assert_null(vocabulary_token(&vocabulary, 2, &size));
    assert_null(vocabulary_token(&vocabulary, UINT32_MAX, &size));
    assert_false(vocabulary_find(&vocabulary, "token", 5, &id));
    vocabulary_free(&vocabulary);
}

static void contradictions(void **state)
{
    (void)state;
    struct vocabulary vocabulary;
    struct err err = ERR_INIT;
    vocabulary_init(&vocabulary);
    assert_int_equal(vocabulary_add(&vocabulary, "a", 1, 0, &err), 0);
    assert_int_equal(vocabulary_add(&vocabulary, "a", 1, 1, &err), ERR_FORMAT);
    assert_int_equal(vocabulary_add(&vocabulary, "b", 1, LIMIT_VOCABULARY, &err), ERR_LIMIT);
    assert_int_equal(vocabulary_add(&vocabulary, "b", 1, LIMIT_VOCABULARY - 1, &err), 0);
    assert_int_equal(vocabulary_add(&vocabulary, "c", 1, 0, &err), 0);
    assert_int_equal(vocabulary_index_ids(&vocabulary, &err), ERR_FORMAT);
    assert_string_equal(err.message, "two tokens have the id 0");
    vocabulary_free(&vocabulary);
    vocabulary_free(NULL);
}

/* GPT-2's bytes_to_unicode: a bijection of the bytes onto 256 characters. */
static void spelling_of_bytes(void **state)
{
    (void)state;
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        int is_itself = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        uint32_t character = vocabulary_byte_to_char((unsigned char)byte);
        assert_int_equal(character, is_itself ? byte : next++);
    }
    assert_int_equal(next, 0x144);

    struct buf out;
    buf_init(&out, 100);
    vocabulary_spell(" a\n\xE9", 4, &out);
    assert_string_equal(buf_text(&out), "\u0120a\u010a\u00e9");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions),
        cmocka_unit_test(contradictions),
        cmocka_unit_test(spelling_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
