#include "api/http/limiter.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SETS 1024 /* a power of two */
#define WAYS 4

struct bucket {
    uint64_t key;    /* 0: free */
    int64_t full_us; /* when it is full again */
};

struct api_limiter {
    int64_t rate, burst;
    pthread_mutex_t mutex;
    struct bucket buckets[SETS][WAYS];
};

struct api_limiter *api_limiter_new(int64_t rate, int64_t burst)
{
    struct api_limiter *limiter = calloc(1, sizeof *limiter);
    if (!limiter)
        return NULL;
    limiter->rate = rate;
    limiter->burst = burst < 1 ? 1 : burst;
    (void)pthread_mutex_init(&limiter->mutex, NULL);
    return limiter;
}

void api_limiter_free(struct api_limiter *limiter)
{
    if (!limiter)
        return;
    (void)pthread_mutex_destroy(&limiter->mutex);
    free(limiter);
}

static struct bucket *find(struct api_limiter *limiter, uint64_t key)
{
    struct bucket *set = limiter->buckets[key % SETS];
    struct bucket *fullest = &set[0];
    for (int i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (!set[i].key || (fullest->key && set[i].full_us < fullest->full_us))
            fullest = &set[i];
    }
    *fullest = (struct bucket){.key = key};
    return fullest;
}

static int64_t seconds_up(int64_t us)
{
    return us <= 0 ? 0 : (us + 999999) / 1000000;
}

int api_limiter_take(struct api_limiter *limiter, uint64_t key, int64_t now_us, struct api_limit *ret_limit)
{
    *ret_limit = (struct api_limit){0};
    if (limiter->rate <= 0)
        return 1;
    int64_t window_us = limiter->burst * 1000000 / limiter->rate;
    int64_t one_us = 1000000 / limiter->rate;
    ret_limit->burst = limiter->burst;
    ret_limit->window_s = seconds_up(window_us);
    (void)pthread_mutex_lock(&limiter->mutex);
    struct bucket *bucket = find(limiter, key ? key : 1);
    int64_t full_us = bucket->full_us > now_us ? bucket->full_us : now_us;
    int is_allowed = full_us + one_us - now_us <= window_us;
    if (is_allowed)
        bucket->full_us = full_us = full_us + one_us;
    (void)pthread_mutex_unlock(&limiter->mutex);
    ret_limit->remaining = one_us > 0 ? (window_us - (full_us - now_us)) / one_us : limiter->burst;
    ret_limit->reset_s = seconds_up(full_us - now_us);
    if (!is_allowed)
        ret_limit->retry_after_s = seconds_up(full_us + one_us - now_us - window_us);
    return is_allowed;
}

/* The finaliser of splitmix64. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t api_limiter_number_key(uint64_t number, uint64_t seed)
{
    uint64_t key = mix(number ^ mix(seed));
    return key ? key : 1;
}

/* The IPv4 address, also one that is mapped into IPv6. Returns 0 for others. */
static int read_v4(const struct sockaddr *address, uint32_t *ret_address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        *ret_address = ntohl(v4.sin_addr.s_addr);
        return 1;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
            return 0;
        uint32_t network = 0;
        memcpy(&network, &v6.sin6_addr.s6_addr[12], sizeof network);
        *ret_address = ntohl(network);
        return 1;
    }
    return 0;
}

uint64_t api_limiter_address_key(const struct sockaddr *address, uint64_t seed)
{
    uint32_t v4 = 0;
    if (!address)
        return 0;
    if (read_v4(address, &v4))
        return api_limiter_number_key(v4, seed);
    if (address->sa_family != AF_INET6)
        return 0;
    struct sockaddr_in6 v6;
    uint64_t network = 0;
    memcpy(&v6, address, sizeof v6);
    memcpy(&network, v6.sin6_addr.s6_addr, sizeof network);
    return api_limiter_number_key(network, ~seed);
}

int api_limiter_is_loopback(const struct sockaddr *address)
{
    uint32_t v4 = 0;
    if (!address)
        return 0;
    if (read_v4(address, &v4))
        return v4 >> 24 == 127;
    if (address->sa_family != AF_INET6)
        return 0;
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}
