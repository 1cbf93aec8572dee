/*
 * Headers by which clients say what they prefer: Accept, Accept-Encoding (RFC 9110, section 12.5).
 *
 *     text/csv;q=0.5, application/json
 */
#ifndef BIFURCATED_API_HTTP_ACCEPT_H
#define BIFURCATED_API_HTTP_ACCEPT_H

/* How much the header, which may be NULL, wants `name` ("gzip", "text/csv"): 0 not at all, else the more the
 * better. The weight comes first; at equal weight, what is named goes before what its kind has (a star for
 * the subtype), and that before what all have. Stars count for media types alone: whoever writes
 * "Accept-Encoding: *" may not know zstd. */
int api_accept_weigh(const char *header, const char *name);

#endif
