/* Tensors that displacements start from, on disk: what is kept, what goes, and what is told. */
#include "tests/unit/base/fixture.h"

#include "daemon/base/digest.h"
#include "daemon/measure/references.h"

#define SIZE 1000

static char digests[3][DIGEST_SHA256_HEX_SIZE];
static unsigned char tensors[3][SIZE];

struct told {
    int failures, recoveries;
    struct err reason;
};

static void note(void *context, const struct err *reason)
{
    struct told *told = context;
    told->failures += reason != NULL;
    told->recoveries += !reason;
    if (reason)
        told->reason = *reason;
}

static struct references *open_references(const char *folder, uint64_t budget_bytes, struct told *told)
{
    const struct references_options options = {
        .state_folder = folder, .budget_bytes = budget_bytes, .tell = note, .context = told};
    struct references *references = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(references_new(&options, &references, &err), 0);
    for (int i = 0; i < 3; i++) {
        memset(tensors[i], 'a' + i, SIZE);
        assert_int_equal(digest_sha256_hex(tensors[i], SIZE, digests[i], &err), 0);
    }
    return references;
}

static int is_kept(struct references *references, int i)
{
    unsigned char data[SIZE] = {0};
    int found = references_read(references, digests[i], data, SIZE);
    if (found)
        assert_memory_equal(data, tensors[i], SIZE);
    return found;
}

static void test_another_process_reads_it(void **state)
{
    struct told told = {0};
    struct references *references = open_references(*state, 10 * SIZE, &told);
    assert_false(is_kept(references, 0));
    references_keep(references, digests[0], tensors[0], SIZE);
    references_keep(references, digests[0], tensors[0], SIZE);
    assert_int_equal(references_size(references), SIZE);
    references_free(references);
    references = open_references(*state, 10 * SIZE, &told);
    assert_int_equal(references_size(references), SIZE);
    assert_true(is_kept(references, 0));
    assert_false(is_kept(references, 1));
    assert_int_equal(told.failures + told.recoveries, 0);
    references_free(references);
    references_free(NULL);
}

static void test_the_least_recently_used_goes(void **state)
{
    struct told told = {0};
    struct references *references = open_references(*state, 2 * SIZE, &told);
    for (int i = 0; i < 2; i++) {
        references_keep(references, digests[i], tensors[i], SIZE);
        (void)usleep(20000); /* times of files have a tick */
    }
    references_keep(references, digests[0], tensors[0], SIZE); /* is used once more */
    (void)usleep(20000);
    references_keep(references, digests[2], tensors[2], SIZE);
    assert_true(is_kept(references, 0));
    assert_false(is_kept(references, 1));
    assert_true(is_kept(references, 2));
    assert_int_equal(references_size(references), 2 * SIZE);
    references_free(references);
}

static void test_what_cannot_be_kept_is_told_once(void **state)
{
    struct told told = {0};
    struct references *references = open_references(*state, SIZE, &told);
    for (int i = 0; i < 3; i++)
        references_keep(references, digests[1], tensors[1], SIZE + 1); /* more than the budget */
    assert_int_equal(told.failures, 1);
    assert_int_equal(told.reason.code, ERR_LIMIT);
    references_keep(references, digests[0], tensors[0], SIZE);
    assert_int_equal(told.recoveries, 1);
    references_keep(references, digests[1], tensors[1], UINT64_MAX / 2); /* more than any disk has */
    assert_int_equal(told.failures, 2);
    assert_int_equal(told.reason.code, ERR_NO_SPACE);
    assert_true(is_kept(references, 0));
    references_free(references);
}

static void test_none_is_kept(void **state)
{
    struct told told = {0};
    struct references *references = open_references(*state, 0, &told);
    references_keep(references, digests[0], tensors[0], SIZE);
    assert_false(is_kept(references, 0));
    assert_int_equal(told.failures, 0);
    references_free(references);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_another_process_reads_it, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_the_least_recently_used_goes, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_kept_is_told_once, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_none_is_kept, fixture_make_folder, fixture_remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
