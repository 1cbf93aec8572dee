/* Data sets that are being downloaded: who waits for whom, before a hub that takes connections and says
 * nothing. */
#include "tests/unit/base/fixture.h"

#include "daemon/measure/data_cache.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>

#define NAME "org/texts"
#define WAIT_S 120 /* only a broken cache lets the test wait for so long */

struct setting {
    void *folder;
    int listener;
    struct hub *hub;
    struct data_cache *cache;
};

static int set_up(void **state)
{
    struct setting *setting = calloc(1, sizeof *setting);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct timeval wait = {.tv_sec = WAIT_S};
    struct hub_options options = {0};
    struct err err = ERR_INIT;
    char url[64];
    if (!setting || fixture_make_folder(&setting->folder))
        return -1;
    *state = setting;
    setting->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (setting->listener < 0 || bind(setting->listener, (struct sockaddr *)&address, size) ||
        listen(setting->listener, 8) || getsockname(setting->listener, (struct sockaddr *)&address, &size) ||
        setsockopt(setting->listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait))
        return -1;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    (void)setenv("HOME", setting->folder, 1);
    (void)setenv("NO_PROXY", "127.0.0.1", 1);
    int code = hub_options_from_environment(&options, &err);
    if (!code)
        code = hub_options_set(&options.endpoint, url, &err);
    if (!code)
        code = hub_options_set(&options.cache_folder, fixture_path(setting->folder, "cache"), &err);
    options.is_offline = 0;
    options.stall_timeout_ms = INT64_C(1000) * WAIT_S;
    if (!code)
        code = hub_open(&options, &setting->hub, &err);
    if (!code)
        code = data_cache_new(setting->hub, &setting->cache, &err);
    hub_options_free(&options);
    return code;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;
    data_cache_free(setting->cache);
    hub_close(setting->hub);
    (void)close(setting->listener);
    int code = fixture_remove_folder(&setting->folder);
    free(setting);
    return code;
}

/* One task that wants the data set. */
struct task {
    struct data_cache *cache;
    int64_t sweep_id;
    atomic_bool cancel;
    pthread_t thread;
    int code;
};

static void *get(void *context)
{
    struct task *task = context;
    char *path = NULL;
    struct err err = ERR_INIT;
    task->code = data_cache_get(task->cache, task->sweep_id, NAME, &task->cancel, &path, &err);
    free(path);
    return NULL;
}

static void start(struct task *task, struct data_cache *cache, int64_t sweep_id)
{
    *task = (struct task){.cache = cache, .sweep_id = sweep_id};
    assert_int_equal(pthread_create(&task->thread, NULL, get, task), 0);
}

static void cancel(struct task *task)
{
    atomic_store(&task->cancel, true);
    assert_int_equal(pthread_join(task->thread, NULL), 0);
    assert_int_equal(task->code, ERR_CANCELLED);
}

/* A request of somebody has come. */
static int take(const struct setting *setting)
{
    int connection = accept(setting->listener, NULL, NULL);
    assert_true(connection >= 0);
    return connection;
}

static void test_nobody_waits_for_another_data_set(void **state)
{
    const struct setting *setting = *state;
    struct task first, other;
    start(&first, setting->cache, 1);
    int one = take(setting);
    start(&other, setting->cache, 2);
    int two = take(setting); /* while the first one's hangs */
    cancel(&other);
    cancel(&first);
    (void)close(one);
    (void)close(two);
}

static void test_a_task_that_waits_can_be_cancelled(void **state)
{
    const struct setting *setting = *state;
    struct task first, second;
    start(&first, setting->cache, 1);
    int one = take(setting);
    start(&second, setting->cache, 1);
    cancel(&second);
    cancel(&first);
    (void)close(one);
}

/* Whoever downloads may be cancelled; the others want the data set still. */
static void test_another_goes_on_where_one_failed(void **state)
{
    const struct setting *setting = *state;
    struct task first, second;
    start(&first, setting->cache, 1);
    int one = take(setting);
    start(&second, setting->cache, 1);
    cancel(&first);
    int two = take(setting);
    cancel(&second);
    (void)close(one);
    (void)close(two);
}

static void test_names(void **state)
{
    const struct setting *setting = *state;
    char *path = NULL;
    OK(data_cache_get(setting->cache, 1, "file:/data/texts.jsonl", NULL, &path, &err));
    assert_string_equal(path, "/data/texts.jsonl");
    free(path);
    path = NULL;
    FAILS(ERR_INVALID, "owner/name", data_cache_get(setting->cache, 1, "a b", NULL, &path, &err));
    assert_null(path);
}

#define AT_A_HUB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_A_HUB(test_nobody_waits_for_another_data_set),
        AT_A_HUB(test_a_task_that_waits_can_be_cancelled),
        AT_A_HUB(test_another_goes_on_where_one_failed),
        AT_A_HUB(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
