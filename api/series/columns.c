#include "api/series/columns.h"

#include "daemon/base/guess.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_STATE, KIND_STEP, KIND_UNIT, KIND_INTEGER, KIND_REAL, KIND_TIME };

/* Where the value lies, and so what must be there for it not to be null. */
enum source {
    SOURCE_ROW,
    SOURCE_NAME,
    SOURCE_TENSOR,
    SOURCE_STATISTICS,
    SOURCE_NORM, /* of statistics, too */
    SOURCE_DISPLACEMENT,
    SOURCE_PERPLEXITY
};

struct column {
    const char *name;
    enum kind kind;
    enum source source;
    int which;     /* enum revision_states, series_variant, series_displacement or perplexity_mode */
    size_t offset; /* within struct series_row */
};

#define AT(member) offsetof(struct series_row, member)
#define ROW(name, kind, member)                                                                              \
    {                                                                                                        \
        name, kind, SOURCE_ROW, 0, AT(member)                                                                \
    }
#define STATED(name, which, member)                                                                          \
    {                                                                                                        \
        name, KIND_INTEGER, SOURCE_NAME, which, AT(member)                                                   \
    }
#define TENSOR(name, kind, member)                                                                           \
    {                                                                                                        \
        name, kind, SOURCE_TENSOR, 0, AT(tensor.member)                                                      \
    }
#define MOVED(name, which, member)                                                                           \
    {                                                                                                        \
        name, KIND_REAL, SOURCE_DISPLACEMENT, which, AT(displacement[which].member)                          \
    }
/* Of all finite values, whatever they are compared with: a displacement's norm is of the pairs that are
 * finite.
 */
#define NORM(name, variant)                                                                                  \
    {                                                                                                        \
        name, KIND_REAL, SOURCE_NORM, variant, 0                                                             \
    }
#define SCORED(name, kind, mode, member)                                                                     \
    {                                                                                                        \
        name, kind, SOURCE_PERPLEXITY, mode, AT(perplexity[mode].member)                                     \
    }

/* The identity of a perplexity, beside its mode (store/perplexities.h).
 * NOLINTBEGIN(bugprone-macro-parentheses)
 */
#define SCORED_IDENTITY(prefix, mode)                                                                        \
    SCORED(prefix "weights_digest", KIND_TEXT, mode, weights_digest),                                        \
        SCORED(prefix "dataset_digest", KIND_TEXT, mode, dataset_digest),                                    \
        SCORED(prefix "tokenizer_digest", KIND_TEXT, mode, tokenizer_digest),                                \
        SCORED(prefix "parameters", KIND_TEXT, mode, parameters),                                            \
        SCORED(prefix "precision", KIND_TEXT, mode, precision),                                              \
        SCORED(prefix "backend", KIND_TEXT, mode, backend),                                                  \
        SCORED(prefix "definition", KIND_INTEGER, mode, definition)
/* NOLINTEND(bugprone-macro-parentheses) */

/* Every statistic of one variant; the lists of names are those of store/statistics.h. */
/* A text that is joined with another takes no parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define VARIANT_COUNT(prefix, variant, name)                                                                 \
    {prefix #name, KIND_INTEGER, SOURCE_STATISTICS, variant, AT(statistics[variant].name)},
#define VARIANT_REAL(prefix, variant, name)                                                                  \
    {prefix #name, KIND_REAL, SOURCE_STATISTICS, variant, AT(statistics[variant].name)},
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct column columns_table[] = {
    ROW("revision", KIND_TEXT, revision.name),
    ROW("step", KIND_STEP, revision.step),
    ROW("step_unit", KIND_UNIT, revision.step),
    ROW("commit", KIND_TEXT, revision.commit),
    ROW("state", KIND_STATE, state),
    ROW("error_code", KIND_TEXT, error_code),
    ROW("error", KIND_TEXT, error_message),
    STATED("stage", REVISION_STATES_STAGE, revision.stage),
    STATED("ingredient", REVISION_STATES_INGREDIENT, revision.ingredient),
    STATED("training_tokens", REVISION_STATES_TOKENS, revision.tokens),
    ROW("first_seen_at", KIND_TIME, revision.first_seen_ms),
    TENSOR("tensor", KIND_TEXT, tensor),
    TENSOR("dtype", KIND_TEXT, content.dtype),
    TENSOR("rows", KIND_INTEGER, content.rows),
    TENSOR("columns", KIND_INTEGER, content.columns),
    TENSOR("token_rows", KIND_INTEGER, token_rows),
    TENSOR("digest", KIND_TEXT, content.digest),
    TENSOR("size_bytes", KIND_INTEGER, content.size_bytes),
    TENSOR("file", KIND_TEXT, file_path),
    TENSOR("file_digest", KIND_TEXT, file_digest),
    TENSOR("bytes_fetched", KIND_INTEGER, fetched_bytes),
    TENSOR("measured_at", KIND_TIME, measured_ms),
    TENSOR("definition", KIND_INTEGER, definition),
    TENSOR("backend", KIND_TEXT, backend),
    ROW("same_as", KIND_TEXT, same_as),
    ROW("reference", KIND_TEXT, reference),
    ROW("lag1_reference", KIND_TEXT, lag1_reference),
    MOVED("msd", SERIES_DISPLACEMENT_ALL, msd),
    MOVED("cosine", SERIES_DISPLACEMENT_ALL, cosine),
    NORM("norm", SERIES_VARIANT_ALL),
    MOVED("wasserstein1", SERIES_DISPLACEMENT_ALL, wasserstein1),
    MOVED("lag1_msd", SERIES_DISPLACEMENT_LAG1_ALL, msd),
    MOVED("lag1_cosine", SERIES_DISPLACEMENT_LAG1_ALL, cosine),
    MOVED("lag1_wasserstein1", SERIES_DISPLACEMENT_LAG1_ALL, wasserstein1),
    MOVED("tokens_msd", SERIES_DISPLACEMENT_TOKENS, msd),
    MOVED("tokens_cosine", SERIES_DISPLACEMENT_TOKENS, cosine),
    NORM("tokens_norm", SERIES_VARIANT_TOKENS),
    MOVED("tokens_lag1_msd", SERIES_DISPLACEMENT_LAG1_TOKENS, msd),
    MOVED("tokens_lag1_cosine", SERIES_DISPLACEMENT_LAG1_TOKENS, cosine),
#define X(name) VARIANT_COUNT("", SERIES_VARIANT_ALL, name)
    STATISTICS_COUNTS(X)
#undef X
#define X(name) VARIANT_REAL("", SERIES_VARIANT_ALL, name)
        STATISTICS_REALS(X)
#undef X
#define X(name) VARIANT_COUNT("tokens_", SERIES_VARIANT_TOKENS, name)
            STATISTICS_COUNTS(X)
#undef X
#define X(name) VARIANT_REAL("tokens_", SERIES_VARIANT_TOKENS, name)
                STATISTICS_REALS(X)
#undef X
#define X(name) VARIANT_COUNT("centred_", SERIES_VARIANT_CENTRED, name)
                    STATISTICS_COUNTS(X)
#undef X
#define X(name) VARIANT_REAL("centred_", SERIES_VARIANT_CENTRED, name)
                        STATISTICS_REALS(X)
#undef X
#define X(name) VARIANT_COUNT("tokens_centred_", SERIES_VARIANT_TOKENS_CENTRED, name)
                            STATISTICS_COUNTS(X)
#undef X
#define X(name) VARIANT_REAL("tokens_centred_", SERIES_VARIANT_TOKENS_CENTRED, name)
                                STATISTICS_REALS(X)
#undef X
                                    SCORED("perplexity", KIND_REAL, PERPLEXITY_MODE_LAST_WORD, perplexity),
    SCORED("perplexity_stderr", KIND_REAL, PERPLEXITY_MODE_LAST_WORD, perplexity_stderr),
    SCORED("accuracy", KIND_REAL, PERPLEXITY_MODE_LAST_WORD, accuracy),
    SCORED("accuracy_stderr", KIND_REAL, PERPLEXITY_MODE_LAST_WORD, accuracy_stderr),
    SCORED("perplexity_documents", KIND_INTEGER, PERPLEXITY_MODE_LAST_WORD, documents),
    SCORED("perplexity_tokens", KIND_INTEGER, PERPLEXITY_MODE_LAST_WORD, tokens),
    SCORED("perplexity_nll_sum", KIND_REAL, PERPLEXITY_MODE_LAST_WORD, nll_sum),
    SCORED("pooled_perplexity", KIND_REAL, PERPLEXITY_MODE_TOKENS, perplexity),
    SCORED("pooled_perplexity_stderr", KIND_REAL, PERPLEXITY_MODE_TOKENS, perplexity_stderr),
    SCORED("pooled_perplexity_tokens", KIND_INTEGER, PERPLEXITY_MODE_TOKENS, tokens),
    SCORED("text_mean_perplexity", KIND_REAL, PERPLEXITY_MODE_TEXT_MEAN, perplexity),
    SCORED("text_mean_perplexity_stderr", KIND_REAL, PERPLEXITY_MODE_TEXT_MEAN, perplexity_stderr),
    SCORED("text_mean_perplexity_documents", KIND_INTEGER, PERPLEXITY_MODE_TEXT_MEAN, documents),
    SCORED_IDENTITY("perplexity_", PERPLEXITY_MODE_LAST_WORD),
    SCORED_IDENTITY("pooled_perplexity_", PERPLEXITY_MODE_TOKENS),
    SCORED_IDENTITY("text_mean_perplexity_", PERPLEXITY_MODE_TEXT_MEAN),
};
#define TABLE_COUNT (sizeof columns_table / sizeof columns_table[0])
static_assert(TABLE_COUNT <= API_COLUMNS_MAX, "an index of a column fits into one byte");

static size_t find(const char *name, size_t length)
{
    size_t index = 0;
    while (index < TABLE_COUNT && (strlen(columns_table[index].name) != length ||
                                   memcmp(columns_table[index].name, name, length) != 0))
        index++;
    return index;
}

/* Which column a name that is none is meant for, else where the names are. */
static const char *ask_column(const char *name, size_t length, char question[GUESS_QUESTION_SIZE])
{
    char typed[GUESS_WORD_BYTES_MAX + 1];
    struct guess guess;
    (void)snprintf(typed, sizeof typed, "%.*s", (int)(length < sizeof typed ? length : sizeof typed), name);
    guess_init(&guess, typed);
    for (size_t i = 0; i < TABLE_COUNT; i++)
        guess_offer(&guess, columns_table[i].name);
    return guess.name ? guess_ask(&guess, "", question)
                      : "; the first line of the CSV without fields has all names";
}

int api_columns_parse(const char *fields, struct api_columns *columns, struct err *err)
{
    *columns = (struct api_columns){0};
    if (!fields) {
        for (size_t i = 0; i < TABLE_COUNT; i++)
            columns->indices[columns->count++] = (unsigned char)i;
        return 0;
    }
    for (const char *name = fields;;) {
        size_t length = strcspn(name, ",");
        size_t index = find(name, length);
        if (index == TABLE_COUNT) {
            char question[GUESS_QUESTION_SIZE];
            if (length == 0)
                return err_set(err, ERR_INVALID, "fields: a name is missing before or after a comma");
            return err_set(err, ERR_INVALID, "fields: no column is called \"%.*s\"%s",
                           length < 100 ? (int)length : 100, name, ask_column(name, length, question));
        }
        if (memchr(columns->indices, (int)index, columns->count))
            return err_set(err, ERR_INVALID, "fields: %s is named twice", columns_table[index].name);
        columns->indices[columns->count++] = (unsigned char)index;
        if (name[length] == '\0')
            return 0;
        name += length + 1;
    }
}

static int is_there(const struct column *column, const struct series_row *row)
{
    switch (column->source) {
    case SOURCE_NAME:
        return (row->revision.stated & column->which) != 0;
    case SOURCE_TENSOR:
        return row->has_tensor;
    case SOURCE_STATISTICS:
    case SOURCE_NORM:
        return row->has_statistics[column->which];
    case SOURCE_DISPLACEMENT:
        return row->has_displacement[column->which];
    case SOURCE_PERPLEXITY:
        return row->perplexity[column->which].id != 0;
    default:
        return 1;
    }
}

static const void *value_of(const struct column *column, const struct series_row *row)
{
    return (const char *)row + column->offset;
}

static int64_t integer_of(const struct column *column, const struct series_row *row)
{
    int64_t value;
    memcpy(&value, value_of(column, row), sizeof value);
    return value;
}

/* NaN where no value is finite. */
static double norm_of(const struct statistics_row *one)
{
    int64_t finite = one->elements - one->nan_count - one->positive_inf_count - one->negative_inf_count;
    return sqrt((double)finite * (one->variance + one->mean * one->mean));
}

static double real_of(const struct column *column, const struct series_row *row)
{
    double value;
    if (column->source == SOURCE_NORM)
        return norm_of(&row->statistics[column->which]);
    memcpy(&value, value_of(column, row), sizeof value);
    return value;
}

/* What a row's step counts; NULL where it has none. */
static const char *unit_of(const struct api_columns *columns, const struct series_row *row)
{
    return row->revision.step == REVISIONS_STEP_NONE ? NULL : step_unit_name(columns->unit);
}

static void append_json(const struct api_columns *columns, const struct column *column,
                        const struct series_row *row, struct api_json *json)
{
    int64_t integer;
    if (!is_there(column, row)) {
        api_json_null(json, column->name);
        return;
    }
    switch (column->kind) {
    case KIND_TEXT:
        api_json_text_or_null(json, column->name, value_of(column, row));
        break;
    case KIND_STATE:
        api_json_text(json, column->name, series_state_name(row->state));
        break;
    case KIND_STEP:
        integer = integer_of(column, row);
        if (integer == REVISIONS_STEP_NONE)
            api_json_null(json, column->name);
        else
            api_json_integer(json, column->name, integer);
        break;
    case KIND_UNIT:
        api_json_text(json, column->name, unit_of(columns, row));
        break;
    case KIND_INTEGER:
        api_json_integer(json, column->name, integer_of(column, row));
        break;
    case KIND_REAL:
        api_json_real(json, column->name, real_of(column, row));
        break;
    case KIND_TIME:
        api_json_time(json, column->name, integer_of(column, row));
        break;
    }
}

static void append_csv(const struct api_columns *columns, const struct column *column,
                       const struct series_row *row, struct api_csv *csv)
{
    int64_t integer;
    if (!is_there(column, row)) {
        api_csv_empty(csv);
        return;
    }
    switch (column->kind) {
    case KIND_TEXT:
        api_csv_text(csv, value_of(column, row));
        break;
    case KIND_STATE:
        api_csv_text(csv, series_state_name(row->state));
        break;
    case KIND_STEP:
        integer = integer_of(column, row);
        if (integer == REVISIONS_STEP_NONE)
            api_csv_empty(csv);
        else
            api_csv_integer(csv, integer);
        break;
    case KIND_UNIT:
        api_csv_text(csv, unit_of(columns, row));
        break;
    case KIND_INTEGER:
        api_csv_integer(csv, integer_of(column, row));
        break;
    case KIND_REAL:
        api_csv_real(csv, real_of(column, row));
        break;
    case KIND_TIME:
        api_csv_time(csv, integer_of(column, row));
        break;
    }
}

void api_columns_json(const struct api_columns *columns, const struct series_row *row, struct api_json *json)
{
    api_json_open_object(json, NULL);
    for (size_t i = 0; i < columns->count; i++)
        append_json(columns, &columns_table[columns->indices[i]], row, json);
    api_json_close_object(json);
}

void api_columns_csv(const struct api_columns *columns, const struct series_row *row, struct api_csv *csv)
{
    for (size_t i = 0; i < columns->count; i++)
        append_csv(columns, &columns_table[columns->indices[i]], row, csv);
    api_csv_end_line(csv);
}

void api_columns_csv_head(const struct api_columns *columns, struct api_csv *csv)
{
    for (size_t i = 0; i < columns->count; i++)
        api_csv_text(csv, columns_table[columns->indices[i]].name);
    api_csv_end_line(csv);
}
