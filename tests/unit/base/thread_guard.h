/*
 * A guard over the threads of a unit test: it ends the program where a test starts one, unless
 * tests/CMakeLists.txt lists the test among those that run under the thread sanitizer as well. It is linked
 * into all others in place of pthread_create, and lets pass what libraries start before main.
 */
#ifndef BIFURCATED_TESTS_BASE_THREAD_GUARD_H
#define BIFURCATED_TESTS_BASE_THREAD_GUARD_H

/* Is called before a thread starts; says what to do and aborts, unless a test replaces it. */
extern void (*thread_guard_refuse)(void);

#endif
