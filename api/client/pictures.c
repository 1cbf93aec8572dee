/* The resources behind the pictures, as numbers: the distribution over training, or whole, hidden columns,
 * sampled entries, displacement between any two revisions. Tables show a choice of them; CSV and JSON have
 * all. */
#include "api/client/answer.h"
#include "api/client/commands.h"
#include "api/client/plain.h"
#include "api/client/terminal.h"
#include "daemon/base/step_unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_ROWS 1000
#define NAME_COLUMNS 14 /* of a revision's name in a table, */
#define NAME_COLUMNS_MAX 40
#define FORKED_BIMODALITY (5.0 / 9.0) /* that of a uniform distribution */
#define TABLE_BINS 48
#define TABLE_ENTRIES 6
#define TABLE_REVISIONS 8
#define REVISIONS_MAX 400 /* of a matrix of displacements */
#define CSV_BINS 128
#define CSV_ENTRIES 64
#define BINS_MAX 2048 /* as the daemon has it */

static int is_table(const struct client_arguments *arguments)
{
    return !arguments->values[CLIENT_OPTION_JSON] && !arguments->values[CLIENT_OPTION_CSV];
}

/* GET of a resource of the model, or of the revision that a second word names, and printing it. `number` is a
 * parameter of the resource, `given` or else `standard`, or NULL; `key` is the list of which all pages are
 * read, or NULL. */
static int run(const struct client_arguments *arguments, const char *resource, const char *number,
               const char *given, int standard, const char *key,
               void (*print)(const json_t *document, int is_table))
{
    static const struct client_parameter parameters[] = {{"rows", CLIENT_OPTION_ROWS},
                                                         {"view", CLIENT_OPTION_VIEW},
                                                         {"from", CLIENT_OPTION_FROM},
                                                         {"to", CLIENT_OPTION_TO},
                                                         {"tensor", CLIENT_OPTION_TENSOR}};
    struct client_answer answer;
    client_answer_begin(&answer, arguments, arguments->words[0]);
    if (arguments->words[1])
        client_answer_name_revision(&answer, arguments->words[1]);
    buf_append_text(&answer.target, resource);
    if (given)
        client_link_append(&answer.target, number, given);
    else if (number)
        buf_appendf(&answer.target, "?%s=%d", number, standard);
    client_answer_ask(&answer, parameters, sizeof parameters / sizeof parameters[0]);
    client_answer_get(&answer, key);
    const json_t *revisions = json_object_get(answer.document, "revisions");
    const int is_empty = revisions && json_array_size(revisions) == 0;
    client_answer_check_model(&answer, is_empty);
    if (!answer.code && arguments->values[CLIENT_OPTION_JSON])
        client_print_json(answer.document);
    else if (!answer.code)
        print(answer.document, is_table(arguments));
    const size_t damaged_count = answer.code ? 0 : client_note_damaged(answer.document);
    if (!answer.code && is_table(arguments) && isatty(STDOUT_FILENO) && is_empty && !damaged_count)
        (void)fputs("nothing of this is measured; `bifurcate sweep MODEL` measures it, with --tensor NAME "
                    "another tensor than the unembedding\n",
                    stderr);
    return client_answer_end(&answer);
}

/* Of CSV as the API and the lists end theirs. */
static void end_line(int as_table)
{
    (void)fputs(as_table ? "\n" : "\r\n", stdout);
}

static void print_cell(const json_t *value, char before)
{
    char text[CLIENT_CELL_SIZE] = "";
    if (json_is_integer(value))
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(text, sizeof text, "%.17g", json_real_value(value));
    if (before)
        (void)putchar(before);
    client_table_print_csv_text(json_is_string(value) ? json_string_value(value) : text, stdout);
}

/* Above the steps of a table stands what they count. */
static const char *step_title(const json_t *document)
{
    static const char *const titles[STEP_UNIT_COUNT] = {[STEP_UNIT_STEPS] = "STEP",
                                                        [STEP_UNIT_TOKENS] = "TOKENS",
                                                        [STEP_UNIT_WORDS] = "WORDS",
                                                        [STEP_UNIT_EPOCHS] = "EPOCH",
                                                        [STEP_UNIT_CHECKPOINTS] = "CHECKPT"};
    return titles[client_answer_unit(document)];
}

/* A step as short as its unit allows: "512", "220B" of tokens. */
static void print_step(const json_t *document, const json_t *step, int width)
{
    char text[STEP_UNIT_TEXT_SIZE] = "";
    if (json_is_number(step))
        step_unit_write_number(client_answer_unit(document), json_number_value(step), text);
    (void)printf("%*s", width, text);
}

static void print_number(const json_t *value, int width, int digits)
{
    if (json_is_number(value))
        (void)printf("%*.*g", width, digits, json_number_value(value));
    else
        (void)printf("%*s", width, "-");
}

/* Left of a table's row: the revision and its step. */
static void print_place(const json_t *document, const json_t *revision, const json_t *step)
{
    char name[CLIENT_CELL_SIZE];
    const int is_terminal = client_terminal_width(stdout) > 0;
    client_plain_copy(revision, "", name, sizeof name);
    name[client_terminal_fit(name, NAME_COLUMNS_MAX, is_terminal)] = '\0';
    const size_t own = client_terminal_columns(name, is_terminal);
    (void)printf("%s%*s ", name, own < NAME_COLUMNS ? (int)(NAME_COLUMNS - own) : 0, "");
    print_step(document, step, 8);
    (void)fputs("  ", stdout);
}

/* -- distribution -- */

/* A block of so many eighths, or a letter about as dark. */
static void print_block(int eighths, int is_utf8)
{
    if (eighths && is_utf8)
        (void)printf("\xe2\x96%c", 0x80 + eighths); /* U+2581 to U+2588 */
    else
        (void)putchar(" .,:;+*#@"[eighths]);
}

/* The counts of a revision as a line of blocks, each eighth of a block a step of the square root of the
 * share. */
static void print_blocks(const json_t *counts)
{
    const int is_utf8 = client_terminal_shows_utf8(stdout);
    double most = 0;
    const json_t *count;
    size_t i;
    json_array_foreach(counts, i, count)
    {
        most = json_number_value(count) > most ? json_number_value(count) : most;
    }
    json_array_foreach(counts, i, count)
    {
        double share = most > 0 ? json_number_value(count) / most : 0;
        int eighths = share > 0 ? 1 : 0;
        while (eighths < 8 && share > (double)(eighths * eighths) / 64)
            eighths++;
        print_block(eighths, is_utf8);
    }
}

static void print_distribution(const json_t *document, int as_table)
{
    const json_t *rows = json_object_get(document, "revisions"), *row, *count;
    double low = json_number_value(json_object_get(document, "low"));
    double high = json_number_value(json_object_get(document, "high"));
    json_int_t named = json_integer_value(json_object_get(document, "bins"));
    int bins = named > 0 && named <= BINS_MAX ? (int)named : 1; /* no daemon has more */
    size_t i, k;
    if (as_table) {
        (void)printf("%-14s %8s  %-10.4g%*.4g\n", "REVISION", step_title(document), low,
                     bins > 10 ? bins - 10 : 1, high);
    } else {
        (void)printf("revision,step,elements,not_finite");
        for (int bin = 0; bin < bins; bin++)
            (void)printf(",%.9g", low + (high - low) / bins * (bin + 0.5));
        end_line(0);
    }
    json_array_foreach(rows, i, row)
    {
        if (as_table) {
            print_place(document, json_object_get(row, "revision"), json_object_get(row, "step"));
            print_blocks(json_object_get(row, "counts"));
        } else {
            print_cell(json_object_get(row, "revision"), '\0');
            print_cell(json_object_get(row, "step"), ',');
            print_cell(json_object_get(row, "elements"), ',');
            print_cell(json_object_get(row, "not_finite"), ',');
            json_array_foreach(json_object_get(row, "counts"), k, count)
            {
                print_cell(count, ',');
            }
        }
        end_line(as_table);
    }
}

int client_run_distribution(const struct client_arguments *arguments)
{
    return run(arguments, "/distribution", "bins", arguments->values[CLIENT_OPTION_BINS],
               is_table(arguments) ? TABLE_BINS : CSV_BINS, "revisions", print_distribution);
}

static void print_values(const json_t *document, int as_table)
{
    const json_t *counts = json_object_get(document, "counts"), *value;
    size_t i;
    if (as_table)
        (void)printf("%-24s %12s\n", "VALUE", "COUNT");
    else
        (void)fputs("value,count\r\n", stdout);
    json_array_foreach(json_object_get(document, "values"), i, value)
    {
        if (as_table) {
            (void)printf("%-24.17g %12" JSON_INTEGER_FORMAT "\n", json_number_value(value),
                         json_integer_value(json_array_get(counts, i)));
            continue;
        }
        print_cell(value, '\0');
        print_cell(json_array_get(counts, i), ',');
        end_line(0);
    }
}

int client_run_values(const struct client_arguments *arguments)
{
    return run(arguments, "/values", NULL, NULL, 0, NULL, print_values);
}

/* -- columns -- */

static int compare_reals(const void *left, const void *right)
{
    double one, other;
    memcpy(&one, left, sizeof one);
    memcpy(&other, right, sizeof other);
    return (one > other) - (one < other);
}

/* The numbers of a list in ascending order; returns how many. NULL: no memory, or none. */
static double *sort_numbers(const json_t *list, size_t *ret_count)
{
    double *numbers = calloc(json_array_size(list) + 1, sizeof *numbers);
    const json_t *value;
    size_t i;
    *ret_count = 0;
    json_array_foreach(list, i, value)
    {
        if (numbers && json_is_number(value))
            numbers[(*ret_count)++] = json_number_value(value);
    }
    if (*ret_count)
        qsort(numbers, *ret_count, sizeof *numbers, compare_reals);
    return numbers;
}

/* Of a row's columns: lowest, median, highest. */
static void print_spread(const double *numbers, size_t count)
{
    for (size_t i = 0; i < 3; i++) {
        if (count)
            (void)printf("%12.4g", numbers[(count - 1) * i / 2]);
        else
            (void)printf("%12s", "-");
    }
}

static void print_columns_row(const json_t *document, const json_t *row)
{
    size_t count = 0, forked = 0;
    double *means = sort_numbers(json_object_get(row, "mean"), &count);
    print_place(document, json_object_get(row, "revision"), json_object_get(row, "step"));
    print_spread(means, count);
    double *bimodalities = sort_numbers(json_object_get(row, "bimodality"), &count);
    print_spread(bimodalities, count);
    for (size_t i = 0; i < count; i++)
        forked += (size_t)(bimodalities[i] > FORKED_BIMODALITY);
    (void)printf("%8zu\n", forked);
    free(means);
    free(bimodalities);
}

static void print_columns(const json_t *document, int as_table)
{
    const json_t *row, *means;
    size_t i, k;
    if (as_table)
        (void)printf("%-14s %8s  %12s%12s%12s%12s%12s%12s%8s\n", "REVISION", step_title(document),
                     "MEAN_LOWEST", "MEDIAN", "HIGHEST", "BC_LOWEST", "MEDIAN", "HIGHEST", "BC>5/9");
    else
        (void)fputs("revision,step,column,mean,bimodality\r\n", stdout);
    json_array_foreach(json_object_get(document, "revisions"), i, row)
    {
        if (as_table) {
            print_columns_row(document, row);
            continue;
        }
        means = json_object_get(row, "mean");
        for (k = 0; k < json_array_size(means); k++) {
            print_cell(json_object_get(row, "revision"), '\0');
            print_cell(json_object_get(row, "step"), ',');
            (void)printf(",%zu", k);
            print_cell(json_array_get(means, k), ',');
            print_cell(json_array_get(json_object_get(row, "bimodality"), k), ',');
            end_line(0);
        }
    }
}

int client_run_columns(const struct client_arguments *arguments)
{
    return run(arguments, "/columns", "limit", NULL, PAGE_ROWS, "revisions", print_columns);
}

/* -- trajectories -- */

static void print_trajectories(const json_t *document, int as_table)
{
    const json_t *entry, *row, *value;
    size_t i, k;
    (void)printf(as_table ? "%-14s %8s  " : "%s,%s", as_table ? "REVISION" : "revision",
                 as_table ? step_title(document) : "step");
    json_array_foreach(json_object_get(document, "entries"), i, entry)
    {
        char name[64];
        (void)snprintf(name, sizeof name, "%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(entry, "row")),
                       json_integer_value(json_object_get(entry, "column")));
        (void)printf(as_table ? "%12s" : ",%s", name);
    }
    end_line(as_table);
    json_array_foreach(json_object_get(document, "revisions"), i, row)
    {
        if (as_table)
            print_place(document, json_object_get(row, "revision"), json_object_get(row, "step"));
        else
            print_cell(json_object_get(row, "revision"), '\0');
        if (!as_table)
            print_cell(json_object_get(row, "step"), ',');
        json_array_foreach(json_object_get(row, "values"), k, value)
        {
            if (as_table)
                print_number(value, 12, 5);
            else
                print_cell(value, ',');
        }
        end_line(as_table);
    }
}

int client_run_trajectories(const struct client_arguments *arguments)
{
    return run(arguments, "/trajectories", "entries", arguments->values[CLIENT_OPTION_ENTRIES],
               is_table(arguments) ? TABLE_ENTRIES : CSV_ENTRIES, "revisions", print_trajectories);
}

/* -- displacement -- */

/* A line for each pair, the later revision first, as the API's CSV has them. */
static void print_pairs(const json_t *document)
{
    const json_t *names = json_object_get(document, "revisions"), *steps = json_object_get(document, "steps");
    static const char *const members[] = {"pairs", "msd", "msd_stderr", "cosine"};
    (void)fputs("revision,step,reference,reference_step,pairs,msd,msd_stderr,cosine\r\n", stdout);
    for (size_t i = 0; i < json_array_size(names); i++) {
        for (size_t k = 0; k < i; k++) {
            print_cell(json_array_get(names, i), '\0');
            print_cell(json_array_get(steps, i), ',');
            print_cell(json_array_get(names, k), ',');
            print_cell(json_array_get(steps, k), ',');
            for (size_t member = 0; member < sizeof members / sizeof members[0]; member++)
                print_cell(json_array_get(json_array_get(json_object_get(document, members[member]), i), k),
                           ',');
            end_line(0);
        }
    }
}

static void print_displacement(const json_t *document, int as_table)
{
    const json_t *names = json_object_get(document, "revisions"), *steps = json_object_get(document, "steps");
    const json_t *matrix = json_object_get(document, "msd"), *value;
    size_t i, k;
    if (!as_table) {
        print_pairs(document);
        return;
    }
    (void)printf("mean square displacement, estimated from %" JSON_INTEGER_FORMAT " entries\n%-14s %8s  ",
                 json_integer_value(json_object_get(document, "sampled")), "REVISION", step_title(document));
    json_array_foreach(steps, i, value)
    {
        print_step(document, value, 11);
    }
    (void)putchar('\n');
    for (i = 0; i < json_array_size(names); i++) {
        print_place(document, json_array_get(names, i), json_array_get(steps, i));
        json_array_foreach(json_array_get(matrix, i), k, value)
        {
            print_number(value, 11, 4);
        }
        (void)putchar('\n');
    }
}

int client_run_displacement(const struct client_arguments *arguments)
{
    return run(arguments, "/displacement", "limit", arguments->values[CLIENT_OPTION_LIMIT],
               is_table(arguments) ? TABLE_REVISIONS : REVISIONS_MAX, NULL, print_displacement);
}
