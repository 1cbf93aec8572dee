/*
 * Hashing of short byte strings and pairs, with a seed, so that a crafted file cannot choose its collisions.
 * No result of this program depends on a hash.
 */
#ifndef BIFURCATED_TEXT_HASH_H
#define BIFURCATED_TEXT_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

static inline uint64_t hash_seed(void)
{
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    /* Without entropy the constant stays: slower against an adversary, never wrong. */
    (void)!getrandom(&seed, sizeof seed, GRND_NONBLOCK);
    return seed;
}

/* Full avalanche of 64 bits (the finaliser of SplitMix64). */
static inline uint64_t hash_u64(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    x ^= x >> 27;
    x *= UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static inline uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    const unsigned char *bytes = data;
    uint64_t hash = seed ^ (uint64_t)size * UINT64_C(0x9E3779B97F4A7C15);
    uint64_t word;
    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = hash_u64(hash ^ word);
    }
    if (size) {
        word = 0;
        memcpy(&word, bytes, size);
        hash = hash_u64(hash ^ word);
    }
    return hash;
}

#endif
