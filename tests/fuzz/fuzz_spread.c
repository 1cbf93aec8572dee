/*
 * Tensors that are put together from chunks: a tensor of any shape, cut along its axes, and what may be wrong
 * with metadata and files. Without faults it must be read right, whole and in ranges, from this machine's
 * disk and over the network, with metadata that is parsed or shared; with some, refused or read right, or
 * where they can make another tensor of it, read alike each time. (Metadata of any bytes is
 * fuzz_chunk_index.c's.)
 *
 * Input: switches, number of dimensions, their lengths, where each is cut (a bit for each element), number of
 * files; then faults of four bytes each: which, where, and two of what.
 */
#include "daemon/checkpoint/checkpoint.h"
#include "tests/fuzz/spread_sample.h"

#define FAULTS_MAX 8
#define RANGES 6

/* -- The folder as a checkpoint reads it ----------------------------------------------------------------- */

static struct buf *find(struct sample *sample, const char *name)
{
    int number = 0;
    if (strcmp(name, ".metadata") == 0)
        return &sample->metadata;
    char path[32];
    for (; number < sample->file_count; number++) {
        (void)snprintf(path, sizeof path, "__%d_0.distcp", number);
        if (number != sample->hidden && strcmp(path, name) == 0)
            return &sample->files[number];
    }
    return NULL;
}

static int has(void *context, const char *name)
{
    return find(context, name) != NULL;
}

/* One whose ranges are fetched: not read by several threads at once. */
struct fetched {
    struct source source, *inner;
};

static int fetched_read(struct source *source, uint64_t offset, void *data, size_t size, struct err *err)
{
    return source_read(((struct fetched *)source)->inner, offset, data, size, err);
}

static void fetched_close(struct source *source)
{
    source_close(((struct fetched *)source)->inner);
    free(source);
}

static int open_one(void *context, const char *name, struct source **ret_source, struct err *err)
{
    static const struct source_ops ops = {.read = fetched_read, .close = fetched_close};
    struct sample *sample = context;
    const struct buf *content = find(sample, name);
    struct source *inner = NULL;
    require(content != NULL); /* only what is there is opened */
    int code = source_open_memory(name, content->data, content->size, &inner, err);
    *ret_source = inner;
    if (code || !sample->is_fetched)
        return code;
    struct fetched *fetched = malloc(sizeof *fetched);
    require(fetched != NULL);
    fetched->source = (struct source){.ops = &ops, .name = inner->name, .size_bytes = inner->size_bytes};
    fetched->inner = inner;
    *ret_source = &fetched->source;
    return 0;
}

/* -- What is read ---------------------------------------------------------------------------------------- */

static void check_ranges(struct checkpoint *checkpoint, const struct checkpoint_tensor *tensor,
                         const unsigned char *whole, uint64_t seed)
{
    const size_t size = (size_t)tensor->size_bytes;
    unsigned char *some = malloc(size + 1);
    require(some != NULL);
    for (int i = 0; i < RANGES && size; i++) {
        struct err err = ERR_INIT;
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        const size_t from = (size_t)(seed >> 33) % size, length = (size_t)(seed >> 13) % (size - from + 1);
        require(!checkpoint_read_range(checkpoint, tensor, from, some, length, &err));
        require(memcmp(some, whole + from, length) == 0);
    }
    free(some);
}

/* Reads the tensor; NULL: it was refused, which it must not be without a fault. */
static unsigned char *read_whole(const struct sample *sample, struct checkpoint *checkpoint, uint64_t seed,
                                 size_t *ret_size)
{
    struct checkpoint_tensor tensor;
    struct err err = ERR_INIT;
    unsigned char *data = NULL;
    if (!checkpoint_name_count(checkpoint) ||
        checkpoint_find(checkpoint, checkpoint_name(checkpoint, 0), &tensor, &err) ||
        tensor.size_bytes > 8 * ELEMENTS_MAX) {
        require(sample->is_spoilt);
        return NULL;
    }
    *ret_size = (size_t)tensor.size_bytes;
    require((data = malloc(*ret_size + 1)) != NULL);
    if (checkpoint_read(checkpoint, &tensor, data, *ret_size, &err) == 0) {
        check_ranges(checkpoint, &tensor, data, seed);
        return data;
    }
    require(sample->is_spoilt);
    free(data);
    return NULL;
}

static void check_right(const struct sample *sample, const unsigned char *data, size_t size)
{
    require(size == (size_t)sample->elements * (size_t)sample->element_bytes);
    for (int64_t i = 0; i < sample->elements; i++) {
        unsigned char wanted[8];
        put_element(wanted, i, sample->element_bytes);
        require(memcmp(data + i * sample->element_bytes, wanted, (size_t)sample->element_bytes) == 0);
    }
}

/* From the disk, then over the network while the first is open. */
static void check(struct sample *sample)
{
    static unsigned long number;
    char content[32];
    (void)snprintf(content, sizeof content, "%lu", ++number);
    struct checkpoint_files files = {.has = has, .open = open_one, .context = sample};
    struct checkpoint *checkpoints[2] = {NULL, NULL};
    unsigned char *data[2] = {NULL, NULL};
    size_t sizes[2] = {0, 0};
    files.content = sample->switches & IS_SHARED ? content : NULL;
    for (int i = 0; i < 2; i++) {
        struct err err = ERR_INIT;
        sample->is_fetched = i;
        if (checkpoint_open(&files, &checkpoints[i], &err)) {
            require(sample->is_spoilt);
            continue;
        }
        require(!checkpoint_check_files(checkpoints[i], &err) || sample->is_spoilt);
        data[i] = read_whole(sample, checkpoints[i], number, &sizes[i]);
    }
    require(!data[0] == !data[1] && sizes[0] == sizes[1]);
    require(!data[0] || memcmp(data[0], data[1], sizes[0]) == 0);
    if (data[0] && !sample->is_other)
        check_right(sample, data[0], sizes[0]);
    for (int i = 0; i < 2; i++) {
        checkpoint_close(checkpoints[i]);
        free(data[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sample sample;
    read_sample(&data, &size, &sample);
    const size_t faults = size / 4 < FAULTS_MAX ? size / 4 : FAULTS_MAX;
    buf_init(&sample.metadata, MIB);
    for (int i = 0; i < sample.file_count; i++)
        buf_init(&sample.files[i], MIB);
    for (int i = 0; i < sample.chunk_count; i++) {
        if (sample.chunks[i].is_stored)
            put_chunk(&sample, &sample.chunks[i], sample.switches & IS_TURNED && i % 2);
    }
    for (size_t i = 0; i < faults; i++)
        spoil(&sample, data + 4 * i, 0);
    put_metadata(&sample);
    for (size_t i = 0; i < faults; i++)
        spoil(&sample, data + 4 * i, 1);
    check(&sample);
    buf_free(&sample.metadata);
    for (int i = 0; i < sample.file_count; i++)
        buf_free(&sample.files[i]);
    return 0;
}
