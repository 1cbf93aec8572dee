/* What sweeps wait for while no worker reaches the hub. */
#include "daemon/cut_off.h"

#include "tests/unit/base/fixture.h"

static struct cut_off cut_off;

static void test_cut_off(void **state)
{
    struct api_hub_wait wait = {.serial = 5};
    (void)state;
    cut_off_init(&cut_off);
    cut_off_note(&cut_off, "");
    cut_off_read(&cut_off, &wait);
    assert_true(!wait.reason && wait.serial == 5);
    cut_off_note(&cut_off, "hub: no such host");
    cut_off_note(&cut_off, "hub: no connection"); /* no news */
    cut_off_read(&cut_off, &wait);
    assert_string_equal(wait.reason, "unreachable");
    assert_string_equal(wait.detail, "no worker reaches it: hub: no connection");
    assert_true(wait.until_ms > 0 && wait.serial == 6);
    wait = (struct api_hub_wait){.reason = "rate_limit", .serial = 5}; /* the daemon's own comes first */
    cut_off_read(&cut_off, &wait);
    assert_string_equal(wait.reason, "rate_limit");
    assert_true(!wait.detail[0] && wait.serial == 6);
    wait = (struct api_hub_wait){.serial = 5};
    cut_off.told_ms -= 3600000; /* there may be no worker at all */
    cut_off_read(&cut_off, &wait);
    assert_null(wait.reason);
    cut_off_note(&cut_off, "");
    wait = (struct api_hub_wait){.serial = 5};
    cut_off_read(&cut_off, &wait);
    assert_true(!wait.reason && wait.serial == 7);
    cut_off_free(&cut_off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cut_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
