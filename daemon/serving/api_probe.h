/*
 * Whether the API's threads still move, tried from outside: a connection to the daemon's own address.
 */
#ifndef BIFURCATED_SERVING_API_PROBE_H
#define BIFURCATED_SERVING_API_PROBE_H

#include <stdint.h>

/* Connects to `url` ("http://127.0.0.1:7143", also of a wildcard address), asks for /healthz and waits for
 * any byte or the end of the connection, which is all that counts: a listener that speaks TLS answers, too.
 * Returns whether one came in time. */
int api_probe(const char *url, int64_t timeout_ms);

#endif
