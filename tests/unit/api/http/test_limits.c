/* Token buckets, and which connection makes room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/http/cors.h"
#include "api/http/limiter.h"
#include "api/http/peers.h"
#include "daemon/base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define S INT64_C(1000000)

static void test_bucket(void **state)
{
    (void)state;
    struct api_limit left;
    struct api_limiter *limiter = api_limiter_new(10, 50);
    int passed = 0;
    for (int i = 0; i < 100; i++)
        passed += api_limiter_take(limiter, 7, 1000 * S, &left);
    assert_int_equal(passed, 50);
    assert_int_equal(left.burst, 50);
    assert_int_equal(left.window_s, 5);
    assert_int_equal(left.remaining, 0);
    assert_int_equal(left.reset_s, 5);
    assert_int_equal(left.retry_after_s, 1);
    assert_true(api_limiter_take(limiter, 8, 1000 * S, &left)); /* somebody else */
    assert_int_equal(left.remaining, 49);
    /* In the long run the rate: 10 a second over 20 seconds, and the burst, which was used. */
    passed = 0;
    for (int64_t now = 1000 * S; now < 1020 * S; now += S / 100)
        passed += api_limiter_take(limiter, 7, now, &left);
    assert_in_range(passed, 198, 201);
    assert_true(api_limiter_take(limiter, 7, 2000 * S, &left)); /* full again, and no more than full */
    assert_int_equal(left.remaining, 49);
    api_limiter_free(limiter);
    limiter = api_limiter_new(0, 0);
    for (int i = 0; i < 1000; i++)
        assert_true(api_limiter_take(limiter, 7, 0, &left));
    assert_int_equal(left.burst, 0);
    api_limiter_free(limiter);
}

/* More keys than there is room for: those who were refused stay refused while others pass by. */
static void test_many(void **state)
{
    (void)state;
    struct api_limit left;
    struct api_limiter *limiter = api_limiter_new(1, 20);
    uint64_t bad = api_limiter_number_key(1, 99);
    for (int i = 0; i < 20; i++)
        assert_true(api_limiter_take(limiter, bad, S, &left));
    for (uint64_t i = 0; i < 3000; i++)
        (void)api_limiter_take(limiter, api_limiter_number_key(1000 + i, 99), S, &left);
    assert_false(api_limiter_take(limiter, bad, S, &left));
    api_limiter_free(limiter);
}

static uint64_t key_of(const char *text, uint64_t seed)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return api_limiter_address_key((struct sockaddr *)&v4, seed);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return api_limiter_address_key((struct sockaddr *)&v6, seed);
}

static int is_loopback(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return api_limiter_is_loopback((struct sockaddr *)&v4);
    (void)inet_pton(AF_INET6, text, &v6.sin6_addr);
    return api_limiter_is_loopback((struct sockaddr *)&v6);
}

static void test_addresses(void **state)
{
    (void)state;
    assert_int_equal(key_of("192.0.2.1", 5), key_of("192.0.2.1", 5));
    assert_int_not_equal(key_of("192.0.2.1", 5), key_of("192.0.2.2", 5));
    assert_int_not_equal(key_of("192.0.2.1", 5), key_of("192.0.2.1", 6)); /* nobody can foresee it */
    assert_int_equal(key_of("::ffff:192.0.2.1", 5), key_of("192.0.2.1", 5));
    /* A network of IPv6 is one client: its owner has 2^64 addresses. */
    assert_int_equal(key_of("2001:db8:1:2::1", 5), key_of("2001:db8:1:2:ffff::9", 5));
    assert_int_not_equal(key_of("2001:db8:1:2::1", 5), key_of("2001:db8:1:3::1", 5));
    assert_int_equal(api_limiter_address_key(NULL, 5), 0);
    assert_true(is_loopback("127.0.0.1") && is_loopback("127.9.9.9") && is_loopback("::1") &&
                is_loopback("::ffff:127.0.0.1"));
    assert_false(is_loopback("128.0.0.1") || is_loopback("::2") || is_loopback("::ffff:1.0.0.127"));
}

struct connection {
    int ends[2];
    struct api_peer *peer;
};

static void open_peer(struct api_peers *peers, struct connection *connection, uint64_t address)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, connection->ends), 0);
    connection->peer = api_peers_add(peers, connection->ends[0], address);
    assert_non_null(connection->peer);
    clock_sleep_ms(3); /* so that the order of waiting is plain */
}

static int is_shut(const struct connection *connection)
{
    char byte;
    return recv(connection->ends[1], &byte, 1, MSG_DONTWAIT) == 0;
}

static void close_peers(struct api_peers *peers, struct connection *connections, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        api_peers_remove(peers, connections[i].peer);
        (void)close(connections[i].ends[0]);
        (void)close(connections[i].ends[1]);
    }
    assert_int_equal(api_peers_count(peers), 0);
    api_peers_free(peers);
}

static void test_room(void **state)
{
    (void)state;
    struct connection all[8];
    struct api_peers *peers = api_peers_new(4, 0);
    for (size_t i = 0; i < 4; i++)
        open_peer(peers, &all[i], i);
    api_peer_set_busy(all[0].peer); /* the oldest, but it is being served */
    open_peer(peers, &all[4], 4);
    assert_true(is_shut(&all[1]));
    assert_int_equal(api_peers_count(peers), 4);
    api_peer_set_waiting(all[2].peer); /* has just asked for something */
    open_peer(peers, &all[5], 5);
    assert_true(is_shut(&all[3]));
    assert_false(is_shut(&all[0]) || is_shut(&all[2]) || is_shut(&all[4]) || is_shut(&all[5]));
    api_peer_set_busy(all[2].peer);
    api_peer_set_busy(all[4].peer);
    api_peer_set_busy(all[5].peer);
    open_peer(peers, &all[6], 6); /* nobody waits: the new one is refused */
    assert_true(is_shut(&all[6]));
    assert_int_equal(api_peers_displaced(peers), 3);
    close_peers(peers, all, 7);
}

static void test_room_of_an_address(void **state)
{
    (void)state;
    struct connection all[6];
    struct api_peers *peers = api_peers_new(0, 2);
    open_peer(peers, &all[0], 1);
    for (size_t i = 1; i < 4; i++)
        open_peer(peers, &all[i], 2);
    assert_false(is_shut(&all[0])); /* older, but of another address */
    assert_true(is_shut(&all[1]));
    assert_false(is_shut(&all[2]) || is_shut(&all[3]));
    open_peer(peers, &all[4], 1);
    assert_false(is_shut(&all[0]) || is_shut(&all[4]));
    close_peers(peers, all, 5);
}

static void test_deadlines(void **state)
{
    (void)state;
    struct connection all[4];
    struct api_peers *peers = api_peers_new(0, 0);
    for (size_t i = 0; i < 4; i++)
        open_peer(peers, &all[i], i);
    api_peer_set_busy(all[1].peer);
    api_peer_set_busy(all[2].peer);
    api_peer_set_streaming(all[2].peer);
    clock_sleep_ms(30);
    assert_int_equal(api_peers_expire(peers, 60000, 60000, 60000), 0);
    assert_int_equal(api_peers_expire(peers, 10, 60000, 60000), 2); /* of those that wait */
    assert_true(is_shut(&all[0]) && is_shut(&all[3]));
    assert_int_equal(api_peers_expire(peers, 10, 60000, 10), 0); /* is not made yet */
    int64_t sending_ms = clock_monotonic_ms();
    api_peer_set_sending(all[1].peer); /* the time that its making took does not count */
    size_t shut = api_peers_expire(peers, 10, 60000, 30);
    assert_true(shut == 0 || clock_monotonic_ms() - sending_ms >= 30);
    clock_sleep_ms(30);
    shut += api_peers_expire(peers, 10, 60000, 60000);
    shut += api_peers_expire(peers, 10, 60000, 30);
    assert_int_equal(shut, 1); /* an answer that is not taken; not a stream */
    assert_true(is_shut(&all[1]));
    assert_false(is_shut(&all[2]));
    assert_int_equal(api_peers_expire(peers, 10, 10, 10), 0);
    close_peers(peers, all, 4);
}

static void test_origins(void **state)
{
    (void)state;
    static const char option[] = "https://a.example, https://b.example:8443 http://localhost:3000";
    assert_true(api_cors_matches(option, "https://a.example"));
    assert_true(api_cors_matches(option, "https://b.example:8443"));
    assert_true(api_cors_matches(option, "http://localhost:3000"));
    static const char *const wrong[] = {
        "",    "https://a.example:443", "https://b.example", "a.example", "https:", "https://a.example.evil",
        "null"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(api_cors_matches(option, wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_room_of_an_address),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
