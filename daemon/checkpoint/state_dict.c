#include "daemon/checkpoint/state_dict.h"

#include "daemon/base/buf.h"
#include "daemon/base/checked.h"
#include "daemon/base/limits.h"
#include "daemon/checkpoint/pickle.h"
#include "daemon/checkpoint/tensor_name.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One object on the way from the root to a tensor. */
struct level {
    uint32_t object;
    int is_dict;
    uint32_t next;      /* the item to be seen next */
    size_t prefix_size; /* of the name up to here */
};

struct walk {
    const struct pickle *pickle;
    struct state_dict *state_dict;
    size_t capacity; /* of its tensors */
    struct level levels[LIMIT_PICKLE_NESTING];
    int depth;
    size_t visit_count;
    struct buf name;
    struct err *err;
};

/* An item's own name on its level. */
static struct pickle_value key_of(const struct walk *walk, const struct level *level, uint32_t item)
{
    if (level->is_dict)
        return walk->pickle->objects[level->object].items[item];
    return (struct pickle_value){.kind = PICKLE_KIND_INTEGER, .integer = item};
}

/* Puts a key, text or a number, behind the present prefix. */
static int append_key(struct walk *walk, const struct level *level, struct pickle_value key)
{
    if (level->prefix_size)
        (void)buf_append_char(&walk->name, '.');
    if (key.kind == PICKLE_KIND_TEXT)
        (void)buf_append(&walk->name, walk->pickle->data + key.text.offset, key.text.size);
    else
        (void)buf_appendf(&walk->name, "%" PRId64, key.integer);
    return buf_check(&walk->name, "the name of a tensor", walk->err);
}

/* Room for one more tensor. One tensor may have several names, so that their number is not known before. */
static int make_room(struct walk *walk)
{
    struct state_dict *state_dict = walk->state_dict;
    if (state_dict->count == LIMIT_TENSORS)
        return err_set(walk->err, ERR_LIMIT, "more than the limit of %d tensors", LIMIT_TENSORS);
    if (state_dict->count < walk->capacity)
        return 0;
    size_t capacity = walk->capacity ? walk->capacity * 2 : 64;
    struct state_dict_tensor *tensors = realloc(state_dict->tensors, capacity * sizeof *tensors);
    if (!tensors)
        return err_set(walk->err, ERR_NO_MEMORY, "out of memory");
    state_dict->tensors = tensors;
    walk->capacity = capacity;
    return 0;
}

/* Describes a tensor that is read here. */
static int describe(struct walk *walk, uint32_t index, struct state_dict_tensor *ret_tensor)
{
    const struct pickle_tensor *tensor = &walk->pickle->tensors[index];
    const struct pickle_storage *storage = &walk->pickle->storages[tensor->storage];
    *ret_tensor = (struct state_dict_tensor){
        .dtype = tensor->dtype,
        .shape = tensor->shape,
        .offset = tensor->offset,
        .storage_bytes = storage->element_count,
    };
    memcpy(ret_tensor->stride, tensor->stride, sizeof ret_tensor->stride);
    memcpy(ret_tensor->storage_key, walk->pickle->data + storage->key.offset, storage->key.size);
    if (storage->is_typed && checked_mul_u64(storage->element_count, tensor_dtype_bits(storage->dtype) / 8,
                                             &ret_tensor->storage_bytes))
        return err_set(walk->err, ERR_FORMAT, "the size of a storage overflows");
    return 0;
}

static int add_tensor(struct walk *walk, struct pickle_value value)
{
    struct state_dict *state_dict = walk->state_dict;
    int code = tensor_name_check(buf_text(&walk->name), walk->name.size, walk->err);
    if (!code)
        code = make_room(walk);
    if (code)
        return code;
    struct state_dict_tensor *added = &state_dict->tensors[state_dict->count];
    *added = (struct state_dict_tensor){0};
    if (value.kind == PICKLE_KIND_FOREIGN)
        added->foreign = value.foreign;
    else
        code = describe(walk, value.index, added);
    if (code)
        return code;
    added->name = strdup(buf_text(&walk->name));
    if (!added->name)
        return err_set(walk->err, ERR_NO_MEMORY, "out of memory");
    state_dict->count++;
    return 0;
}

/* Goes into a dictionary, list or tuple that has items; other values are none of ours. */
static int enter(struct walk *walk, struct pickle_value value)
{
    int is_dict = value.kind == PICKLE_KIND_DICT;
    if (!is_dict && value.kind != PICKLE_KIND_LIST && value.kind != PICKLE_KIND_TUPLE)
        return 0;
    if (walk->depth == LIMIT_PICKLE_NESTING)
        return err_set(walk->err, ERR_LIMIT, "the state dict is nested deeper than the limit of %d",
                       LIMIT_PICKLE_NESTING);
    walk->levels[walk->depth++] =
        (struct level){.object = value.index, .is_dict = is_dict, .prefix_size = walk->name.size};
    return 0;
}

/* Sees one item of the innermost level, or leaves that level. Objects may share others through the memo, so
 * the number of visits is bounded on its own: 16 levels of 1000 references each would never end. */
static int step(struct walk *walk)
{
    struct level *level = &walk->levels[walk->depth - 1];
    const struct pickle_object *object = &walk->pickle->objects[level->object];
    walk->name.size = level->prefix_size;
    if (level->next >= object->count) {
        walk->depth--;
        return 0;
    }
    if (++walk->visit_count > LIMIT_PICKLE_ITEMS)
        return err_set(walk->err, ERR_LIMIT, "more than the limit of %d items", LIMIT_PICKLE_ITEMS);
    uint32_t item = level->next;
    level->next += level->is_dict ? 2 : 1;
    struct pickle_value value = object->items[level->is_dict ? item + 1 : item];
    struct pickle_value key = key_of(walk, level, item);
    int is_tensor = value.kind == PICKLE_KIND_TENSOR || value.kind == PICKLE_KIND_FOREIGN;
    if (!is_tensor && value.kind != PICKLE_KIND_DICT && value.kind != PICKLE_KIND_LIST &&
        value.kind != PICKLE_KIND_TUPLE)
        return 0;
    if (key.kind != PICKLE_KIND_TEXT && key.kind != PICKLE_KIND_INTEGER)
        return 0; /* nobody could name what lies there */
    int code = append_key(walk, level, key);
    if (code)
        return code;
    return is_tensor ? add_tensor(walk, value) : enter(walk, value);
}

static int compare_names(const void *a, const void *b)
{
    const struct state_dict_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int sort_tensors(struct state_dict *state_dict, struct err *err)
{
    if (state_dict->count)
        qsort(state_dict->tensors, state_dict->count, sizeof *state_dict->tensors, compare_names);
    for (size_t i = 1; i < state_dict->count; i++) {
        if (strcmp(state_dict->tensors[i - 1].name, state_dict->tensors[i].name) == 0)
            return err_set(err, ERR_FORMAT, "two tensors are named %.200s", state_dict->tensors[i].name);
    }
    return 0;
}

/* A tensor, to be sorted by what it is a view of. */
struct view {
    const struct state_dict_tensor *tensor;
};

static int compare_views(const struct state_dict_tensor *x, const struct state_dict_tensor *y)
{
    int order = strcmp(x->storage_key, y->storage_key);
    if (!order)
        order = (x->offset > y->offset) - (x->offset < y->offset);
    if (!order)
        order = (x->dtype > y->dtype) - (x->dtype < y->dtype);
    if (!order)
        order = (x->shape.ndim > y->shape.ndim) - (x->shape.ndim < y->shape.ndim);
    for (int i = 0; i < (int)x->shape.ndim && !order; i++) {
        order = (x->shape.dim[i] > y->shape.dim[i]) - (x->shape.dim[i] < y->shape.dim[i]);
        if (!order)
            order = (x->stride[i] > y->stride[i]) - (x->stride[i] < y->stride[i]);
    }
    return order;
}

/* Of equal ones the first name comes first. */
static int compare_views_and_places(const void *a, const void *b)
{
    const struct state_dict_tensor *x = ((const struct view *)a)->tensor,
                                   *y = ((const struct view *)b)->tensor;
    int order = compare_views(x, y);
    return order ? order : (x > y) - (x < y);
}

/* Tied weights are one tensor under two names. */
static int find_shared(struct state_dict *state_dict, struct err *err)
{
    size_t count = state_dict->count;
    struct view *views = calloc(count + 1, sizeof *views);
    if (!views)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        views[i].tensor = &state_dict->tensors[i];
    qsort(views, count, sizeof *views, compare_views_and_places);
    for (size_t i = 0, first = 0; i < count; i++) {
        if (views[i].tensor->foreign || views[first].tensor->foreign ||
            compare_views(views[i].tensor, views[first].tensor) != 0)
            first = i;
        state_dict->tensors[views[i].tensor - state_dict->tensors].first =
            (size_t)(views[first].tensor - state_dict->tensors);
    }
    free(views);
    return 0;
}

/* What stands under a name in a dict; NONE: nothing. */
static struct pickle_value item_of(const struct walk *walk, struct pickle_value dict, const char *name)
{
    if (dict.kind == PICKLE_KIND_DICT) {
        const struct pickle_object *object = &walk->pickle->objects[dict.index];
        for (uint32_t i = 0; i + 1 < object->count; i += 2) {
            const struct pickle_value key = object->items[i];
            if (key.kind == PICKLE_KIND_TEXT && key.text.size == strlen(name) &&
                memcmp(walk->pickle->data + key.text.offset, name, key.text.size) == 0)
                return object->items[i + 1];
        }
    }
    return (struct pickle_value){.kind = PICKLE_KIND_NONE};
}

/* The number that stands under a name in a dict; 0: none does. */
static int64_t number_in(const struct walk *walk, struct pickle_value dict, const char *name)
{
    const struct pickle_value value = item_of(walk, dict, name);
    return value.kind == PICKLE_KIND_INTEGER && value.integer > 0 ? value.integer : 0;
}

/* Megatron keeps its options in a Namespace, GPT-NeoX in a dict. */
static void read_told(const struct walk *walk, struct state_dict_told *told)
{
    const struct pickle_value root = walk->pickle->root;
    struct pickle_value options = item_of(walk, root, "args");
    if (options.kind == PICKLE_KIND_RECORD && walk->pickle->objects[options.index].count > 1)
        options = walk->pickle->objects[options.index].items[1];
    told->rank_count = number_in(walk, root, "mp_world_size");
    told->tensor_ranks = number_in(walk, options, "tensor_model_parallel_size");
    if (!told->tensor_ranks)
        told->tensor_ranks = number_in(walk, options, "model_parallel_size");
    told->pipeline_ranks = number_in(walk, options, "pipeline_model_parallel_size");
    told->padded_rows = number_in(walk, options, "padded_vocab_size");
}

/* All tensors below the root. */
static int walk_all(struct walk *walk, enum state_dict_form form)
{
    const struct pickle_value root = walk->pickle->root;
    const int is_tensor = root.kind == PICKLE_KIND_TENSOR || root.kind == PICKLE_KIND_FOREIGN;
    int code = 0;
    if (form == STATE_DICT_FORM_TENSOR && is_tensor) {
        (void)buf_append_text(&walk->name, STATE_DICT_ROOT);
        return add_tensor(walk, root);
    }
    if (form == STATE_DICT_FORM_TENSOR)
        return err_set(walk->err, ERR_UNSUPPORTED, "it holds something else than a tensor");
    if (root.kind != PICKLE_KIND_DICT)
        return err_set(walk->err, ERR_UNSUPPORTED, "the file holds something else than a state dict");
    if (form == STATE_DICT_FORM_TRAINER)
        read_told(walk, &walk->state_dict->told);
    code = enter(walk, root);
    while (!code && walk->depth)
        code = step(walk);
    return code;
}

int state_dict_parse(const void *data, size_t size, enum state_dict_form form,
                     struct state_dict **ret_state_dict, struct err *err)
{
    const enum pickle_dialect dialect =
        form == STATE_DICT_FORM_TRAINER ? PICKLE_DIALECT_TRAINER : PICKLE_DIALECT_PLAIN;
    struct pickle *pickle = NULL;
    struct state_dict *state_dict = NULL;
    struct walk walk = {.err = err};
    buf_init(&walk.name, LIMIT_TENSOR_NAME_BYTES);
    int code = pickle_load(data, size, dialect, &pickle, err);
    if (code)
        goto out;
    state_dict = calloc(1, sizeof *state_dict);
    if (!state_dict) {
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
        goto out;
    }
    walk.pickle = pickle;
    walk.state_dict = state_dict;
    code = walk_all(&walk, form);
    if (!code)
        code = sort_tensors(state_dict, err);
    if (!code)
        code = find_shared(state_dict, err);
    if (code)
        goto out;
    *ret_state_dict = state_dict;
    state_dict = NULL;
out:
    buf_free(&walk.name);
    state_dict_free(state_dict);
    pickle_free(pickle);
    return code;
}

void state_dict_free(struct state_dict *state_dict)
{
    if (!state_dict)
        return;
    for (size_t i = 0; i < state_dict->count; i++)
        free(state_dict->tensors[i].name);
    free(state_dict->tensors);
    free(state_dict);
}
