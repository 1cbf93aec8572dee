/*
 * A number for some bytes, for tables of fixed size: eight bytes at a time, no protection against chosen
 * keys.
 */
#ifndef BIFURCATED_API_HTTP_HASH_H
#define BIFURCATED_API_HTTP_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t api_hash(const char *bytes, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u ^ size;
    size_t at = 0;
    uint64_t word = 0;
    for (; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    word = 0;
    for (; at < size; at++)
        word = word << 8 | (unsigned char)bytes[at];
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

#endif
