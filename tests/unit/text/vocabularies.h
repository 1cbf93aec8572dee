/* A vocabulary of a few tokens, whose ids are their places. Include cmocka.h before. */
#ifndef BIFURCATED_TESTS_UNIT_TEXT_VOCABULARIES_H
#define BIFURCATED_TESTS_UNIT_TEXT_VOCABULARIES_H

#include "daemon/text/vocabulary.h"

#include <string.h>

static inline void fill(struct vocabulary *vocabulary, const char *const *tokens)
{
    struct err err = ERR_INIT;
    vocabulary_init(vocabulary);
    for (uint32_t id = 0; tokens[id]; id++)
        assert_int_equal(vocabulary_add(vocabulary, tokens[id], strlen(tokens[id]), id, &err), 0);
    assert_int_equal(vocabulary_index_ids(vocabulary, &err), 0);
}

#endif
