#include "tests/unit/base/fixture.h"

#include "daemon/base/main_memory.h"

#include <sys/stat.h>

#define GIB ((uint64_t)1 << 30)

/* A node as Linux shows it; NULL: the file is not there. */
static void make_node(const char *nodes, const char *name, const char *cpulist, const char *meminfo)
{
    const char *const texts[] = {cpulist, meminfo}, *const files[] = {"cpulist", "meminfo"};
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", nodes, name);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < 2; i++) {
        if (!texts[i])
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s/%s", nodes, name, files[i]);
        FILE *file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(texts[i], file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
}

/* A Grace Hopper: the processors' 480 GiB, the GPU's 96, and nodes that its slices would have. */
static void test_memory_of_a_gpu_is_not_counted(void **state)
{
    const char *nodes = fixture_path(*state, "nodes");
    assert_int_equal(mkdir(nodes, 0700), 0);
    assert_int_equal(main_memory_beside_processors(nodes, 576 * GIB), 576 * GIB);
    make_node(nodes, "node0", "0-71\n",
              "Node 0 MemTotal:       503316480 kB\nNode 0 MemFree:        500000000 kB\n");
    assert_int_equal(main_memory_beside_processors(nodes, 576 * GIB), 576 * GIB);
    make_node(nodes, "node1", "\n",
              "Node 1 MemTotal:       100663296 kB\nNode 1 MemFree:        100000000 kB\n");
    make_node(nodes, "node2", "\n", "Node 2 MemTotal:              0 kB\n");
    make_node(nodes, "node3", "", "Node 3 MemTotal:              0 kB\n");
    assert_int_equal(main_memory_beside_processors(nodes, 576 * GIB), 480 * GIB);
}

/* What is odd takes nothing away, and something is always left. */
static void test_what_cannot_be_read(void **state)
{
    const char *nodes = fixture_path(*state, "nodes");
    assert_int_equal(main_memory_beside_processors(nodes, 8 * GIB), 8 * GIB);
    assert_int_equal(mkdir(nodes, 0700), 0);
    make_node(nodes, "node0", NULL, "Node 0 MemTotal:       1048576 kB\n");
    make_node(nodes, "node1", "\n", NULL);
    make_node(nodes, "node2", "\n", "Node 2 MemTotal: much\n");
    make_node(nodes, "nodes", "\n", "Node 3 MemTotal:       1048576 kB\n");
    make_node(nodes, "power", "\n", "Node 4 MemTotal:       1048576 kB\n");
    make_node(nodes, "node5", "\n", "Node 5 MemTotal:       8388608 kB\n");
    make_node(nodes, "node6", "\n", "Node 6 MemTotal: 18446744073709551615 kB\n");
    assert_int_equal(main_memory_beside_processors(nodes, 8 * GIB), 8 * GIB);
    make_node(nodes, "node7", "\n", "Node 7 MemTotal:       2097152 kB\n");
    assert_int_equal(main_memory_beside_processors(nodes, 8 * GIB), 6 * GIB);
}

static void test_this_machine(void **state)
{
    (void)state;
    const uint64_t bytes = main_memory_bytes(MAIN_MEMORY_NODES);
    assert_true(bytes > 0 && bytes % 4096 == 0);
    assert_true(bytes <= main_memory_bytes("/nonexistent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_of_a_gpu_is_not_counted, fixture_make_folder,
                                        fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
