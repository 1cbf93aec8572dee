/*
 * What libmicrohttpd calls: connections that begin and end, and the parts of a request as they come.
 * `context` of each is the struct api_http, *request_slot the struct api_request.
 */
#ifndef BIFURCATED_API_HTTP_EXCHANGE_H
#define BIFURCATED_API_HTTP_EXCHANGE_H

#include <microhttpd.h>

/* Whether a new connection is taken: none while the server stops. */
enum MHD_Result api_exchange_accept(void *context, const struct sockaddr *address, socklen_t size);

/* A connection is there, or is closed. */
void api_exchange_notify(void *context, struct MHD_Connection *connection, void **socket_context,
                         enum MHD_ConnectionNotificationCode event);

/* A request's first line is there; returns the request, NULL without memory. */
void *api_exchange_begin(void *context, const char *target, struct MHD_Connection *connection);

/* Its head is there, then each part of its body, then its end: here it is answered. */
enum MHD_Result api_exchange_handle(void *context, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_size, void **request_slot);

/* Its answer was sent, or will never be: counts, logs and frees it. */
void api_exchange_end(void *context, struct MHD_Connection *connection, void **request_slot,
                      enum MHD_RequestTerminationCode reason);

/* Instead of libmicrohttpd's decoding of the target: none. */
size_t api_exchange_keep_encoded(void *context, struct MHD_Connection *connection, char *text);

#endif
