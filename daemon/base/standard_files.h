/*
 * Standard input, output and errors, which a program may be started without. Then the next file that it opens
 * would get their number, and what is meant for a terminal (the log) would be written into that file.
 */
#ifndef BIFURCATED_BASE_STANDARD_FILES_H
#define BIFURCATED_BASE_STANDARD_FILES_H

/* To be called before any file is opened. Occupies the numbers of those that are closed; reading and
 * writing them fails as before. Returns 0, or -1 with errno. */
int standard_files_reserve(void);

/* To be asked at the end: whether anything that was printed to standard output got lost, to a full disk for
 * example. What did not fit into its buffer may have failed long before. */
int standard_files_lost_output(void);

#endif
