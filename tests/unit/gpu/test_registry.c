/* The list of devices: the CPU always, a module that works, and every way in which one does not. */
#include "gpu/registry.h"

#include "gpu/cpu/backend.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A file beside this program. */
static const char *beside(const char *name, char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    assert_true(length > 0);
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    (void)snprintf(slash + 1, size - (size_t)(slash + 1 - path), "%s", name);
    return path;
}

static struct registry *open_registry(const char *module)
{
    struct registry *registry = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(registry_new(cpu_backend(), module, &registry, &err), 0);
    assert_string_equal(registry_device_at(registry, 0)->id, "cpu");
    assert_string_equal(registry_device_at(registry, 0)->backend, "cpu");
    assert_true(registry_device_at(registry, 0)->description.memory_bytes > 0);
    assert_non_null(strstr(registry_device_at(registry, 0)->description.name, "threads"));
    return registry;
}

static void assert_absent(const char *module, const char *why)
{
    struct registry *registry = open_registry(module);
    struct device *device = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(registry_device_count(registry), 1);
    assert_null(registry_device_at(registry, 1));
    assert_non_null(strstr(registry_absence(registry), why));
    assert_int_equal(device_open(registry, "cuda:0", NULL, &device, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, why));
    assert_null(device);
    assert_int_equal(device_open(registry, "auto", NULL, &device, &err), 0);
    assert_string_equal(device_info(device)->id, "cpu");
    device_close(device);
    registry_free(registry);
}

static void test_absent(void **state)
{
    (void)state;
    char path[4096];
    assert_absent(NULL, "this build has no CUDA module");
    assert_absent("", "this build has no CUDA module");
    assert_absent("module.so", "must be absolute");
    assert_absent("/no/such/module.so", "no CUDA module is installed at /no/such/module.so");
    assert_absent("/etc/passwd", "could not be loaded");
    Dl_info libc;
    assert_true(dladdr(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &libc));
    assert_absent(libc.dli_fname, "it has no bifurcated_backend");
    const struct {
        const char *mode, *why;
    } modes[] = {{"abi", "was built for interface version"},
                 {"size", "(8 bytes)"},
                 {"null", "does not know interface version"},
                 {"probe", "no driver answers here"},
                 {"silent", "found nothing to work on"},
                 {"none", "reports no device"},
                 {"describe", "it does not say"}};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        (void)setenv("FAKE_BACKEND", modes[i].mode, 1);
        assert_absent(beside("backend_fake.so", path, sizeof(path)), modes[i].why);
    }
    (void)unsetenv("FAKE_BACKEND");
}

static void test_module(void **state)
{
    (void)state;
    char path[4096];
    struct registry *registry = open_registry(beside("backend_fake.so", path, sizeof(path)));
    struct device *device = NULL;
    struct err err = ERR_INIT;
    const uint16_t data[2] = {0, 0};
    struct statistics_request request = {
        .dtype = TENSOR_DTYPE_F16, .rows = 1, .columns = 2, .token_rows = 1, .data = data};
    struct statistics_result result;
    assert_string_equal(registry_absence(registry), "");
    assert_int_equal(registry_device_count(registry), 3);
    assert_string_equal(registry_device_at(registry, 2)->id, "cuda:1");
    assert_string_equal(registry_device_at(registry, 2)->description.name, "Fake 1");
    const char *const ids[] = {"auto", "cuda", "cuda:0", "cuda:1", "cpu"};
    const char *const opened[] = {"cuda:0", "cuda:0", "cuda:0", "cuda:1", "cpu"};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(device_open(registry, ids[i], NULL, &device, &err), 0);
        assert_string_equal(device_info(device)->id, opened[i]);
        device_close(device);
    }
    assert_int_equal(device_open(registry, "cuda:7", NULL, &device, &err), ERR_NOT_FOUND);
    assert_int_equal(device_open(registry, "cuda:1", NULL, &device, &err), 0);
    registry_free(registry); /* the device goes on */
    assert_int_equal(statistics_result_init(&result, 2, &err), 0);
    assert_int_equal(device_statistics(device, &request, &result, &err), ERR_DEVICE);
    request.rows = 0;
    assert_int_equal(device_statistics(device, &request, &result, &err), ERR_INVALID);
    statistics_result_free(&result);
    device_close(device);
    device_close(NULL);
    registry_free(NULL);
}

/* "auto" takes what can be opened and says what it passed over; a name takes that device or none. */
static void test_passed_over(void **state)
{
    (void)state;
    char path[4096];
    struct device *device = NULL;
    struct err err = ERR_INIT;
    struct registry *registry = open_registry(beside("backend_fake.so", path, sizeof(path)));
    const struct {
        const char *mode, *opened, *why;
    } cases[] = {{"", "cuda:0", ""},
                 {"open0", "cuda:1", "device cuda:0: device 0 is another's"},
                 {"open", "cpu", "device cuda:0: device 0 is another's"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)setenv("FAKE_BACKEND", cases[i].mode, 1);
        assert_int_equal(device_open(registry, "auto", NULL, &device, &err), 0);
        assert_int_equal(err.code, 0);
        assert_string_equal(device_info(device)->id, cases[i].opened);
        assert_string_equal(device_passed_over(device), cases[i].why);
        device_close(device);
    }
    device = NULL;
    assert_int_equal(device_open(registry, "cuda:1", NULL, &device, &err), ERR_DEVICE);
    assert_string_equal(err.message, "device cuda:1: device 1 is another's");
    assert_null(device);
    (void)unsetenv("FAKE_BACKEND");
    registry_free(registry);
}

/* The CUDA module of this build: it loads without a driver, and then says so; with a driver it lists what it
 * finds, or why nothing of that can be used. */
static void test_cuda_module(void **state)
{
    (void)state;
    const char *path = getenv("BIFURCATED_TEST_CUDA_MODULE");
    if (!path || !*path) {
        print_message("skipped: this build has no CUDA module\n");
        skip();
    }
    struct registry *registry = open_registry(path);
    const char *why = registry_absence(registry);
    if (registry_device_count(registry) > 1) {
        assert_string_equal(why, "");
        assert_string_equal(registry_device_at(registry, 1)->id, "cuda:0");
        registry_free(registry);
        return;
    }
    assert_null(strstr(why, "could not be loaded"));
    assert_true(strstr(why, "driver") || strstr(why, "GPU") || strstr(why, "too old"));
    if (access("/proc/driver/nvidia", F_OK) != 0 && access("/dev/nvidia0", F_OK) != 0)
        assert_string_equal(why, "no NVIDIA driver is installed (libcuda.so.1 was not found)");
    assert_absent(path, why);
    registry_free(registry);
}

static void test_path(void **state)
{
    (void)state;
    (void)unsetenv("BIFURCATED_CUDA_MODULE");
    const char *built = registry_module_path(NULL);
    (void)setenv("BIFURCATED_CUDA_MODULE", "/from/environment.so", 1);
    assert_string_equal(registry_module_path("/from/option.so"), "/from/option.so");
    assert_string_equal(registry_module_path(""), "/from/environment.so");
    (void)setenv("BIFURCATED_CUDA_MODULE", "", 1);
    assert_string_equal(registry_module_path(NULL), built);
    (void)unsetenv("BIFURCATED_CUDA_MODULE");
}

static void test_cpu_options(void **state)
{
    (void)state;
    struct registry *registry = open_registry(NULL);
    struct device *device = NULL;
    struct err err = ERR_INIT;
    struct backend_options options = {.thread_count = 3};
    assert_int_equal(device_open(registry, "cpu", &options, &device, &err), 0);
    device_close(device);
    options.thread_count = -1;
    assert_int_equal(device_open(registry, "cpu", &options, &device, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "number of threads"));
    assert_int_equal(device_open(registry, "tpu", &options, &device, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "tpu"));
    registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),      cmocka_unit_test(test_module), cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_cuda_module), cmocka_unit_test(test_path),   cmocka_unit_test(test_cpu_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
