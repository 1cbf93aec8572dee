#include "daemon/measure/location.h"

#include "daemon/hub/hub.h"
#include "daemon/measure/tensor_reader.h"
#include "gpu/statistics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void location_write_key(char key[LOCATION_KEY_SIZE], const char *file_digest, const char *repository,
                        const char *commit, const char *file, const char *tensor)
{
    if (file_digest[0])
        (void)snprintf(key, LOCATION_KEY_SIZE, "%s:%s", file_digest, tensor);
    else
        (void)snprintf(key, LOCATION_KEY_SIZE, "%.40s:%s:%s:%s", commit, repository, file, tensor);
}

static void name_key(struct location *location)
{
    location_write_key(location->key, location->file_digest, location->context->repository->name,
                       location->revision.commit, location->file, location->tensor);
}

static int take_content(struct location *location, const struct content_row *content, const char *file,
                        const char *file_digest, struct err *err)
{
    enum tensor_dtype dtype;
    int code = tensor_dtype_parse(content->dtype, &dtype, err);
    if (code)
        return code;
    location->dtype = dtype;
    location->shape.ndim = 2;
    location->shape.dim[0] = (uint64_t)content->rows;
    location->shape.dim[1] = (uint64_t)content->columns;
    location->size_bytes = (uint64_t)content->size_bytes;
    location->content = *content;
    location->is_content_known = 1;
    (void)snprintf(location->file, sizeof location->file, "%s", file);
    (void)snprintf(location->file_digest, sizeof location->file_digest, "%s", file_digest);
    name_key(location);
    return 0;
}

/* Asks the store; ERR_NOT_FOUND if nothing is known. */
static int find_measured(struct location *location, struct err *err)
{
    struct revision_tensor_row row;
    int code = contents_find_by_revision(location->context->store, location->revision.id, location->tensor,
                                         &row, err);
    return code ? code : take_content(location, &row.content, row.file_path, row.file_digest, err);
}

static const char *name_at(void *context, size_t index)
{
    return ((const struct repository_tree *)context)->files[index].path;
}

/* Asks the store whether a file that the checkpoint is read from was seen elsewhere, by its digest. */
static int find_by_digest(struct location *location, struct err *err)
{
    struct repository_tree *tree = location->source.tree;
    const struct weight_layout *layout = revision_source_layout(&location->source);
    size_t count = weight_layout_is_told(layout, name_at, tree->count, tree) ? tree->count : 0;
    for (size_t i = 0; i < count; i++) {
        struct content_row content;
        const char *path = tree->files[i].path;
        const char *digest = tree->files[i].sha256; /* of whole content; git's id of a pointer is no such */
        if (!digest[0] || !weight_layout_has(layout, path))
            continue;
        int code = contents_find_by_file(location->context->store, digest, location->tensor, &content, err);
        if (code == 0)
            return take_content(location, &content, path, digest, err);
        if (code != ERR_NOT_FOUND)
            return code;
    }
    return err_set(err, ERR_NOT_FOUND, "no file of this revision was seen before");
}

static int read_header(struct location *location, struct located_tensor *found, struct err *err)
{
    struct checkpoint_tensor tensor;
    int code = 0;
    if (!location->checkpoint)
        code = revision_source_open_checkpoint(&location->source, &location->checkpoint, err);
    if (!code)
        code = checkpoint_find(location->checkpoint, location->tensor, &tensor, err);
    if (code)
        return code;
    *found = (struct located_tensor){.revision_id = location->revision.id,
                                     .dtype = tensor.dtype,
                                     .shape = tensor.shape,
                                     .size_bytes = tensor.size_bytes};
    (void)snprintf(found->tensor, sizeof found->tensor, "%s", location->tensor);
    (void)snprintf(found->file, sizeof found->file, "%s", tensor.file);
    if (!tensor.is_spread)
        (void)snprintf(found->file_digest, sizeof found->file_digest, "%s",
                       revision_source_digest(&location->source, tensor.file));
    return 0;
}

static int open_source(struct location *location, struct err *err)
{
    if (location->is_source_open)
        return 0;
    int code = revision_source_open_weights(&location->source, location->context->store,
                                            location->context->repository, &location->revision, err);
    location->is_source_open = code == 0;
    return code;
}

static int refuse_file(const struct location *location, struct err *err)
{
    return err_set(err, ERR_TIMEOUT, "%s is not read again, since an earlier attempt hung", location->tensor);
}

/* What the store said of the bytes is held against the header. */
static int read_checkpoint(struct location *location, void *data, uint64_t size_bytes, struct err *err)
{
    struct checkpoint_tensor tensor = {0};
    int code = location->context->is_wary ? refuse_file(location, err) : open_source(location, err);
    if (!code && !location->checkpoint)
        code = revision_source_open_checkpoint(&location->source, &location->checkpoint, err);
    if (!code)
        code = checkpoint_find(location->checkpoint, location->tensor, &tensor, err);
    if (!code && (tensor.size_bytes != size_bytes || tensor.dtype != location->dtype))
        code =
            err_set(err, ERR_MISMATCH, "%s: %s has %" PRIu64 " bytes of %s where %" PRIu64 " of %s were seen",
                    tensor.file, location->tensor, tensor.size_bytes, tensor_dtype_name(tensor.dtype),
                    size_bytes, tensor_dtype_name(location->dtype));
    if (code)
        return code;
    /* Not cancelled by one task, since others may wait for it. */
    const struct tensor_read read = {.checkpoint = location->checkpoint, .tensor = &tensor, .data = data};
    return tensor_reader_run(&read, 1, 0, NULL, NULL, NULL, err);
}

/* Of a folder that has it no more, what was kept of it. */
static int load(void *context, void *data, uint64_t size_bytes, struct err *err)
{
    struct location *location = context;
    struct references *references = location->context->references;
    int code = read_checkpoint(location, data, size_bytes, err);
    if (!code || code == ERR_CANCELLED || !references || !location->is_content_known ||
        !references_read(references, location->content.digest, data, size_bytes))
        return code;
    *err = (struct err)ERR_INIT;
    return 0;
}

struct tensor_request location_request(struct location *location)
{
    return (struct tensor_request){
        .key = location->key,
        .dtype = location->dtype,
        .shape = location->shape,
        .size_bytes = location->size_bytes,
        .load = load,
        .context = location,
    };
}

static void take_located(struct location *location, const struct located_tensor *found)
{
    location->dtype = found->dtype;
    location->shape = found->shape;
    location->size_bytes = found->size_bytes;
    memcpy(location->file, found->file, sizeof location->file);
    memcpy(location->file_digest, found->file_digest, sizeof location->file_digest);
    name_key(location);
}

/* Brings the tensor into the pool, which keeps it for those who need it next. */
static int prefetch(struct location *location, struct err *err)
{
    const struct location_context *context = location->context;
    struct tensor_request request = location_request(location);
    struct pooled_tensor *tensor = NULL;
    int code = 0;
    if (tensor_pool_acquire(context->pool, &request, 1, context->cancel, &tensor, &code, err))
        return err_set(err, ERR_CANCELLED, "the task was cancelled");
    tensor_pool_release(context->pool, tensor);
    return code;
}

/* By the header, which one of several tasks that need it reads. */
static int find_in_checkpoint(struct location *location, struct err *err)
{
    struct location_cache *cache = location->context->cache;
    struct keyed_lock own = {.number = location->revision.id, .name = location->tensor};
    struct located_tensor found;
    int code = location_cache_lock(cache, &own, location->context->cancel, err);
    if (code)
        return code;
    if (location_cache_get(cache, location->revision.id, location->tensor, &found)) {
        take_located(location, &found);
    } else {
        code = read_header(location, &found, err);
        if (!code) {
            take_located(location, &found);
            location_cache_put(cache, &found);
            /* What cannot be measured is refused by the caller, and not fetched. */
            if (statistics_is_supported(location->dtype))
                code = prefetch(location, err);
        }
    }
    location_cache_unlock(cache, &own);
    return code;
}

int location_open(struct location *location, const struct location_context *context,
                  const struct revision_row *revision, const char *tensor, struct err *err)
{
    *location = (struct location){.context = context, .revision = *revision};
    (void)snprintf(location->tensor, sizeof location->tensor, "%s", tensor);
    int code = find_measured(location, err);
    if (code == ERR_NOT_FOUND)
        code = context->is_wary ? refuse_file(location, err) : open_source(location, err);
    if (!code && !location->is_content_known)
        code = find_by_digest(location, err);
    if (code == ERR_NOT_FOUND && location->is_source_open)
        code = find_in_checkpoint(location, err);
    if (code)
        return err_wrap(err, "revision %s", revision->name);
    *err = (struct err)ERR_INIT;
    return 0;
}

void location_close(struct location *location)
{
    checkpoint_close(location->checkpoint);
    location->checkpoint = NULL;
    if (location->is_source_open)
        revision_source_close(&location->source);
    location->is_source_open = 0;
}

void location_forget_ranges(const struct location *location)
{
    struct repository *repository = location->context->repository;
    const struct repository_tree *tree = location->is_source_open ? location->source.tree : NULL;
    hub_forget_ranges(repository, location->file_digest);
    for (size_t i = 0; !location->file_digest[0] && tree && i < tree->count; i++)
        hub_forget_ranges(repository, revision_source_digest(&location->source, tree->files[i].path));
}
