/*
 * Names without an owner, such as "gpt2" or "bert-base-uncased", which date from before the hub had owners
 * for all its models and are still in wide use; the hub redirects them. Here a model always has an owner,
 * so an error says which.
 */
#ifndef BIFURCATED_BASE_BARE_NAME_H
#define BIFURCATED_BASE_BARE_NAME_H

#define BARE_NAME_SIZE 97

/* "gpt2" -> "openai-community/gpt2"; "" for a name that the hub never had so, as far as is known here.
 * Returns `full`. */
const char *bare_name_complete(const char *bare, char full[BARE_NAME_SIZE]);

#endif
