#include "daemon/base/bare_name.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct family {
    const char *begin; /* all of a name, or its beginning, up to a hyphen */
    const char *owner;
};

/* As the hub redirects them. The first that fits counts. */
static const struct family families[] = {
    {"gpt2", "openai-community"},
    {"gpt2-medium", "openai-community"},
    {"gpt2-large", "openai-community"},
    {"gpt2-xl", "openai-community"},
    {"openai-gpt", "openai-community"},
    {"distilgpt2", "distilbert"},
    {"distilroberta-base", "distilbert"},
    {"distilbert-", "distilbert"},
    {"bert-", "google-bert"},
    {"roberta-base", "FacebookAI"},
    {"roberta-large", "FacebookAI"},
    {"roberta-large-mnli", "FacebookAI"},
    {"xlm-", "FacebookAI"},
    {"t5-", "google-t5"},
    {"albert-", "albert"},
    {"xlnet-", "xlnet"},
    {"transfo-xl-wt103", "transfo-xl"},
    {"ctrl", "Salesforce"},
};

const char *bare_name_complete(const char *bare, char full[BARE_NAME_SIZE])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t length = strlen(bare);
    full[0] = 0;
    if (strspn(bare, plain) != length || length > 64)
        return full;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        size_t own = strlen(families[i].begin);
        int is_beginning = families[i].begin[own - 1] == '-';
        if (strncmp(bare, families[i].begin, own) != 0 || (is_beginning ? length == own : length != own))
            continue;
        (void)snprintf(full, BARE_NAME_SIZE, "%s/%s", families[i].owner, bare);
        break;
    }
    return full;
}
