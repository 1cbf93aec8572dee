/*
 * What the readers of a distributed checkpoint's metadata share. Private to chunk_*.c.
 */
#ifndef BIFURCATED_CHECKPOINT_CHUNK_PARTS_H
#define BIFURCATED_CHECKPOINT_CHUNK_PARTS_H

#include "daemon/checkpoint/chunk_index.h"
#include "daemon/checkpoint/pickle.h"

/* A text of the pickle; NULL: it is none. */
struct chunk_text {
    const char *bytes;
    size_t size;
};

/* An entry of storage_data: the chunk of a tensor that begins at a place. */
struct chunk_stored {
    struct chunk_text tensor, file;
    uint64_t begin, length; /* in the file */
    uint64_t offset[LIMIT_TENSOR_DIMS];
    int ndim; /* -1: it is the only one of its tensor, and begins where that does */
    int is_transformed;
};

struct chunk_reader {
    const struct pickle *pickle;
    struct chunk_index *index;
    struct chunk_stored *stored; /* sorted by tensor and place */
    size_t stored_count;
    size_t chunk_count; /* of all tensors so far */
    struct err *err;
};

/* -- Values of the pickle: chunk_field.c -- */

struct chunk_text chunk_field_text(const struct chunk_reader *reader, struct pickle_value value);
int chunk_field_compare(struct chunk_text a, struct chunk_text b);

/* Whether a value is an instance of the class of this name. */
int chunk_field_is_record(const struct chunk_reader *reader, struct pickle_value value, const char *class);

/* A record's state, and one of its fields; NONE: it has none. */
struct pickle_value chunk_field_state(const struct chunk_reader *reader, struct pickle_value record);
struct pickle_value chunk_field_of(const struct chunk_reader *reader, struct pickle_value record,
                                   const char *name);

/* What stands under a text in a small dict; NONE: nothing. */
struct pickle_value chunk_field_item(const struct chunk_reader *reader, struct pickle_value dict,
                                     const char *name);

/* A torch.Size, or a list in its place; `what` begins the message where it is neither. */
int chunk_field_read_size(const struct chunk_reader *reader, struct pickle_value value, const char *what,
                          uint64_t *numbers, int *ret_ndim);

/* -- Where the chunks are stored: chunk_storage.c -- */

/* Reads storage_data, and from it the files of the index. */
int chunk_storage_read(struct chunk_reader *reader, struct pickle_value dict);

/* The entry of a chunk, or NULL. */
const struct chunk_stored *chunk_storage_find(const struct chunk_reader *reader, struct chunk_text tensor,
                                              const uint64_t *offset, int ndim);

/* The number of an entry's file. */
size_t chunk_storage_file(const struct chunk_reader *reader, const struct chunk_stored *stored);

#endif
