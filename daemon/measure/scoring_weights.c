#include "daemon/measure/scoring_weights.h"

#include "daemon/measure/location.h"
#include "daemon/measure/scoring_identity.h"
#include "daemon/measure/tensor_digests.h"
#include "daemon/measure/tensor_reader.h"
#include "daemon/model/role.h"
#include "daemon/sweep/revision_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORED_NAME_BYTES (2 * SCORE_NAME_BYTES)
#define COMPARED_BYTES ((size_t)1 << 20)

/* -- Where they lie -------------------------------------------------------------------------------- */

static int has_file(void *context, const char *name)
{
    const struct scoring_request *request = context;
    return repository_tree_find(request->tree, name) != NULL;
}

static int open_file(void *context, const char *name, struct source **ret_source, struct err *err)
{
    const struct scoring_request *request = context;
    return repository_open_file(request->repository, request->tree->commit, name,
                                repository_tree_find(request->tree, name), ret_source, err);
}

static int holds_name(const struct checkpoint *checkpoint, const char *name)
{
    size_t i = 0, count = checkpoint_name_count(checkpoint);
    while (i < count && strcmp(checkpoint_name(checkpoint, i), name) != 0)
        i++;
    return i < count;
}

/* A model that was saved by the class without a head has names without the prefix that this class gives it.
 */
static void find_names(struct scoring_weights *weights, const struct score_architecture *architecture)
{
    const char *prefix = architecture->prefix ? architecture->prefix : "";
    const char *embedding = architecture->names[SCORE_ROLE_EMBEDDING];
    weights->left_out = !holds_name(weights->checkpoint, embedding) &&
                                holds_name(weights->checkpoint, embedding + strlen(prefix))
                            ? prefix
                            : "";
    const char *wrapped = weights->left_out[0] ? NULL : model_role_find_name(weights->checkpoint, embedding);
    const size_t size = wrapped ? strlen(wrapped) - strlen(embedding) : 0;
    /* A language model that is a part of another one is none by itself. */
    if (wrapped && size < sizeof weights->wrapper && !strstr(wrapped, "language_model."))
        (void)snprintf(weights->wrapper, sizeof weights->wrapper, "%.*s", (int)size, wrapped);
}

/* What the files call a tensor of the family's name. */
static const char *stored_name(const struct scoring_weights *weights, const char *name, char *stored)
{
    size_t size = strlen(weights->left_out);
    (void)snprintf(stored, STORED_NAME_BYTES, "%s%s", weights->wrapper,
                   strncmp(name, weights->left_out, size) == 0 ? name + size : name);
    return stored;
}

static int locate_tensor(struct scoring_weights *weights, enum score_role role, uint64_t number,
                         struct err *err)
{
    char name[SCORE_NAME_BYTES], stored[STORED_NAME_BYTES];
    struct checkpoint_tensor *located = &weights->located[weights->count];
    struct score_tensor *tensor = &weights->tensors[weights->count];
    score_tensor_name(weights->config, role, number, name);
    if (!name[0])
        return 0;
    int code = checkpoint_find(weights->checkpoint, stored_name(weights, name, stored), located, err);
    if (code)
        return code;
    if (!(tensor->name = strdup(name)))
        return err_set(err, ERR_NO_MEMORY, "no memory for a tensor's name");
    tensor->view.dtype = located->dtype;
    tensor->view.shape = located->shape;
    weights->size_bytes += located->size_bytes;
    weights->count++;
    return 0;
}

/* Layers that config.json leaves out would go unused, and the perplexity would be another model's. (Of layers
 * that it has too many, the tensors are missed by name.) */
static int check_layers(const struct scoring_weights *weights, struct err *err)
{
    uint64_t found = 0, wanted = weights->config->layer_count;
    const size_t wrapper_size = strlen(weights->wrapper);
    for (size_t i = 0; i < checkpoint_name_count(weights->checkpoint); i++) {
        const char *name = checkpoint_name(weights->checkpoint, i);
        if (strncmp(name, weights->wrapper, wrapper_size) != 0)
            continue;
        uint64_t layers = score_name_layers(weights->config, name + wrapper_size);
        found = layers > found ? layers : found;
    }
    if (found <= wanted)
        return 0;
    return err_set(err, ERR_FORMAT,
                   "config.json says that there are %llu layers, but the weights have %llu: one of them is "
                   "not this model's",
                   (unsigned long long)wanted, (unsigned long long)found);
}

/* Two tensors of a torch file that are one. */
static int is_one(const struct checkpoint_tensor *a, const struct checkpoint_tensor *b)
{
    const char *first = a->same_as ? a->same_as : a->name, *second = b->same_as ? b->same_as : b->name;
    return strcmp(first, second) == 0;
}

/* Reads both, piece by piece. */
static int compare_tensors(const struct scoring_weights *weights, const struct checkpoint_tensor *a,
                           const struct checkpoint_tensor *b, int *ret_differ, struct err *err)
{
    unsigned char *pieces = malloc((size_t)2 * COMPARED_BYTES);
    int code = pieces ? 0 : err_set(err, ERR_NO_MEMORY, "no memory to compare two tensors");
    *ret_differ = a->dtype != b->dtype || a->size_bytes != b->size_bytes;
    for (uint64_t at = 0; !code && !*ret_differ && at < a->size_bytes; at += COMPARED_BYTES) {
        size_t size = a->size_bytes - at < COMPARED_BYTES ? (size_t)(a->size_bytes - at) : COMPARED_BYTES;
        if (weights->request->cancel && atomic_load(weights->request->cancel))
            code = err_set(err, ERR_CANCELLED, "comparing two tensors was cancelled");
        else if (!(code = checkpoint_read_range(weights->checkpoint, a, at, pieces, size, err)) &&
                 !(code =
                       checkpoint_read_range(weights->checkpoint, b, at, pieces + COMPARED_BYTES, size, err)))
            *ret_differ = memcmp(pieces, pieces + COMPARED_BYTES, size) != 0;
    }
    free(pieces);
    return code;
}

/* Of a tied model whose file holds another unembedding, transformers 4 scores with the input embedding and 5
 * with the other one. Equal copies are common: so the numbers count. */
static int check_tie(const struct scoring_weights *weights, const struct score_architecture *architecture,
                     struct err *err)
{
    struct checkpoint_tensor input, output;
    struct err absent = ERR_INIT;
    int differ = 0;
    if (!weights->config->is_tied)
        return 0;
    char input_name[STORED_NAME_BYTES], output_name[STORED_NAME_BYTES];
    (void)stored_name(weights, architecture->names[SCORE_ROLE_EMBEDDING], input_name);
    (void)snprintf(output_name, sizeof output_name, "%s%s", weights->wrapper,
                   architecture->names[SCORE_ROLE_UNEMBEDDING]);
    int code = checkpoint_find(weights->checkpoint, output_name, &output, &absent);
    if (code == ERR_NOT_FOUND)
        return 0;
    if (code) {
        *err = absent;
        return code;
    }
    if ((code = checkpoint_find(weights->checkpoint, input_name, &input, err)))
        return code;
    if (!is_one(&input, &output) && (code = compare_tensors(weights, &input, &output, &differ, err)))
        return code;
    return differ ? err_set(err, ERR_UNSUPPORTED,
                            "tie_word_embeddings of config.json is true, and %s is another matrix than %s: "
                            "transformers' versions take one or the other; mend it, or leave the metric "
                            "perplexity out of the sweep",
                            output_name, input_name)
                  : 0;
}

int scoring_weights_open(struct scoring_weights *ret_weights, const struct scoring_request *request,
                         const struct score_config *config, struct err *err)
{
    struct scoring_weights *weights = ret_weights;
    struct checkpoint_files files = {
        .has = has_file, .open = open_file, .context = (void *)(uintptr_t)request};
    const size_t max = (size_t)score_tensor_count_max(config);
    const struct score_architecture *architecture;
    *weights = (struct scoring_weights){.request = request, .config = config};
    int code = score_architecture_find(config->architecture, &architecture, err);
    if (code || (code = checkpoint_open(&files, &weights->checkpoint, err)))
        return code;
    find_names(weights, architecture);
    if ((code = check_layers(weights, err)) || (code = check_tie(weights, architecture, err)))
        return code;
    weights->tensors = calloc(max, sizeof *weights->tensors);
    weights->located = calloc(max, sizeof *weights->located);
    weights->owned = calloc(max, sizeof *weights->owned);
    if (!weights->tensors || !weights->located || !weights->owned)
        return err_set(err, ERR_NO_MEMORY, "no memory for a table of tensors");
    for (int role = 0; role < SCORE_ROLE_COUNT && !code; role++) {
        const uint64_t count = score_role_count(config, (enum score_role)role);
        for (uint64_t number = 0; number < count && !code; number++)
            code = locate_tensor(weights, (enum score_role)role, number, err);
    }
    return code;
}

/* -- Their bytes ----------------------------------------------------------------------------------- */

/* A reading under way: what is left to read, and who hashes what is there. */
struct fetch {
    struct scoring_weights *weights;
    struct tensor_digests *digests; /* or NULL */
    struct tensor_read *reads;      /* [count] */
    size_t *tensor_of;              /* [count] which tensor each is */
    size_t count;
    char (*known)[DIGEST_SHA256_HEX_SIZE]; /* [of all tensors] digests, or "" */
    size_t added;                          /* tensors that were handed to be hashed: they are in order */
};

static void hash_until(struct fetch *fetch, size_t end)
{
    const struct scoring_weights *weights = fetch->weights;
    for (; fetch->digests && fetch->added < end; fetch->added++) {
        if (fetch->known[fetch->added][0])
            tensor_digests_add_known(fetch->digests, fetch->known[fetch->added]);
        else
            tensor_digests_add(fetch->digests, weights->tensors[fetch->added].view.data,
                               (size_t)weights->located[fetch->added].size_bytes);
    }
}

static void take(void *context, size_t index)
{
    struct fetch *fetch = context;
    size_t tensor = fetch->tensor_of[index];
    fetch->weights->tensors[tensor].view.data = fetch->reads[index].data;
    hash_until(fetch, tensor + 1);
}

static struct pooled_tensor *find_in_pool(const struct scoring_weights *weights, size_t i)
{
    const struct scoring_request *request = weights->request;
    const struct checkpoint_tensor *located = &weights->located[i];
    const struct repository_file *file = repository_tree_find(request->tree, located->file);
    char key[LOCATION_KEY_SIZE];
    if (!request->pool || !file)
        return NULL;
    const char *digest = located->is_spread ? "" : file->sha256[0] ? file->sha256 : file->git_oid;
    location_write_key(key, digest, request->repository->name, request->tree->commit, located->file,
                       located->name);
    const struct tensor_request wanted = {
        .key = key, .dtype = located->dtype, .shape = located->shape, .size_bytes = located->size_bytes};
    return tensor_pool_find(request->pool, &wanted);
}

/* Copies a tensor that is in the pool; leaves the others to be read. */
static int copy_from_pool(struct fetch *fetch, size_t i, struct err *err)
{
    struct scoring_weights *weights = fetch->weights;
    const struct scoring_request *request = weights->request;
    struct pooled_tensor *pooled = find_in_pool(weights, i);
    if (!pooled)
        return 0;
    const struct tensor_read read = {
        .tensor = &weights->located[i], .copy_of = pooled->data, .data = weights->owned[i]};
    int code = tensor_reader_run(&read, 1, request->read_threads, request->cancel, NULL, NULL, err);
    (void)snprintf(fetch->known[i], sizeof fetch->known[i], "%s", pooled->digest);
    tensor_pool_release(request->pool, pooled);
    if (!code)
        weights->tensors[i].view.data = weights->owned[i];
    return code;
}

static int make_room(struct scoring_weights *weights, size_t i, struct err *err)
{
    uint64_t size_bytes = weights->located[i].size_bytes;
    free(weights->owned[i]); /* of a reading that failed */
    if (!(weights->owned[i] = malloc((size_t)size_bytes + 1)))
        return err_set(err, ERR_NO_MEMORY, "no memory for the %llu bytes of tensor %s",
                       (unsigned long long)size_bytes, weights->tensors[i].name);
    return 0;
}

/* Takes what is in memory, mapped or in the pool; makes room for the others, and announces them. */
static int prepare(struct fetch *fetch, struct err *err)
{
    struct scoring_weights *weights = fetch->weights;
    for (size_t i = 0; i < weights->count; i++) {
        const struct checkpoint_tensor *located = &weights->located[i];
        struct score_tensor *tensor = &weights->tensors[i];
        if (tensor->view.data || (tensor->view.data = checkpoint_map(weights->checkpoint, located)))
            continue;
        int code = make_room(weights, i, err);
        if (code || (code = copy_from_pool(fetch, i, err)))
            return code;
        if (tensor->view.data)
            continue;
        checkpoint_will_need(weights->checkpoint, located);
        fetch->tensor_of[fetch->count] = i;
        fetch->reads[fetch->count++] = (struct tensor_read){
            .checkpoint = weights->checkpoint, .tensor = located, .data = weights->owned[i]};
    }
    return 0;
}

/* Brings all into memory; `digests`, or NULL, gets each as soon as it is there. */
static int fetch_tensors(struct scoring_weights *weights, struct tensor_digests *digests, struct err *err)
{
    const struct scoring_request *request = weights->request;
    struct fetch fetch = {.weights = weights,
                          .digests = digests,
                          .reads = calloc(weights->count + 1, sizeof *fetch.reads),
                          .tensor_of = calloc(weights->count + 1, sizeof *fetch.tensor_of),
                          .known = calloc(weights->count + 1, sizeof *fetch.known)};
    int code = fetch.reads && fetch.tensor_of && fetch.known
                   ? prepare(&fetch, err)
                   : err_set(err, ERR_NO_MEMORY, "no memory for a table of tensors");
    if (!code)
        code = tensor_reader_run(fetch.reads, fetch.count, request->read_threads, request->cancel, take,
                                 &fetch, err);
    if (!code)
        hash_until(&fetch, weights->count);
    free(fetch.reads);
    free(fetch.tensor_of);
    free(fetch.known);
    return code;
}

int scoring_weights_fetch(struct scoring_weights *weights, struct err *err)
{
    return fetch_tensors(weights, NULL, err);
}

/* Reads all weights, and hashes what is there while the rest comes. */
static int fetch_and_digest(struct scoring_weights *weights, struct tensor_digests **ret_digests,
                            struct err *err)
{
    struct tensor_digests *digests = NULL;
    int code = tensor_digests_new(weights->count, weights->size_bytes, weights->request->digest_threads,
                                  weights->request->cancel, &digests, err);
    if (!code)
        code = fetch_tensors(weights, digests, err);
    if (!code)
        code = tensor_digests_finish(digests, err);
    if (code) {
        tensor_digests_free(digests);
        return code;
    }
    *ret_digests = digests;
    return 0;
}

int scoring_weights_digest(struct scoring_weights *weights, char *hex, struct err *err)
{
    struct tensor_digests *digests = NULL;
    int code = 0;
    if (!scoring_identity_knows_files(weights))
        code = fetch_and_digest(weights, &digests, err);
    if (!code)
        code = scoring_identity_digest_weights(weights, digests, hex, err);
    tensor_digests_free(digests);
    return code;
}

static int is_among(const struct revision_file_row *files, size_t count, const char *path)
{
    while (count && strcmp(files[count - 1].path, path) != 0)
        count--;
    return count != 0;
}

int scoring_weights_list_files(const struct scoring_weights *weights, struct revision_file_row **ret_files,
                               size_t *ret_count, struct err *err)
{
    struct revision_file_row *files = NULL;
    size_t count = 0;
    for (size_t i = 0; i < weights->count && count < LIMIT_CLAIM_FILES; i++) {
        const char *path = weights->located[i].file;
        const struct repository_file *file = repository_tree_find(weights->request->tree, path);
        if (!file || is_among(files, count, path))
            continue;
        struct revision_file_row *more = realloc(files, (count + 1) * sizeof *files);
        if (!more) {
            free(files);
            return err_set(err, ERR_NO_MEMORY, "files of the weights: out of memory");
        }
        files = more;
        count += revision_source_row_of(file, &files[count]) != 0;
    }
    *ret_files = files;
    *ret_count = count;
    return 0;
}

void scoring_weights_close(struct scoring_weights *weights)
{
    for (size_t i = 0; weights->owned && i < weights->count; i++)
        free(weights->owned[i]);
    for (size_t i = 0; weights->tensors && i < weights->count; i++)
        free((void *)(uintptr_t)weights->tensors[i].name);
    free(weights->owned);
    free(weights->tensors);
    free(weights->located);
    checkpoint_close(weights->checkpoint);
    *weights = (struct scoring_weights){.request = NULL};
}
