/*
 * Seams: places inside of a long word that no merge can cross, so that its parts are merged one by one.
 *
 * A tokenizer without a pre-tokenizer (Llama's, Mistral's) has a whole text for a word. Its vocabulary marks
 * the beginning of words with U+2581, though, and hardly a token has that mark behind another character.
 * Where no merge makes a token in which the mark follows a character, none joins the two in a text, and what
 * stands left and right of them is merged alike together and apart. Then a text costs what its words cost,
 * which the word cache knows.
 */
#ifndef BIFURCATED_TEXT_SEAMS_H
#define BIFURCATED_TEXT_SEAMS_H

#include "daemon/text/alphabet.h"
#include "daemon/text/vocabulary.h"

#include <stddef.h>
#include <stdint.h>

#define SEAMS_JOINED_MAX 64

/* Zeroed, it knows of no merge. */
struct seams {
    uint32_t joined[SEAMS_JOINED_MAX]; /* characters that some merge joins to a mark behind them */
    size_t joined_count;
    int is_crowded;    /* there were more */
    int joins_unknown; /* joins a mark to what has no symbol of its own, such as a byte */
    int is_usable;     /* of a vocabulary with a mark, whose characters are symbols */
};

/* Sees what a merge makes, while they are read. */
void seams_see(struct seams *seams, const char *token, size_t size);

/* Call after the last merge. */
void seams_finish(struct seams *seams, const struct alphabet *alphabet, const struct vocabulary *vocabulary);

/* Where the part of a word that begins at `begin` < size ends: at the next seam, or at its end. */
size_t seams_next(const struct seams *seams, const struct vocabulary *vocabulary, const char *word,
                  size_t size, size_t begin);

#endif
