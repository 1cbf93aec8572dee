/* Whether something that listens also answers. */
#include "tests/unit/base/fixture.h"

#include "daemon/serving/api_probe.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

/* A listening socket on a free port; its address as a URL. */
static int open_listener(char *url, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(url, size, "http://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

/* Accepts one connection and answers with one byte. */
static void *answer(void *context)
{
    int peer = accept(*(int *)context, NULL, NULL);
    char text[256];
    (void)recv(peer, text, sizeof text, 0);
    (void)send(peer, "H", 1, MSG_NOSIGNAL);
    (void)close(peer);
    return NULL;
}

static int probe_with(int listener, const char *url)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer, &listener), 0);
    int is_answered = api_probe(url, 30000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return is_answered;
}

static void test_probe(void **state)
{
    (void)state;
    char url[64];
    int listener = open_listener(url, sizeof url);
    assert_true(probe_with(listener, url));
    assert_false(api_probe(url, 50)); /* it listens, but nobody is at home */
    (void)close(listener);
    assert_false(api_probe(url, 50)); /* nothing listens */
    assert_false(api_probe("http://example.org:80", 50));
    assert_false(api_probe("nonsense", 50));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_probe)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
