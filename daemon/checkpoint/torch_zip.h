/*
 * A file of torch.save's zip format (pytorch_model.bin): an archive with a pickled state dict in data.pkl and
 * one record data/<key> per storage.
 *
 * Nothing is executed (pickle.h). Refused with words that say what the file is: TorchScript archives, the
 * formats before torch 1.6 (a bare pickle, a tar), big-endian files, records whose size is not that of their
 * storage. Layout: torch/serialization.py, caffe2/serialize/inline_container.cc.
 */
#ifndef BIFURCATED_CHECKPOINT_TORCH_ZIP_H
#define BIFURCATED_CHECKPOINT_TORCH_ZIP_H

#include "daemon/base/err.h"
#include "daemon/base/source.h"
#include "daemon/checkpoint/state_dict.h"

#include <stddef.h>
#include <stdint.h>

struct torch_zip;

/* Opens a file over `source`, which it borrows. Two reads where the directory is within the last 32 KiB: the
 * end of the file and its head with data.pkl. The caller closes *ret_torch_zip. */
int torch_zip_open(struct source *source, enum state_dict_form form, struct torch_zip **ret_torch_zip,
                   struct err *err);

/* NULL is allowed. */
void torch_zip_close(struct torch_zip *torch_zip);

/* The tensors; borrowed. */
const struct state_dict *torch_zip_state_dict(const struct torch_zip *torch_zip);

/* Where the bytes of the tensor's first element lie in the source. The tensor may not be empty. */
int torch_zip_locate(struct torch_zip *torch_zip, const struct state_dict_tensor *tensor,
                     uint64_t *ret_offset, struct err *err);

/* Reads bytes of the source; what was fetched before is not fetched again. */
int torch_zip_read(struct torch_zip *torch_zip, uint64_t offset, void *data, size_t size, struct err *err);

#endif
