/*
 * checkpoint_probe PATH...: lists every tensor of each file or folder, with the SHA-256 of its contiguous
 * bytes, for tests that compare with other readers. One line of JSON per path: {"tensors": [...]}, or
 * {"error": code, "message": text}. The bytes are read whole, in odd ranges and in place, and must agree.
 */
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/checkpoint/checkpoint.h"
#include "tests/tools/one_file.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RANGE_BYTES 4097

static int folder_has(void *context, const char *name)
{
    char *path = file_join(context, name);
    int has = path && file_exists(path);
    free(path);
    return has;
}

static int folder_open(void *context, const char *name, struct source **ret_source, struct err *err)
{
    char *path = file_join(context, name);
    if (!path)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = source_open_file(path, ret_source, err);
    free(path);
    return code;
}

static int open_checkpoint(char *path, struct checkpoint **ret_checkpoint, struct err *err)
{
    struct stat status;
    struct source *source = NULL;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        struct checkpoint_files files = {.has = folder_has, .open = folder_open, .context = path};
        return checkpoint_open(&files, ret_checkpoint, err);
    }
    int code = source_open_file(path, &source, err);
    const char *ending = strrchr(path, '.');
    const int is_torch = !ending || strcmp(ending, ".safetensors") != 0;
    return code ? code
                : one_file_open(is_torch ? "pytorch_model.bin" : "model.safetensors", source, ret_checkpoint,
                                err);
}

static int digest_tensor(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor, char *hex,
                         struct err *err)
{
    size_t size = (size_t)tensor->size_bytes;
    unsigned char *whole = malloc(size + 1), *parts = malloc(size + 1);
    const void *map = NULL;
    int code = ERR_NO_MEMORY;
    if (!whole || !parts) {
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    code = checkpoint_read(checkpoint, tensor, whole, size, err);
    for (size_t at = 0; !code && at < size; at += RANGE_BYTES) {
        size_t part = size - at < RANGE_BYTES ? size - at : RANGE_BYTES;
        code = checkpoint_read_range(checkpoint, tensor, at, parts + at, part, err);
    }
    map = checkpoint_map(checkpoint, tensor);
    if (!code && (memcmp(whole, parts, size) != 0 || (map && memcmp(map, whole, size) != 0)))
        code = err_set(err, ERR_INTERNAL, "%s: ranges, mapping and whole differ", tensor->name);
    if (!code)
        code = digest_sha256_hex(whole, size, hex, err);
out:
    free(whole);
    free(parts);
    return code;
}

static int describe(struct checkpoint *checkpoint, json_t *list, struct err *err)
{
    for (size_t i = 0; i < checkpoint_name_count(checkpoint); i++) {
        struct checkpoint_tensor tensor;
        char hex[DIGEST_SHA256_HEX_SIZE];
        int code = checkpoint_find(checkpoint, checkpoint_name(checkpoint, i), &tensor, err);
        if (code == ERR_UNSUPPORTED) { /* of this tensor alone */
            (void)json_array_append_new(list, json_pack("{s:s, s:s}", "name", checkpoint_name(checkpoint, i),
                                                        "refused", err->message));
            continue;
        }
        if (!code)
            code = digest_tensor(checkpoint, &tensor, hex, err);
        if (code)
            return code;
        json_t *shape = json_array();
        for (int axis = 0; axis < tensor.shape.ndim; axis++)
            (void)json_array_append_new(shape, json_integer((json_int_t)tensor.shape.dim[axis]));
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:o, s:I, s:s, s:b, s:s}", "name", tensor.name, "dtype",
                            tensor_dtype_safetensors_name(tensor.dtype), "shape", shape, "size_bytes",
                            (json_int_t)tensor.size_bytes, "file", tensor.file, "is_contiguous",
                            tensor.is_contiguous, "sha256", hex));
    }
    return 0;
}

/* Prints the line of one path; returns nonzero if it cannot be printed. */
static int probe(char *path)
{
    struct err err = ERR_INIT;
    struct checkpoint *checkpoint = NULL;
    json_t *list = json_array();
    json_t *line = NULL;
    int code = open_checkpoint(path, &checkpoint, &err);
    if (!code)
        code = describe(checkpoint, list, &err);
    if (code)
        line = json_pack("{s:s, s:s}", "error", err_name(code), "message", err.message);
    else
        line = json_pack("{s:O}", "tensors", list);
    int failed = json_dumpf(line, stdout, JSON_COMPACT);
    failed |= putchar('\n') == EOF;
    json_decref(line);
    json_decref(list);
    checkpoint_close(checkpoint);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: checkpoint_probe PATH...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (probe(argv[i]))
            return 1;
    }
    return 0;
}
