/*
 * How many requests somebody may make: token buckets, one for each key, in a table of fixed size.
 *
 * A bucket is one time (the generic cell rate algorithm): when it would be full again. Where a set of the
 * table is full, the key whose bucket is fullest, which forgetting changes least, makes room.
 */
#ifndef BIFURCATED_API_HTTP_LIMITER_H
#define BIFURCATED_API_HTTP_LIMITER_H

#include <stdint.h>

struct api_limiter;
struct sockaddr;

/* What a request may know of its bucket. */
struct api_limit {
    int64_t burst;         /* size of the bucket; 0: no limit */
    int64_t remaining;     /* requests that may follow at once */
    int64_t window_s;      /* in which an empty bucket fills */
    int64_t reset_s;       /* until it is full again */
    int64_t retry_after_s; /* until a request may follow that was refused; 0: this one may pass */
};

/* `rate` requests per second on average, `burst` at once; a rate of 0 lets everything pass. NULL without
 * memory. */
struct api_limiter *api_limiter_new(int64_t rate, int64_t burst);
void api_limiter_free(struct api_limiter *limiter);

/* Takes one request from the bucket of `key`, at the monotonic time `now_us`. Returns whether it may pass. */
int api_limiter_take(struct api_limiter *limiter, uint64_t key, int64_t now_us, struct api_limit *ret_limit);

/* The key of an address: that of IPv4, or the network (64 bits) of IPv6, mixed with `seed`, so that nobody
 * can choose addresses that share a bucket. 0 for none. */
uint64_t api_limiter_address_key(const struct sockaddr *address, uint64_t seed);

/* The key of any number. */
uint64_t api_limiter_number_key(uint64_t number, uint64_t seed);

/* Whether it is one of this machine. */
int api_limiter_is_loopback(const struct sockaddr *address);

#endif
