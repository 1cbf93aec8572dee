/*
 * A growable byte buffer that is born with its maximum: nothing from outside can make it larger.
 *
 * The bytes are always followed by a 0, so text can be read as a C string. Growing past the maximum or
 * running out of memory sets `failed`; later appends are then ignored, and the one check at the end
 * (buf_check) reports it. So code that builds text reads without an `if` per line.
 */
#ifndef BIFURCATED_BASE_BUF_H
#define BIFURCATED_BASE_BUF_H

#include "daemon/base/err.h"

#include <stddef.h>

struct buf {
    char *data;      /* NULL until the first append; size bytes and a 0 */
    size_t size;     /* bytes in use, without the 0 */
    size_t capacity; /* bytes allocated */
    size_t max;      /* size may not exceed this */
    int failed;      /* ERR_OK, ERR_LIMIT or ERR_NO_MEMORY */
};

/* An empty buffer; allocates nothing. */
void buf_init(struct buf *buf, size_t max);

/* Frees; the buffer is empty and usable again afterwards. NULL is allowed. */
void buf_free(struct buf *buf);

/* Forgets the content, keeps the memory, clears `failed`. */
void buf_clear(struct buf *buf);

/* Each returns 0 or buf->failed. */
int buf_append(struct buf *buf, const void *data, size_t size);
int buf_append_text(struct buf *buf, const char *text);
int buf_append_char(struct buf *buf, char c);
int buf_appendf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for `size` more bytes and returns where they go (then add to buf->size), or NULL. */
char *buf_reserve(struct buf *buf, size_t size);

/* The content as text; "" for an empty buffer. Borrowed until the next change. */
const char *buf_text(const struct buf *buf);

/* Turns `failed` into an error that names `what`. */
int buf_check(const struct buf *buf, const char *what, struct err *err);

/* Hands the memory to the caller, who frees it with free(); the buffer is empty afterwards. NULL if failed.
 */
char *buf_take(struct buf *buf);

#endif
