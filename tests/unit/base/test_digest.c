#include "tests/unit/base/fixture.h"

#include "daemon/base/digest.h"

/* FIPS 180-4's examples. */
static void test_known_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sha256, *sha1;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
         "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char hex[DIGEST_SHA256_HEX_SIZE];
        OK(digest_sha256_hex(cases[i].text, strlen(cases[i].text), hex, &err));
        assert_string_equal(hex, cases[i].sha256);
        struct digest *digest = NULL;
        OK(digest_new(DIGEST_KIND_SHA1, &digest, &err));
        OK(digest_update(digest, cases[i].text, strlen(cases[i].text), &err));
        OK(digest_finish_hex(digest, hex, DIGEST_SHA1_HEX_SIZE, &err));
        assert_string_equal(hex, cases[i].sha1);
        digest_free(digest);
    }
}

/* A million times "a", in uneven pieces. */
static void test_pieces(void **state)
{
    (void)state;
    char piece[997], hex[DIGEST_SHA256_HEX_SIZE];
    struct digest *digest = NULL;
    memset(piece, 'a', sizeof piece);
    OK(digest_new(DIGEST_KIND_SHA256, &digest, &err));
    for (size_t left = 1000000; left;) {
        size_t size = left < sizeof piece ? left : sizeof piece;
        OK(digest_update(digest, piece, size, &err));
        left -= size;
    }
    OK(digest_finish_hex(digest, hex, sizeof hex, &err));
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    digest_free(digest);
    digest_free(NULL);
}

/* `printf 'test content\n' | git hash-object --stdin`, and the empty blob. */
static void test_git_blob(void **state)
{
    (void)state;
    static const struct {
        const char *content, *id;
    } cases[] = {
        {"test content\n", "d670460b4b4aece5915caf5c68d12f560a9fe3e4"},
        {"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char hex[DIGEST_SHA1_HEX_SIZE];
        struct digest *digest = NULL;
        OK(digest_new_git_blob(strlen(cases[i].content), &digest, &err));
        OK(digest_update(digest, cases[i].content, strlen(cases[i].content), &err));
        OK(digest_finish_hex(digest, hex, sizeof hex, &err));
        assert_string_equal(hex, cases[i].id);
        digest_free(digest);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    unsigned char bytes[DIGEST_SHA256_BYTES];
    char hex[DIGEST_SHA256_HEX_SIZE];
    OK(digest_sha256("abc", 3, bytes, &err));
    digest_to_hex(bytes, sizeof bytes, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_hex(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {0x00, 0x0f, 0xa5, 0xff};
    char hex[9];
    digest_to_hex(bytes, sizeof bytes, hex);
    assert_string_equal(hex, "000fa5ff");
    assert_true(digest_is_hex("000fa5ff", 8));
    assert_true(digest_is_hex("", 0));
    assert_false(digest_is_hex("000fa5ff", 7));
    assert_false(digest_is_hex("000fa5ff", 9));
    assert_false(digest_is_hex("000FA5FF", 8));
    assert_false(digest_is_hex("000fa5fg", 8));
    assert_false(digest_is_hex("../../..", 8));
    unsigned char back[4];
    assert_true(digest_of_hex("000fa5ff", back, sizeof back));
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_false(digest_of_hex("000fa5f", back, sizeof back));
    assert_false(digest_of_hex("000fa5fF", back, sizeof back));
    assert_true(digest_is_equal(back, bytes, sizeof bytes));
    back[3] ^= 1;
    assert_false(digest_is_equal(back, bytes, sizeof bytes));
}

static void test_start_twice(void **state)
{
    (void)state;
    OK(digest_start(&err));
    OK(digest_start(&err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_twice), cmocka_unit_test(test_known_vectors),
        cmocka_unit_test(test_pieces),      cmocka_unit_test(test_git_blob),
        cmocka_unit_test(test_bytes),       cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
