/* What those who follow a sweep are told while the disk is full. */
#include "daemon/standstill.h"

#include "tests/unit/service/fixture.h"

static struct api_hub_wait look(struct fixture *fixture, struct cut_off *cut_off, struct reserve *reserve)
{
    struct api_hub_wait wait;
    standstill_read(fixture->hub, cut_off, reserve, &wait);
    return wait;
}

/* Its serial only grows, since whoever follows takes a lower one for older news. */
static void test_a_full_disk(void **state)
{
    struct fixture *fixture = *state;
    struct cut_off cut_off;
    struct reserve *reserve = NULL;
    cut_off_init(&cut_off);
    OK(reserve_new(fixture_path(fixture->folder, "state"), &reserve, &err));
    const struct api_hub_wait before = look(fixture, &cut_off, reserve);
    assert_null(before.reason);
    assert_int_equal(look(fixture, &cut_off, reserve).serial, before.serial);
    assert_true(reserve_spend(reserve));
    const struct api_hub_wait full = look(fixture, &cut_off, reserve);
    assert_string_equal(full.reason, "no_space");
    assert_non_null(strstr(full.detail, "make room"));
    assert_true(full.serial > before.serial);
    assert_int_equal(look(fixture, &cut_off, reserve).serial, full.serial);
    reserve_fill(reserve);
    const struct api_hub_wait after = look(fixture, &cut_off, reserve);
    assert_true(!after.reason && after.serial > full.serial);
    reserve_free(reserve);
    cut_off_free(&cut_off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_full_disk, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
