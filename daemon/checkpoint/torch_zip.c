#include "daemon/checkpoint/torch_zip.h"

#include "daemon/base/limits.h"
#include "daemon/checkpoint/archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Read behind data.pkl: its header's padding and the small records (byteorder and the like) that follow it.
 */
#define HEAD_SLACK_BYTES (2 * KIB)

#define VERSION_MAX 10 /* kMaxSupportedFileFormatVersion of caffe2/serialize/versions.h */

struct torch_zip {
    struct source *source;
    struct archive *archive;
    struct state_dict *state_dict;
};

/* The first bytes of what else is called pytorch_model.bin. */
static const struct {
    size_t offset, size;
    const char *bytes;
    int code;
    const char *what;
} relatives[] = {
    {0, 14, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", ERR_UNSUPPORTED,
     "a torch file of the format before 1.6; load it with torch and save it again, or use a safetensors "
     "file"},
    {257, 5, "ustar", ERR_UNSUPPORTED,
     "a torch file of the tar format, which is not safe to read; load it with torch and save it again"},
    {0, 2, "\x80\x02", ERR_UNSUPPORTED, "a bare pickle; load it with its program and save it as safetensors"},
    {0, 2, "\x1f\x8b", ERR_UNSUPPORTED, "gzip data; decompress it first"},
    {0, 30, "version https://git-lfs.github", ERR_UNSUPPORTED,
     "a Git LFS pointer, not the file itself; fetch it with git lfs"},
    {0, 4, "GGUF", ERR_UNSUPPORTED, "a GGUF file, which is not read"},
    {0, 1, "<", ERR_UNSUPPORTED, "a web page, not a checkpoint"},
};

/* Replaces the message about a file that is no archive by one that says what it is, if it is known. */
static int explain(struct source *source, struct err *err)
{
    unsigned char head[512];
    struct err ignored = ERR_INIT;
    size_t size = source->size_bytes < sizeof head ? (size_t)source->size_bytes : sizeof head;
    if (err->code != ERR_FORMAT || source_read(source, 0, head, size, &ignored))
        return err->code;
    for (size_t i = 0; i < sizeof relatives / sizeof relatives[0]; i++) {
        if (relatives[i].offset + relatives[i].size <= size &&
            memcmp(head + relatives[i].offset, relatives[i].bytes, relatives[i].size) == 0)
            return err_set(err, relatives[i].code, "%s: %s", source->name, relatives[i].what);
    }
    return err->code;
}

/* Reads a small record as text without white space at its end; "" if there is none. */
static int read_text(struct torch_zip *torch_zip, const char *name, char *text, size_t size, struct err *err)
{
    struct archive_record *record = archive_find(torch_zip->archive, name);
    text[0] = 0;
    if (!record || record->size_bytes == 0)
        return 0;
    if (record->size_bytes >= size)
        return err_set(err, ERR_FORMAT, "%s: the record %s has %" PRIu64 " bytes, far too many",
                       torch_zip->source->name, name, record->size_bytes);
    size_t length = (size_t)record->size_bytes;
    int code = archive_locate(torch_zip->archive, record, err);
    if (!code)
        code = archive_read(torch_zip->archive, record->offset, text, length, err);
    if (code)
        return code;
    while (length && (text[length - 1] == '\n' || text[length - 1] == ' '))
        length--;
    text[length] = 0;
    return 0;
}

static int check_kind(struct torch_zip *torch_zip, struct err *err)
{
    const char *source_name = torch_zip->source->name;
    char text[64];
    int code = read_text(torch_zip, "byteorder", text, sizeof text, err);
    if (code)
        return code;
    if (text[0] && strcmp(text, "little") != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: the bytes are in %.20s-endian order", source_name, text);
    code = read_text(torch_zip, "version", text, sizeof text, err);
    if (code)
        return code;
    if (!text[0])
        code = read_text(torch_zip, ".data/version", text, sizeof text, err);
    if (code)
        return code;
    char *end = text;
    long version = strtol(text, &end, 10);
    if (end == text || *end || version < 1 || version > VERSION_MAX)
        return err_set(err, ERR_UNSUPPORTED, "%s: format version \"%.20s\"; 1 to %d are read", source_name,
                       text, VERSION_MAX);
    return 0;
}

static int read_state_dict(struct torch_zip *torch_zip, struct archive_record *record,
                           enum state_dict_form form, struct err *err)
{
    const char *source_name = torch_zip->source->name;
    if (record->size_bytes > LIMIT_PICKLE_BYTES)
        return err_set(err, ERR_LIMIT, "%s: data.pkl of %" PRIu64 " bytes exceeds the limit of %zu",
                       source_name, record->size_bytes, LIMIT_PICKLE_BYTES);
    size_t size = (size_t)record->size_bytes;
    unsigned char *data = malloc(size ? size : 1);
    if (!data)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source_name);
    int code = archive_prefetch(torch_zip->archive, record, HEAD_SLACK_BYTES, err);
    if (!code)
        code = archive_locate(torch_zip->archive, record, err);
    if (!code)
        code = archive_read(torch_zip->archive, record->offset, data, size, err);
    if (!code && state_dict_parse(data, size, form, &torch_zip->state_dict, err))
        code = err_wrap(err, "%s: data.pkl", source_name);
    free(data);
    return code;
}

static struct archive_record *storage_record(struct torch_zip *torch_zip,
                                             const struct state_dict_tensor *tensor)
{
    char name[STATE_DICT_KEY_SIZE + 8];
    (void)snprintf(name, sizeof name, "data/%s", tensor->storage_key);
    return archive_find(torch_zip->archive, name);
}

/* Each storage's record must have exactly its size (CVE-2026-24747: torch before 2.10 trusted the pickle). */
static int check_storages(struct torch_zip *torch_zip, struct err *err)
{
    for (size_t i = 0; i < torch_zip->state_dict->count; i++) {
        const struct state_dict_tensor *tensor = &torch_zip->state_dict->tensors[i];
        if (tensor->foreign)
            continue;
        const struct archive_record *record = storage_record(torch_zip, tensor);
        if (!record)
            return err_set(err, ERR_FORMAT, "%s: tensor %.200s: there is no record data/%s",
                           torch_zip->source->name, tensor->name, tensor->storage_key);
        if (record->size_bytes != tensor->storage_bytes)
            return err_set(err, ERR_FORMAT,
                           "%s: tensor %.200s: the record data/%s has %" PRIu64
                           " bytes where its storage needs %" PRIu64,
                           torch_zip->source->name, tensor->name, tensor->storage_key, record->size_bytes,
                           tensor->storage_bytes);
    }
    return 0;
}

int torch_zip_open(struct source *source, enum state_dict_form form, struct torch_zip **ret_torch_zip,
                   struct err *err)
{
    struct torch_zip *torch_zip = calloc(1, sizeof *torch_zip);
    if (!torch_zip)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    torch_zip->source = source;
    int code = archive_open(source, &torch_zip->archive, err);
    if (code) {
        code = explain(source, err);
        goto out;
    }
    struct archive_record *pickle = archive_find(torch_zip->archive, "data.pkl");
    if (archive_find(torch_zip->archive, "constants.pkl")) {
        code =
            err_set(err, ERR_UNSUPPORTED,
                    "%s: a TorchScript archive, which holds a program; export its state dict", source->name);
        goto out;
    }
    if (!pickle) {
        code =
            err_set(err, ERR_FORMAT, "%s: a zip archive without data.pkl, not of torch.save", source->name);
        goto out;
    }
    code = read_state_dict(torch_zip, pickle, form, err);
    if (!code)
        code = check_kind(torch_zip, err);
    if (!code)
        code = check_storages(torch_zip, err);
    if (code)
        goto out;
    *ret_torch_zip = torch_zip;
    torch_zip = NULL;
out:
    torch_zip_close(torch_zip);
    return code;
}

void torch_zip_close(struct torch_zip *torch_zip)
{
    if (!torch_zip)
        return;
    archive_close(torch_zip->archive);
    state_dict_free(torch_zip->state_dict);
    free(torch_zip);
}

const struct state_dict *torch_zip_state_dict(const struct torch_zip *torch_zip)
{
    return torch_zip->state_dict;
}

int torch_zip_locate(struct torch_zip *torch_zip, const struct state_dict_tensor *tensor,
                     uint64_t *ret_offset, struct err *err)
{
    struct archive_record *record = storage_record(torch_zip, tensor);
    int code = archive_locate(torch_zip->archive, record, err);
    if (code)
        return code;
    *ret_offset = record->offset + tensor->offset * (tensor_dtype_bits(tensor->dtype) / 8);
    return 0;
}

int torch_zip_read(struct torch_zip *torch_zip, uint64_t offset, void *data, size_t size, struct err *err)
{
    return archive_read(torch_zip->archive, offset, data, size, err);
}
