#include "tests/unit/base/fixture.h"

#include "api/wire/wire.h"

/* What others can read of a worker is no key, and each key makes another name of the same one. */
static void test_names_of_workers(void **state)
{
    (void)state;
    char one[WIRE_KEY_SIZE], other[WIRE_KEY_SIZE];
    char name[WIRE_WORKER_NAME_SIZE], again[WIRE_WORKER_NAME_SIZE], long_name[WIRE_NAME_BYTES_MAX + 1];
    OK(wire_key_make(one, &err));
    OK(wire_key_make(other, &err));
    assert_string_not_equal(one, other);
    OK(wire_worker_name("host/12/00", 7, one, name, &err));
    OK(wire_worker_name("host/12", 7, one, again, &err));
    assert_string_equal(name, again);
    assert_int_equal(strncmp(name, "host/12-", 8), 0);
    assert_null(strstr(name, one));
    OK(wire_worker_name("host/12", 7, other, again, &err));
    assert_string_not_equal(name, again);
    /* sha256sum of the digits */
    OK(wire_worker_name("w", 1, "00000000000000000000000000000000", name, &err));
    assert_string_equal(name, "w-84e0c0eafaa95a34");
    memset(long_name, 'n', sizeof long_name);
    OK(wire_worker_name(long_name, WIRE_NAME_BYTES_MAX, one, name, &err));
    assert_int_equal(strlen(name), WIRE_WORKER_NAME_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
