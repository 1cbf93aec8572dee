/*
 * Comparing floating-point numbers, which cmocka 1.1.5 does for float only.
 */
#ifndef BIFURCATED_TESTS_NEAR_H
#define BIFURCATED_TESTS_NEAR_H

#include <math.h>
#include <stdio.h>

/* Include after cmocka.h. NaN is near nothing. */
#define assert_near(measured, expected, tolerance)                                                           \
    do {                                                                                                     \
        double near_measured = (measured), near_expected = (expected);                                       \
        if (!(fabs(near_measured - near_expected) <= (tolerance))) {                                         \
            (void)fprintf(stderr, "%s:%d: %.17g is not %.17g\n", __FILE__, __LINE__, near_measured,          \
                          near_expected);                                                                    \
            fail();                                                                                          \
        }                                                                                                    \
    } while (0)

#endif
