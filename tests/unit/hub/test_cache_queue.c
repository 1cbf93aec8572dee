/* Who takes room in the cache budget next, and what is said of the others. */
#include "daemon/hub/cache_queue.h"

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/hub/ledger.h"
#include "tests/unit/base/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OTHERS = 3 };

static _Atomic int told_count;

static void tell(void *context, int waiting_count)
{
    (void)context;
    atomic_store(&told_count, waiting_count);
}

struct bench {
    struct hub_options options;
    struct cache_queue queue;
};

static void bench_open(struct bench *bench, char *folder)
{
    struct err err = ERR_INIT;
    bench->options =
        (struct hub_options){.state_folder = folder, .cache_budget_bytes = 5000000, .tell_cache = tell};
    assert_int_equal(cache_queue_init(&bench->queue, &bench->options, &err), 0);
    bench->queue.shown_after_ms = 0;
}

/* One that waits for its turn, takes it, and says the how manieth it was. */
struct waiter {
    struct cache_queue *queue;
    _Atomic int *next_rank;
    int rank;
};

static void *wait_and_take(void *context)
{
    struct waiter *waiter = context;
    struct cache_place place = CACHE_PLACE_INIT;
    while (!cache_queue_may_take(waiter->queue, &place)) {
        while (!cache_queue_wait(waiter->queue, &place))
            continue;
    }
    waiter->rank = atomic_fetch_add(waiter->next_rank, 1);
    cache_queue_leave(waiter->queue, &place);
    return NULL;
}

static int count_waiting(struct cache_queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    int count = queue->count;
    (void)pthread_mutex_unlock(&queue->mutex);
    return count;
}

/* The first finds no room, and the others wait behind it, also one that would find some. */
static void test_order_and_words(void **state)
{
    struct bench bench;
    struct hub_wait wait = {.reason = HUB_WAIT_NONE};
    struct cache_place first = CACHE_PLACE_INIT;
    struct waiter waiters[OTHERS];
    pthread_t threads[OTHERS];
    _Atomic int next_rank = 0;
    bench_open(&bench, *state);
    cache_queue_read_wait(&bench.queue, &wait);
    assert_int_equal(wait.reason, HUB_WAIT_NONE);
    assert_true(cache_queue_may_take(&bench.queue, &first));
    (void)cache_queue_wait(&bench.queue, &first); /* as long as that takes: there was no room */
    assert_int_equal(atomic_load(&told_count), 1);
    for (int i = 0; i < OTHERS; i++) {
        waiters[i] = (struct waiter){.queue = &bench.queue, .next_rank = &next_rank};
        assert_int_equal(pthread_create(&threads[i], NULL, wait_and_take, &waiters[i]), 0);
        while (count_waiting(&bench.queue) < i + 2)
            clock_sleep_ms(1);
    }
    cache_queue_read_wait(&bench.queue, &wait);
    assert_int_equal(wait.reason, HUB_WAIT_CACHE_BUDGET);
    assert_int_equal(wait.request_count, OTHERS + 1);
    assert_int_equal(wait.serial, 1);
    assert_non_null(strstr(wait.detail, "cache budget of 5 MB"));
    cache_queue_note_end(&bench.queue);
    while (!cache_queue_wait(&bench.queue, &first))
        continue;
    assert_true(cache_queue_may_take(&bench.queue, &first));
    assert_int_equal(atomic_load(&next_rank), 0);
    cache_queue_leave(&bench.queue, &first);
    for (int i = 0; i < OTHERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(waiters[i].rank, i);
    }
    wait = (struct hub_wait){.reason = HUB_WAIT_RATE_LIMIT};
    cache_queue_read_wait(&bench.queue, &wait);
    assert_int_equal(wait.reason, HUB_WAIT_RATE_LIMIT);
    assert_int_equal(wait.serial, 2);              /* it was seen that it is over */
    assert_int_equal(atomic_load(&told_count), 1); /* once in a while */
    cache_queue_free(&bench.queue);
}

/* Another process that waits is before those that come, until it has its room; what it does there is seen. */
static void test_other_processes(void **state)
{
    struct bench here, there;
    struct cache_place one = CACHE_PLACE_INIT, other = CACHE_PLACE_INIT;
    struct err err = ERR_INIT;
    bench_open(&here, *state);
    bench_open(&there, *state);
    assert_true(cache_queue_may_take(&there.queue, &other));
    assert_false(cache_queue_may_take(&here.queue, &one));
    assert_true(cache_queue_wait(&here.queue, &one)); /* the other one may have gone meanwhile */
    assert_false(cache_queue_may_take(&here.queue, &one));
    cache_queue_leave(&there.queue, &other);
    assert_true(cache_queue_may_take(&here.queue, &one));
    (void)cache_queue_wait(&here.queue, &one);
    assert_true(cache_queue_may_take(&here.queue, &one)); /* it keeps its turn */
    one.looked_ms = INT64_MAX / 2;                        /* however long that takes here */
    assert_false(cache_queue_wait(&here.queue, &one));    /* nothing has changed */
    assert_false(cache_queue_may_take(&there.queue, &other));
    char *path = file_join(here.queue.folder, "models--a--b@c");
    assert_int_equal(file_write_atomic(path, "1 /", 3, 0600, &err), 0);
    assert_true(cache_queue_wait(&here.queue, &one));
    assert_true(cache_queue_may_take(&here.queue, &one));
    assert_true(cache_queue_wait(&here.queue, &one)); /* once more: what ended may let go only now */
    free(path);
    cache_queue_leave(&here.queue, &one);
    cache_queue_free(&here.queue);
    cache_queue_free(&there.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_words, fixture_make_folder, fixture_remove_folder),
        cmocka_unit_test_setup_teardown(test_other_processes, fixture_make_folder, fixture_remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
