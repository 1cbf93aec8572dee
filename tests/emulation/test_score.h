/* The parts of emulation_score, by the kernels that they include: how many checks failed. */
#ifndef BIFURCATED_TESTS_EMULATION_TEST_SCORE_H
#define BIFURCATED_TESTS_EMULATION_TEST_SCORE_H

int test_score_rows();
int test_score_activation();
int test_score_attention();
int test_score_head();
int test_score_routing();
int test_emulation();

#endif
