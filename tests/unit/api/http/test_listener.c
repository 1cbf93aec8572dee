/* Which of the sockets that may be handed over is taken: one that listens where the options say. */
#include "tests/unit/store/fixture.h"

#include "api/http/listener.h"
#include "api/http/state.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct offer {
    const char *address; /* of the socket; NULL: of no address */
    int type, listens, is_v6_only;
    const char *wanted;
    int is_same_port, is_taken;
};

/* Not every machine has IPv6. */
static int has_v6(void)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int has = fd >= 0 && bind(fd, (struct sockaddr *)&v6, sizeof v6) == 0;
    if (fd >= 0)
        (void)close(fd);
    return has;
}

static int is_v6(const char *address)
{
    return address && strchr(address, ':');
}

/* One that is free at all addresses, in network order: another test may listen at the port of a single one.
 */
static in_port_t find_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t size = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &size), 0);
    (void)close(fd);
    return any.sin_port;
}

static int make(const struct offer *offer, uint16_t *ret_port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    int family = !offer->address ? AF_UNIX : is_v6(offer->address) ? AF_INET6 : AF_INET;
    int fd = socket(family, offer->type | SOCK_CLOEXEC, 0);
    assert_true(fd > 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0); /* as the server */
    *ret_port = 1;
    if (!offer->address)
        return fd;
    if (family == AF_INET6) {
        assert_int_equal(inet_pton(AF_INET6, offer->address, &v6.sin6_addr), 1);
        assert_int_equal(
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &offer->is_v6_only, sizeof offer->is_v6_only), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&v6, sizeof v6), 0);
    } else {
        v4.sin_port = offer->type == SOCK_STREAM ? find_port() : 0;
        assert_int_equal(inet_pton(AF_INET, offer->address, &v4.sin_addr), 1);
        assert_int_equal(bind(fd, (struct sockaddr *)&v4, sizeof v4), 0);
    }
    if (offer->listens)
        assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
    memcpy(&v4, &bound, sizeof v4); /* the port is at the same place in both */
    *ret_port = ntohs(v4.sin_port);
    return fd;
}

static void test_offers(void **state)
{
    static const struct offer offers[] = {
        {"127.0.0.1", SOCK_STREAM, 1, 0, "127.0.0.1", 1, 1},
        {"127.0.0.1", SOCK_STREAM, 1, 0, "127.0.0.1", 0, 1}, /* any port is right */
        {"::1", SOCK_STREAM, 1, 1, "0:0::1", 1, 1},
        {"::", SOCK_STREAM, 1, 1, "::", 0, 1},
        {"::", SOCK_STREAM, 1, 0, "::", 0, 0}, /* of both families */
        {"127.0.0.1", SOCK_STREAM, 1, 0, "127.0.0.2", 0, 0},
        {"127.0.0.1", SOCK_STREAM, 1, 0, "::1", 0, 0},
        {"127.0.0.1", SOCK_STREAM, 0, 0, "127.0.0.1", 0, 0}, /* only bound */
        {"127.0.0.1", SOCK_DGRAM, 0, 0, "127.0.0.1", 0, 0},
        {"127.0.0.77", SOCK_STREAM, 1, 0, "0.0.0.0", 1, 0}, /* another address at the same port */
        {"0.0.0.0", SOCK_STREAM, 1, 0, "127.0.0.77", 1, 0},
        {NULL, SOCK_STREAM, 0, 0, "127.0.0.1", 0, 0},
    };
    struct fixture *fixture = *state;
    struct api_token_table *tokens = NULL;
    OK(api_token_table_new(fixture->store, "for those beyond loopback", &tokens, &err));
    for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++) {
        struct api_http http = {.tokens = tokens};
        struct stat before, after;
        uint16_t port = 0;
        if ((is_v6(offers[i].address) || is_v6(offers[i].wanted)) && !has_v6())
            continue;
        int given = make(&offers[i], &port), held = dup(given),
            fd = -1; /* as whoever hands it over holds it */
        assert_int_equal(fstat(given, &before), 0);
        http.options.address = offers[i].wanted;
        http.options.port = offers[i].is_same_port ? port : 0;
        http.options.listen_fd = given;
        OK(api_listener_open(&http, &fd, &err));
        assert_int_equal(fstat(fd, &after), 0);
        if ((before.st_ino == after.st_ino) != offers[i].is_taken)
            fail_msg("offer %zu", i);
        api_listener_let_go(&http);
        (void)close(fd), (void)close(held);
    }
    api_token_table_free(tokens);
}

/* The daemon is to listen on another port by now. (At an address where no other test takes one.) */
static void test_another_port(void **state)
{
    static const struct offer offer = {"127.0.0.77", SOCK_STREAM, 1, 0, NULL, 0, 0};
    struct api_http http = {.options = {.address = "127.0.0.77"}};
    uint16_t port = 0, other = 0;
    int fd = -1, free_one = make(&offer, &other);
    (void)state;
    http.options.listen_fd = make(&offer, &port);
    http.options.port = other;
    (void)close(free_one);
    OK(api_listener_open(&http, &fd, &err));
    OK(api_listener_take(&http, fd, &err));
    assert_int_equal(http.port, other);
    api_listener_let_go(&http);
    (void)close(fd);
}

/* A start that fails later leaves what it was given as it was, also where both cannot listen at once. */
static void test_given_back(void **state)
{
    static const struct offer offers[] = {{"127.0.0.78", SOCK_STREAM, 1, 0, "127.0.0.1", 0, 0},
                                          {"127.0.0.78", SOCK_STREAM, 1, 0, "0.0.0.0", 1, 0}};
    struct fixture *fixture = *state;
    struct api_token_table *tokens = NULL;
    OK(api_token_table_new(fixture->store, "for those beyond loopback", &tokens, &err));
    for (size_t i = 0; i < sizeof offers / sizeof offers[0]; i++) {
        struct api_http http = {.tokens = tokens, .options.address = offers[i].wanted};
        uint16_t port = 0;
        int given = make(&offers[i], &port), held = dup(given), fd = -1;
        struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port)};
        http.options.port = offers[i].is_same_port ? port : 0;
        http.options.listen_fd = given;
        OK(api_listener_open(&http, &fd, &err));
        (void)close(fd);
        api_listener_return(&http);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(inet_pton(AF_INET, offers[i].address, &place.sin_addr), 1);
        assert_int_equal(connect(client, (struct sockaddr *)&place, sizeof place), 0);
        (void)close(client), (void)close(held);
    }
    api_token_table_free(tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_offers, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_given_back, fixture_open, fixture_close),
        cmocka_unit_test(test_another_port)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
