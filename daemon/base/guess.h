/*
 * What an unknown name may be meant for: the nearest of the known ones, for errors that ask `did you mean
 * "--metric"?`. The caller offers the names, wherever they lie.
 */
#ifndef BIFURCATED_BASE_GUESS_H
#define BIFURCATED_BASE_GUESS_H

#include <stddef.h>

#define GUESS_WORD_BYTES_MAX 127 /* longer ones are near to nothing */
#define GUESS_QUESTION_SIZE (GUESS_WORD_BYTES_MAX + 32)

struct guess {
    const char *typed;
    const char *name; /* the nearest so far, or NULL */
    size_t limit;     /* a nearer one has fewer slips */
    double gap; /* between the numbers of `typed` and `name`, if they differ in one at most; else infinite */
};

/* Both `typed` and the names must outlive the guess. At most a third of the letters may be slips. */
void guess_init(struct guess *guess, const char *typed);

/* One of the names that there are. A slip is a letter too many, too few, changed, or swapped with its
 * neighbour; capitals are equal to small letters. What a name has beyond `typed`, its beginning of three
 * letters or more, is one slip; the name itself is none. Of equally near names the first counts.
 * Where names differ from `typed` in one number at most, as step1000 from step999, Step1000 or step01000, the
 * nearest number counts and no slips. */
void guess_offer(struct guess *guess, const char *name);

/* `; did you mean "PREFIXNAME"?`, or "" where nothing is near. Returns `question`. */
const char *guess_ask(const struct guess *guess, const char *prefix, char question[GUESS_QUESTION_SIZE]);

#endif
