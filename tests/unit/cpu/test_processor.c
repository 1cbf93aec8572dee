/* What processors are called, by texts as their systems have them. */
#include "gpu/cpu/processor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_name(const char *text, const char *expected)
{
    char name[80];
    FILE *file = fmemopen((char *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(file);
    processor_name(file, name, sizeof name);
    (void)fclose(file);
    assert_string_equal(name, expected);
}

static void test_names(void **state)
{
    (void)state;
    char name[80], small[8];
    assert_name("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel\t\t: 17\nmodel name\t: AMD EPYC "
                "9654\nflags\t: fpu\n",
                "AMD EPYC 9654");
#define ARM(implementer, part)                                                                               \
    "processor\t: 0\nBogoMIPS\t: 2000.00\nFeatures\t: fp asimd\nCPU implementer\t: " implementer             \
    "\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: " part "\nCPU revision\t: 0\n\nprocessor\t: 1\n"
    assert_name(ARM("0x41", "0xd4f"), "Arm Neoverse-V2");
    assert_name(ARM("0xc0", "0xac3"), "Ampere Ampere-1");
    assert_name(ARM("0x61", "0x022"), "arm64 processor 0x22 of implementer 0x61");
    assert_name("processor\t: 0\nhart\t: 0\n", "CPU");
    processor_name(NULL, name, sizeof name);
    assert_string_equal(name, "CPU");
    FILE *file = fmemopen((char *)(uintptr_t) "model name\t: one of a long name", 31, "r");
    processor_name(file, small, sizeof small);
    (void)fclose(file);
    assert_string_equal(small, "one of ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
