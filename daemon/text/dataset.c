#include "daemon/text/dataset.h"

#include "daemon/base/buf.h"
#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/text/unpack.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLOCK_BYTES ((size_t)64 * 1024)

struct dataset {
    struct source *source;
    struct unpack *unpack;
    enum dataset_kind kind;
    char *field;
    uint64_t limit; /* texts; 0 is all */
    const atomic_bool *cancel;
    uint64_t text_count;
    uint64_t line;   /* of the text or error at hand */
    int is_at_end;   /* no more bytes come */
    struct buf text; /* a line, or the whole file */
    json_t *object;  /* holds the present text of a JSONL file */
    size_t begin;    /* unpacked bytes [begin, end) of block are not used yet */
    size_t end;
    char block[BLOCK_BYTES];
};

static const struct {
    enum dataset_kind kind;
    const char *name;
} kinds[] = {
    {DATASET_KIND_AUTO, "auto"},
    {DATASET_KIND_JSONL, "jsonl"},
    {DATASET_KIND_TEXT, "text"},
};

/* -- Life ------------------------------------------------------------------------------------------------ */

static int ends_with(const char *name, size_t size, const char *end)
{
    size_t end_size = strlen(end);
    return size >= end_size && strncasecmp(name + size - end_size, end, end_size) == 0;
}

static enum dataset_kind kind_of_name(const char *name)
{
    static const char *const packings[] = {".gz", ".zst", ".zstd"};
    static const char *const json_lines[] = {".jsonl", ".ndjson", ".json"};
    size_t size = strlen(name);
    for (size_t i = 0; i < sizeof packings / sizeof packings[0]; i++) {
        if (ends_with(name, size, packings[i])) {
            size -= strlen(packings[i]);
            break;
        }
    }
    for (size_t i = 0; i < sizeof json_lines / sizeof json_lines[0]; i++) {
        if (ends_with(name, size, json_lines[i]))
            return DATASET_KIND_JSONL;
    }
    return DATASET_KIND_TEXT;
}

enum dataset_kind dataset_kind_resolve(enum dataset_kind kind, const char *name)
{
    return kind == DATASET_KIND_AUTO ? kind_of_name(name) : kind;
}

int dataset_open(struct source *source, const struct dataset_options *options, struct dataset **ret_dataset,
                 struct err *err)
{
    struct dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    dataset->source = source;
    dataset->kind = dataset_kind_resolve(options ? options->kind : DATASET_KIND_AUTO, source->name);
    dataset->limit = options ? options->limit : 0;
    dataset->cancel = options ? options->cancel : NULL;
    buf_init(&dataset->text,
             dataset->kind == DATASET_KIND_TEXT ? LIMIT_TEXT_BYTES : LIMIT_DATASET_LINE_BYTES);
    dataset->field = strdup(options && options->field ? options->field : "text");
    int code = dataset->field ? 0 : err_set(err, ERR_NO_MEMORY, "%s: out of memory", source->name);
    if (!code)
        code = unpack_new(source, &dataset->unpack, err);
    if (code) {
        dataset_close(dataset);
        return code;
    }
    *ret_dataset = dataset;
    return 0;
}

void dataset_close(struct dataset *dataset)
{
    if (!dataset)
        return;
    unpack_free(dataset->unpack);
    json_decref(dataset->object);
    buf_free(&dataset->text);
    free(dataset->field);
    free(dataset);
}

/* -- Reading --------------------------------------------------------------------------------------- */

/* Makes [begin, end) nonempty, or sets is_at_end. */
static int fill(struct dataset *dataset, struct err *err)
{
    if (dataset->begin < dataset->end || dataset->is_at_end)
        return 0;
    if (dataset->cancel && atomic_load(dataset->cancel))
        return err_set(err, ERR_CANCELLED, "%s: reading was cancelled", dataset->source->name);
    size_t count;
    if (unpack_read(dataset->unpack, dataset->block, BLOCK_BYTES, &count, err))
        return err->code;
    dataset->begin = 0;
    dataset->end = count;
    dataset->is_at_end = count == 0;
    return 0;
}

/* Reads a line without its '\n' into text. *ret_is_line is 0 at the end of the file. */
static int read_line(struct dataset *dataset, int *ret_is_line, struct err *err)
{
    buf_clear(&dataset->text);
    *ret_is_line = 0;
    for (;;) {
        if (fill(dataset, err))
            return err->code;
        if (dataset->is_at_end)
            break;
        if (!*ret_is_line)
            dataset->line++;
        *ret_is_line = 1;
        const char *begin = dataset->block + dataset->begin;
        const char *newline = memchr(begin, '\n', dataset->end - dataset->begin);
        size_t size = newline ? (size_t)(newline - begin) : dataset->end - dataset->begin;
        (void)buf_append(&dataset->text, begin, size);
        dataset->begin += size + (newline != NULL);
        if (dataset->text.failed || newline)
            break;
    }
    if (buf_check(&dataset->text, "line", err))
        return err_wrap(err, "%s: line %" PRIu64, dataset->source->name, dataset->line);
    return 0;
}

static int is_blank(const struct buf *line)
{
    for (size_t i = 0; i < line->size; i++) {
        /* Three characters without the final 0. NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
        if (!memchr(" \t\r", line->data[i], 3))
            return 0;
    }
    return 1;
}

static int parse_object(struct dataset *dataset, const char *line, size_t size, const char **ret_text,
                        size_t *ret_size, struct err *err)
{
    json_decref(dataset->object);
    dataset->object = NULL;
    if (json_bound_check(line, size, LIMIT_DATASET_LINE_VALUES, LIMIT_DATASET_LINE_CONTAINERS, err))
        return err->code;
    /* As reals, numbers beyond 64 bits (hashes beside the text) are none of our concern. */
    dataset->object = json_text_parse(line, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, err);
    if (!dataset->object)
        return err->code;
    if (!json_is_object(dataset->object))
        return err_set(err, ERR_FORMAT, "not a JSON object");
    const json_t *value = json_object_get(dataset->object, dataset->field);
    if (!value)
        return err_set(err, ERR_FORMAT, "no field \"%s\"", dataset->field);
    if (!json_is_string(value))
        return err_set(err, ERR_FORMAT, "field \"%s\" is not a string", dataset->field);
    *ret_text = json_string_value(value);
    *ret_size = json_string_length(value);
    return 0;
}

static int next_json_line(struct dataset *dataset, const char **ret_text, size_t *ret_size, struct err *err)
{
    int is_line;
    const char *line;
    size_t size;
    do {
        if (read_line(dataset, &is_line, err))
            return err->code;
        if (!is_line)
            return 0;
        line = buf_text(&dataset->text);
        size = dataset->text.size;
        if (dataset->line == 1 && size >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) { /* byte order mark */
            line += 3;
            size -= 3;
        }
    } while (is_blank(&dataset->text));
    if (parse_object(dataset, line, size, ret_text, ret_size, err))
        return err_wrap(err, "%s: line %" PRIu64, dataset->source->name, dataset->line);
    return 0;
}

static int next_whole(struct dataset *dataset, const char **ret_text, size_t *ret_size, struct err *err)
{
    if (dataset->text_count)
        return 0;
    for (;;) {
        if (fill(dataset, err))
            return err->code;
        if (dataset->is_at_end)
            break;
        (void)buf_append(&dataset->text, dataset->block + dataset->begin, dataset->end - dataset->begin);
        dataset->begin = dataset->end;
        if (buf_check(&dataset->text, dataset->source->name, err))
            return err->code;
    }
    *ret_text = buf_text(&dataset->text);
    *ret_size = dataset->text.size;
    return 0;
}

int dataset_next(struct dataset *dataset, const char **ret_text, size_t *ret_size, struct err *err)
{
    const char *text = NULL;
    size_t size = 0;
    int code = 0;
    if (dataset->limit == 0 || dataset->text_count < dataset->limit) {
        if (dataset->kind == DATASET_KIND_JSONL)
            code = next_json_line(dataset, &text, &size, err);
        else
            code = next_whole(dataset, &text, &size, err);
    }
    if (code)
        return code;
    if (text)
        dataset->text_count++;
    *ret_text = text;
    *ret_size = size;
    return 0;
}

int dataset_digest(struct dataset *dataset, char *hex, struct err *err)
{
    return unpack_digest(dataset->unpack, dataset->cancel, hex, err);
}

/* -- Names ---------------------------------------------------------------------------------------------- */

const char *dataset_kind_name(enum dataset_kind kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind == kind)
            return kinds[i].name;
    }
    return "unknown";
}
