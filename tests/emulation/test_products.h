/* A part of emulation_faults: products one by one. How many checks failed. */
#ifndef BIFURCATED_TESTS_EMULATION_TEST_PRODUCTS_H
#define BIFURCATED_TESTS_EMULATION_TEST_PRODUCTS_H

int products_fail(void);

#endif
