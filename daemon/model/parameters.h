/*
 * How many parameters a model has, from the shapes in its checkpoint: for families whose number does not
 * follow from config.json here (model_config_parameter_count()).
 *
 * Counted are the elements of all tensors, but for
 *   - buffers, which are no parameters: causal masks, rotary frequencies, positions
 *   - the unembedding, where config.json says that it is the input embedding and the file holds both
 *   - further names of one tensor in a torch file, as tied weights have
 *   - what stands beside the model in a trainer's file, such as an optimizer's state
 * Weights that are packed into integers have no shapes of their own, and a file with nothing but embeddings
 * is not the model: then the number is not known.
 *
 * Shapes stand in the header of a safetensors file and in the pickle of a torch file. Of a sharded checkpoint
 * each file is opened, a read or two of some KiB; with more than PARAMETERS_FILES_MAX it is not counted.
 */
#ifndef BIFURCATED_MODEL_PARAMETERS_H
#define BIFURCATED_MODEL_PARAMETERS_H

#include "daemon/base/err.h"
#include "daemon/checkpoint/checkpoint.h"
#include "daemon/model/config.h"

#include <stdint.h>

#define PARAMETERS_FILES_MAX 100

/* `unembedding` is the tensor's name in the checkpoint. ERR_UNSUPPORTED where the number cannot be told,
 * ERR_LIMIT for too many files; else what reading a header gives. */
int model_parameters_count(const struct model_config *config, struct checkpoint *checkpoint,
                           const char *unembedding, uint64_t *ret_count, struct err *err);

#endif
