/*
 * A guard over every statement that a unit test has the store prepare: it looks at SQLite's plan, and ends
 * the program where one reads all rows of a table that grows. What may be read whole is listed in
 * plan_guard.c, with the reason. It is linked into the unit tests in place of sqlite3_prepare_v3, which only
 * store/connection.c calls. It does not see what foreign keys look for.
 */
#ifndef BIFURCATED_TESTS_STORE_PLAN_GUARD_H
#define BIFURCATED_TESTS_STORE_PLAN_GUARD_H

/* Is told each step of each plan, also of statements that were seen before. NULL: nobody is. */
extern void (*plan_guard_tell)(const char *sql, const char *step);

/* Is called for a step that is not allowed; prints it and aborts, unless a test replaces it. */
extern void (*plan_guard_refuse)(const char *sql, const char *step);

#endif
