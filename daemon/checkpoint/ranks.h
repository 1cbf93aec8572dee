/*
 * The files of DeepSpeed and Megatron, of which each rank of model parallelism writes one; with ZeRO's third
 * stage the ranks of data parallelism hold parts of the weights, too. Only where one rank holds the whole
 * model is its file read. Private to checkpoint.c.
 */
#ifndef BIFURCATED_CHECKPOINT_RANKS_H
#define BIFURCATED_CHECKPOINT_RANKS_H

#include "daemon/checkpoint/checkpoint.h"

/* ERR_UNSUPPORTED where other files say that the one at this path holds a part of the model. */
int ranks_refuse(const struct checkpoint_files *files, const char *path, struct err *err);

/* The first rank's file in the folder that DeepSpeed's "latest" names, for the caller to free. ERR_NOT_FOUND:
 * there is none; else as ranks_refuse. */
int ranks_follow(const struct checkpoint_files *files, const char *pointer, char **ret_path, struct err *err);

#endif
