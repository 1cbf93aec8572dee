/*
 * What the number in a revision's name counts: mostly optimiser steps, but the names of some runs count
 * tokens ("240b_tokens"), words ("chck_100M"), epochs, or the checkpoints themselves (Amber's "ckpt_358"). It
 * is one for a whole series, and stands beside the number, which is called its step whatever it counts.
 */
#ifndef BIFURCATED_BASE_STEP_UNIT_H
#define BIFURCATED_BASE_STEP_UNIT_H

/* Their numbers are stored. */
enum step_unit {
    STEP_UNIT_STEPS,
    STEP_UNIT_TOKENS,
    STEP_UNIT_WORDS,
    STEP_UNIT_EPOCHS,
    STEP_UNIT_CHECKPOINTS,
    STEP_UNIT_COUNT
};

#define STEP_UNIT_TEXT_SIZE 48

/* "steps", "tokens", "words", "epochs", "checkpoints". */
const char *step_unit_name(enum step_unit unit);

/* The unit of a name; steps for any other and for NULL, as of a daemon that does not know of units. */
enum step_unit step_unit_find(const char *name);

/* The number alone: "512"; of tokens and words with at most four digits: "220B", "2.097M". */
void step_unit_write_number(enum step_unit unit, double number, char text[STEP_UNIT_TEXT_SIZE]);

/* A place in the run: "step 512", "220B tokens", "100M words", "epoch 3". */
void step_unit_write_place(enum step_unit unit, double number, char text[STEP_UNIT_TEXT_SIZE]);

/* What follows "every": "1000 steps", "20B tokens", of one "epoch". */
void step_unit_write_every(enum step_unit unit, double number, char text[STEP_UNIT_TEXT_SIZE]);

#endif
