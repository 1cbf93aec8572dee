/*
 * For this folder only: the INI file that sets options.
 */
#ifndef BIFURCATED_OPTIONS_OPTIONS_FILE_H
#define BIFURCATED_OPTIONS_OPTIONS_FILE_H

#include "daemon/base/err.h"
#include "daemon/options/options.h"

/* The file that is read without being named: the system's, or the user's. NULL if there is none. The caller
 * frees. */
char *options_file_find(void);

/* Sets what the file says, and options->config. ERR_INVALID names the line; else what reading a file gives.
 */
int options_file_read(struct options *options, const char *path, struct err *err);

#endif
