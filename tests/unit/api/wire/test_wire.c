/*
 * Results of remote workers: what is written is read again bit by bit, and a catalogue of bad input is
 * refused with the member named.
 */
#include "tests/unit/api/wire/wire_check.h"

#include "store/blob.h"

#include <jansson.h>
#include <stdlib.h>

static void write_result(const struct wire_result *result, struct buf *buf)
{
    buf_init(buf, LIMIT_CLAIM_RESULT_BYTES);
    OK(wire_result_append(result, buf, &err));
}

static void check_displacement(const struct task_displacement *a, const struct task_displacement *b)
{
    assert_int_equal(a->link, b->link);
    assert_string_equal(a->reference->digest, b->reference->digest);
    assert_int_equal(a->reference->rows, b->reference->rows);
    assert_int_equal(a->reference_revision_id, 0);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->rows[i].row_set, b->rows[i].row_set);
        assert_int_equal(a->rows[i].elements, b->rows[i].elements);
#define X(name) assert_true(same(a->rows[i].name, b->rows[i].name));
        DISPLACEMENT_REALS(X)
#undef X
    }
}

static void check_large(const struct task_tensor *a, const struct wire_sample *sample)
{
    static uint64_t counts[DISTRIBUTION_CODES];
    double reals[2 * SAMPLE_COLUMNS];
    float values[SAMPLE_TOKEN_ROWS * SAMPLE_COLUMNS];
    for (size_t i = 0; i < 4; i++) {
        const struct packed_values *packed = &a->distributions[i].packed;
        assert_string_equal(a->distributions[i].code, sample->distributions[i].code);
        OK(blob_decode_counts(packed->data, packed->size, BLOB_ENCODING, packed->size_raw, counts,
                              DISTRIBUTION_CODES, &err));
        assert_memory_equal(counts, sample->counts[i], sizeof counts);
    }
    for (size_t i = 0; i < 2; i++) {
        const struct packed_values *packed = &a->columns[i].packed;
        OK(blob_decode_reals(packed->data, packed->size, BLOB_ENCODING, packed->size_raw, reals,
                             2 * SAMPLE_COLUMNS, sizeof(double), &err));
        assert_memory_equal(reals, sample->means[i], sizeof sample->means[i]);
        assert_memory_equal(reals + SAMPLE_COLUMNS, sample->bimodalities[i], sizeof sample->bimodalities[i]);
    }
    const struct packed_values *packed = &a->samples[0].packed;
    OK(blob_decode_reals(packed->data, packed->size, BLOB_ENCODING, packed->size_raw, values,
                         COUNT_OF(values), sizeof(float), &err));
    assert_memory_equal(values, sample->values, sizeof values);
    assert_int_equal(a->samples[0].seed, SAMPLE_SEED);
}

static void test_result_round_trip(void **state)
{
    (void)state;
    struct wire_sample *sample = new_sample();
    struct wire_result result;
    struct buf buf, again;
    write_result(&sample->result, &buf);
    OK(wire_result_parse(buf_text(&buf), buf.size, &result, &err));
    assert_int_equal(result.result.tensor_count, 1);
    const struct task_tensor *tensor = &result.result.tensors[0];
    assert_string_equal(tensor->tensor, "embed_out.weight");
    assert_string_equal(tensor->content.digest, SAMPLE_CONTENT);
    assert_string_equal(tensor->file_digest, SAMPLE_FILE);
    assert_int_equal(tensor->fetched_bytes, 1234);
    for (size_t i = 0; i < 4; i++)
        check_statistics(&tensor->statistics[i], &sample->statistics[i]);
    for (size_t i = 0; i < 2; i++)
        check_displacement(&tensor->displacements[i], &sample->displacements[i]);
    check_large(tensor, sample);
    const struct perplexity_row *perplexity = &result.result.perplexities[0];
    assert_true(same(perplexity->perplexity, (double)INFINITY));
    assert_true(isnan(perplexity->perplexity_stderr));
    assert_true(same(perplexity->accuracy, 0.1));
    assert_string_equal(perplexity->parameters, "{\"limit\":10}");
    assert_string_equal(perplexity->weights_digest, sample->perplexity.weights_digest);
    assert_int_equal(result.result.scored_file_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(result.result.scored_files[i].path, sample->scored_files[i].path);
        assert_string_equal(result.result.scored_files[i].digest, sample->scored_files[i].digest);
    }
    assert_string_equal(result.result.caution, sample->result.result.caution);
    assert_false(result.has_model);
    /* And what was read is written as it was. */
    write_result(&result, &again);
    assert_int_equal(again.size, buf.size);
    assert_memory_equal(again.data, buf.data, buf.size);
    wire_result_free(&result);
    buf_free(&again);
    buf_free(&buf);
    free(sample);
}

/* -- Bad results -- */

/* Reads the line of a result, lets `change` spoil it, and expects a refusal with `code` whose words hold
 * `words`. */
static void check_refused(void (*change)(json_t *root), enum err_code code, const char *words)
{
    struct wire_sample *sample = new_sample();
    struct wire_result result;
    struct err err = ERR_INIT;
    struct buf buf, bad;
    write_result(&sample->result, &buf);
    size_t head = (size_t)((const char *)memchr(buf.data, '\n', buf.size) - buf.data);
    json_t *root = json_loadb(buf.data, head, 0, NULL);
    change(root);
    char *line = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17));
    buf_init(&bad, LIMIT_CLAIM_RESULT_BYTES);
    buf_append_text(&bad, line);
    buf_append(&bad, buf.data + head, buf.size - head);
    int given = wire_result_parse(buf_text(&bad), bad.size, &result, &err);
    if (given != (int)code || !strstr(err.message, words))
        fail_msg("%s (%s) instead of %s with \"%s\"", err_name(given), err.message, err_name((int)code),
                 words);
    wire_result_free(&result);
    free(line);
    json_decref(root);
    buf_free(&bad);
    buf_free(&buf);
    free(sample);
}

static json_t *tensor_of(json_t *root)
{
    return json_array_get(json_object_get(root, "tensors"), 0);
}

static json_t *row_of(json_t *root, const char *list, size_t index)
{
    return json_array_get(json_object_get(tensor_of(root), list), index);
}

static void spoil_protocol(json_t *root)
{
    json_object_set_new(root, "protocol", json_integer(99));
}
static void add_member(json_t *root)
{
    json_object_set_new(row_of(root, "statistics", 1), "colour", json_true());
}
static void null_count(json_t *root)
{
    json_object_set_new(row_of(root, "statistics", 0), "nan_count", json_null());
}
static void negative_count(json_t *root)
{
    json_object_set_new(row_of(root, "statistics", 3), "zero_count", json_integer(-1));
}
static void too_many_odd(json_t *root)
{
    json_object_set_new(row_of(root, "statistics", 0), "nan_count", json_integer(24));
}
static void other_elements(json_t *root)
{
    json_object_set_new(row_of(root, "statistics", 0), "elements", json_integer(23));
}
static void text_for_number(json_t *root)
{
    json_object_set_new(row_of(root, "statistics", 2), "mean", json_string("1e9"));
}
static void no_minimum(json_t *root)
{
    json_object_set_new(row_of(root, "statistics", 0), "minimum", json_null());
}
static void no_mean_at_all(json_t *root)
{
    json_object_del(row_of(root, "statistics", 0), "mean");
}
static void rows_beyond(json_t *root)
{
    json_object_set_new(row_of(root, "statistics", 2), "token_rows", json_integer(7));
}
static void bad_digest(json_t *root)
{
    json_object_set_new(json_object_get(tensor_of(root), "content"), "digest", json_string("ABC"));
}
static void huge_shape(json_t *root)
{
    json_t *content = json_object_get(tensor_of(root), "content");
    json_object_set_new(content, "rows", json_integer(INT64_C(1) << 40));
    json_object_set_new(content, "columns", json_integer(INT64_C(1) << 40));
}
static void control_characters(json_t *root)
{
    json_object_set_new(tensor_of(root), "file", json_string("a\nb"));
}
static void twice_linked(json_t *root)
{
    json_object_set_new(row_of(root, "displacements", 1), "link", json_string("first"));
}
static void no_displacement(json_t *root)
{
    json_t *rows = json_object_get(row_of(root, "displacements", 0), "rows");
    json_object_set_new(json_array_get(rows, 0), "msd", json_null());
}
static void unknown_code(json_t *root)
{
    json_object_set_new(row_of(root, "distributions", 0), "code", json_string("float8"));
}
static void longer_value(json_t *root)
{
    json_object_set_new(row_of(root, "samples", 0), "size", json_integer(100000));
}
static void shorter_value(json_t *root)
{
    json_t *row = row_of(root, "samples", 0);
    json_object_set_new(row, "size", json_integer(json_integer_value(json_object_get(row, "size")) - 1));
}
static void fewer_values(json_t *root)
{
    json_array_clear(json_object_get(tensor_of(root), "samples"));
}
static void false_raw_size(json_t *root)
{
    json_object_set_new(row_of(root, "distributions", 1), "size_raw", json_integer(1 << 20));
}
static void bomb(json_t *root)
{
    json_object_set_new(row_of(root, "distributions", 1), "size_raw", json_integer(INT64_C(1) << 40));
}
static void swapped_counts(json_t *root)
{
    /* The values of all rows under the name of the tokens: they do not add up. */
    json_object_set_new(row_of(root, "distributions", 0), "row_set", json_string("tokens"));
    json_object_set_new(row_of(root, "distributions", 0), "token_rows", json_integer(5));
}
static void other_columns(json_t *root)
{
    json_object_set_new(row_of(root, "columns", 0), "columns", json_integer(3));
}
static void no_weights(json_t *root)
{
    json_object_del(root, "weights_digest");
}
static void file_elsewhere(json_t *root)
{
    json_object_set_new(json_array_get(json_object_get(root, "scored_files"), 1), "path",
                        json_string("../other"));
}

static void impossible_perplexity(json_t *root)
{
    json_object_set_new(json_array_get(json_object_get(root, "perplexities"), 0), "perplexity",
                        json_real(0.5));
}
static void unknown_mode(json_t *root)
{
    json_object_set_new(json_array_get(json_object_get(root, "perplexities"), 0), "mode",
                        json_string("loud"));
}
static void too_many_tensors(json_t *root)
{
    json_t *tensors = json_object_get(root, "tensors");
    for (int i = 0; i < LIMIT_CLAIM_TENSORS; i++)
        json_array_append_new(tensors, json_object());
}
static void list_for_object(json_t *root)
{
    json_object_set_new(tensor_of(root), "content", json_array());
}

/* As long as a message may be, and cut inside of a character: it does not cost the measurement. */
static void test_a_long_caution(void **state)
{
    (void)state;
    struct wire_sample *sample = new_sample();
    struct wire_result read;
    struct buf buf;
    char caution[ERR_MESSAGE_BYTES];
    for (size_t i = 0; i + 1 < sizeof caution; i++)
        caution[i] = "\xe2\x82\xac"[i % 3];
    caution[sizeof caution - 2] = '\xe2';
    caution[sizeof caution - 1] = 0;
    sample->result.result.caution = caution;
    write_result(&sample->result, &buf);
    OK(wire_result_parse(buf.data, buf.size, &read, &err));
    assert_memory_equal(read.caution, caution, sizeof caution - 2);
    assert_string_equal(read.caution + sizeof caution - 2, "?");
    wire_result_free(&read);
    buf_free(&buf);
    free(sample);
}

static void test_bad_results(void **state)
{
    (void)state;
    check_refused(spoil_protocol, ERR_UNSUPPORTED, "protocol");
    check_refused(add_member, ERR_INVALID, "tensors/0/statistics/1/colour: no such member");
    check_refused(null_count, ERR_INVALID, "tensors/0/statistics/0/nan_count");
    check_refused(negative_count, ERR_INVALID, "tensors/0/statistics/3/zero_count");
    check_refused(too_many_odd, ERR_INVALID, "tensors/0/statistics/0/nan_count");
    check_refused(other_elements, ERR_INVALID, "tensors/0/statistics/0/elements");
    check_refused(text_for_number, ERR_INVALID, "tensors/0/statistics/2/mean: not a number");
    check_refused(no_minimum, ERR_INVALID, "tensors/0/statistics/0/minimum");
    check_refused(no_mean_at_all, ERR_INVALID, "tensors/0/statistics/0/mean");
    check_refused(rows_beyond, ERR_INVALID, "tensors/0/statistics/2/token_rows");
    check_refused(bad_digest, ERR_INVALID, "tensors/0/content/digest");
    check_refused(huge_shape, ERR_LIMIT, "tensors/0/content/columns");
    check_refused(control_characters, ERR_INVALID, "tensors/0/file");
    check_refused(twice_linked, ERR_INVALID, "tensors/0/displacements/1/link");
    check_refused(no_displacement, ERR_INVALID, "tensors/0/displacements/0/rows/0/msd");
    check_refused(unknown_code, ERR_INVALID, "tensors/0/distributions/0/code");
    check_refused(longer_value, ERR_FORMAT, "tensors/0/samples/0/size");
    check_refused(shorter_value, ERR_FORMAT, "tensors/0/samples/0/size_raw");
    check_refused(fewer_values, ERR_FORMAT, "more bytes follow");
    check_refused(false_raw_size, ERR_FORMAT, "tensors/0/distributions/1/size_raw");
    check_refused(bomb, ERR_INVALID, "tensors/0/distributions/1/size_raw");
    check_refused(swapped_counts, ERR_INVALID, "tensors/0/distributions/0/size");
    check_refused(other_columns, ERR_INVALID, "tensors/0/columns/0/columns");
    check_refused(no_weights, ERR_INVALID, "weights_digest");
    check_refused(file_elsewhere, ERR_INVALID, "scored_files/1/path");
    check_refused(impossible_perplexity, ERR_INVALID, "perplexities/0/perplexity");
    check_refused(unknown_mode, ERR_INVALID, "perplexities/0/mode");
    check_refused(too_many_tensors, ERR_LIMIT, "tensors");
    check_refused(list_for_object, ERR_INVALID, "tensors/0/content");
}

/* However it is cut short, it is refused. */
static void test_truncated_results(void **state)
{
    (void)state;
    struct wire_sample *sample = new_sample();
    struct buf buf;
    write_result(&sample->result, &buf);
    for (size_t size = 0; size < buf.size; size += size < 2000 ? 1 : 37) {
        struct wire_result result;
        struct err err = ERR_INIT;
        char *copy = malloc(size ? size : 1); /* so that reading past the end is seen */
        memcpy(copy, buf.data, size);
        assert_true(wire_result_parse(copy, size, &result, &err) < 0);
        assert_true(err.message[0]);
        wire_result_free(&result);
        free(copy);
    }
    buf_free(&buf);
    free(sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_round_trip),
        cmocka_unit_test(test_a_long_caution),
        cmocka_unit_test(test_bad_results),
        cmocka_unit_test(test_truncated_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
