/*
 * Which sweeps a command is about: those that its words name, or all that are being planned or running; and
 * other words that are numbers.
 */
#ifndef BIFURCATED_API_CLIENT_SWEEP_IDS_H
#define BIFURCATED_API_CLIENT_SWEEP_IDS_H

#include "api/client/arguments.h"
#include "api/client/link.h"
#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Reads a word that is the number of a `thing` ("sweep"); ERR_INVALID, which names the `list` that has it. */
int client_parse_id(const char *word, const char *thing, const char *list, int64_t *ret_id, struct err *err);

/* The numbers of sweeps that a command's words are; the caller frees *ret_ids. ERR_INVALID. */
int client_parse_sweeps(const struct client_arguments *arguments, int64_t **ret_ids, size_t *ret_count,
                        struct err *err);

/* The sweeps that are being planned or run, oldest first; the caller frees *ret_ids. */
int client_find_sweeps(struct client_link *link, int64_t **ret_ids, size_t *ret_count, struct err *err);

#endif
