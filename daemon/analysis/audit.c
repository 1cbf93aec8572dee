#include "daemon/analysis/audit.h"

#include "daemon/analysis/equal_content.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct audit_options audit_options_default(void)
{
    return (struct audit_options){
        .jump = 0.7, .lag_ratio = 4, .skip_share = 0.5, .grid_share = 0.5, .grid_gaps = 3};
}

struct builder {
    struct audit audit;
    size_t capacity;
};

static int add(struct builder *builder, struct audit_finding finding, struct err *err)
{
    struct audit *audit = &builder->audit;
    if (audit->finding_count == builder->capacity) {
        size_t capacity = builder->capacity ? 2 * builder->capacity : 64;
        struct audit_finding *findings = realloc(audit->findings, capacity * sizeof(*findings));
        if (!findings)
            return err_set(err, ERR_NO_MEMORY, "no memory for %zu findings", capacity);
        audit->findings = findings;
        builder->capacity = capacity;
    }
    audit->findings[audit->finding_count++] = finding;
    return 0;
}

/* One group of equal revisions: those that follow its first one without a gap stood still, the others are
 * duplicates; and so are all, if the last revision of the run repeats weights from before a gap: then the
 * first ones may have been served the last one's. */
static int add_group(struct builder *builder, const struct audit_point *points, size_t point_count,
                     const struct equal_content *group, size_t count, struct err *err)
{
    int may_stand = equal_content_is_run(group, count) || group[count - 1].index + 1 < point_count;
    int code = 0;
    for (size_t i = 1; i < count && !code; i++)
        code = add(builder,
                   (struct audit_finding){.kind = may_stand && equal_content_is_run(group, i + 1)
                                                      ? AUDIT_KIND_UNCHANGED
                                                      : AUDIT_KIND_DUPLICATE,
                                          .index = group[i].index,
                                          .other = group[0].index,
                                          .step = points[group[i].index].step,
                                          .evidence = (double)count},
                   err);
    return code;
}

static int find_duplicates(struct builder *builder, const struct audit_point *points, size_t count,
                           struct err *err)
{
    struct equal_content *contents = calloc(count + 1, sizeof(*contents));
    size_t known = 0;
    int code = 0;
    if (!contents)
        return err_set(err, ERR_NO_MEMORY, "no memory for an audit");
    for (size_t i = 0; i < count; i++) {
        if (points[i].content)
            contents[known++] = (struct equal_content){points[i].content, i};
    }
    equal_content_sort(contents, known);
    for (size_t begin = 0, end; begin < known && !code; begin = end) {
        end = equal_content_end(contents, known, begin);
        builder->audit.distinct++;
        code = add_group(builder, points, count, &contents[begin], end - begin, err);
    }
    free(contents);
    return code;
}

/* The measured point before `i`, `count` if there is none; and the one after it. */
static size_t measured_before(const struct audit_point *points, size_t count, size_t i)
{
    while (i > 0 && i < count) {
        if (points[--i].is_measured)
            return i;
    }
    return count;
}

static size_t measured_after(const struct audit_point *points, size_t count, size_t i)
{
    while (++i < count) {
        if (points[i].is_measured)
            return i;
    }
    return count;
}

/* Lag-1 displacement per step; NaN where it is against nothing. */
static double lag_rate(const struct audit_point *points, size_t count, size_t i)
{
    size_t before = measured_before(points, count, i);
    if (i >= count || before >= count)
        return (double)NAN;
    return points[i].lag1_msd / (points[i].step - points[before].step);
}

/* How far ln MSD of a revision is off the line between its neighbours, if the way there and back is long; 0
 * if not. */
static double out_of_line(const struct audit_point *points, size_t count, size_t i,
                          const struct audit_options *options)
{
    if (!points[i].is_measured) /* before its neighbours are looked for: of measured points those are few */
        return 0;
    size_t previous = measured_before(points, count, i), next = measured_after(points, count, i);
    if (previous >= count || next >= count)
        return 0;
    const struct audit_point *before = &points[previous], *here = &points[i], *after = &points[next];
    if (!(before->msd > 0) || !(here->msd > 0) || !(after->msd > 0))
        return 0;
    double share = log((1 + here->step) / (1 + before->step)) / log((1 + after->step) / (1 + before->step));
    double expected = log(before->msd) + share * log(after->msd / before->msd);
    double off = log(here->msd) - expected;
    double around =
        fmax(lag_rate(points, count, previous), lag_rate(points, count, measured_after(points, count, next)));
    int is_long = lag_rate(points, count, i) > options->lag_ratio * around &&
                  lag_rate(points, count, next) > options->lag_ratio * around;
    return fabs(off) > options->jump && is_long ? off : 0;
}

int audit_is_suspect(const struct audit_point *points, size_t count, size_t i,
                     const struct audit_options *options, size_t *ret_before, size_t *ret_after)
{
    if (i >= count || out_of_line(points, count, i, options) == 0)
        return 0;
    *ret_before = measured_before(points, count, i);
    *ret_after = measured_after(points, count, i);
    return 1;
}

static int find_out_of_line(struct builder *builder, const struct audit_point *points, size_t count,
                            const struct audit_options *options, struct err *err)
{
    int code = 0;
    for (size_t i = 1; i + 1 < count && !code; i++) {
        double off = out_of_line(points, count, i, options);
        if (off == 0)
            continue;
        double shorter = fmin(points[i].lag1_msd, points[measured_after(points, count, i)].lag1_msd);
        if (points[i].skip_msd < options->skip_share * shorter)
            code = add(builder,
                       (struct audit_finding){.kind = AUDIT_KIND_OUT_OF_LINE,
                                              .index = i,
                                              .other = i,
                                              .step = points[i].step,
                                              .evidence = off},
                       err);
    }
    return code;
}

/* The share of the grid's steps between the first and the last revision that have one. */
static double grid_cover(const struct audit_point *points, size_t count, double grid)
{
    double expected = floor(points[count - 1].step / grid) - floor(points[0].step / grid);
    size_t there = 0;
    for (size_t i = 1; i < count; i++)
        there += fmod(points[i].step, grid) == 0;
    return expected > 0 ? (double)there / expected : 0;
}

/* The most frequent gap between steps, if it is frequent, enough of the gaps above it are multiples of it and
 * enough of its multiples have a revision; NaN otherwise. */
static double find_grid(const struct audit_point *points, size_t count, const struct audit_options *options)
{
    double share = options->grid_share;
    double best = (double)NAN;
    size_t best_count = (size_t)options->grid_gaps - 1;
    for (size_t i = 1; i < count; i++) {
        double gap = points[i].step - points[i - 1].step;
        size_t same = 0;
        if (gap == best)
            continue;
        for (size_t k = 1; k < count && k < i + 2000; k++)
            same += points[k].step - points[k - 1].step == gap;
        if (same > best_count) {
            best_count = same;
            best = gap;
        }
        if (i > 4000)
            break;
    }
    size_t inside = 0, regular = 0;
    for (size_t i = 1; i < count && !isnan(best); i++) {
        double gap = points[i].step - points[i - 1].step;
        inside += points[i].step > best;
        regular += points[i].step > best && fmod(gap, best) == 0;
    }
    int is_regular = inside && (double)regular >= share * (double)inside;
    return is_regular && grid_cover(points, count, best) >= share ? best : (double)NAN;
}

static int find_missing(struct builder *builder, const struct audit_point *points, size_t count, double grid,
                        struct err *err)
{
    size_t missing = 0;
    int code = 0;
    for (size_t i = 1; i < count && !isnan(grid); i++) {
        double from = points[i - 1].step;
        double next = from < grid ? grid : (floor(from / grid) + 1) * grid;
        for (; next < points[i].step && !code; next += grid) {
            if (++missing > AUDIT_MISSING_MAX)
                return 0;
            code =
                add(builder,
                    (struct audit_finding){
                        .kind = AUDIT_KIND_MISSING, .index = i, .other = i, .step = next, .evidence = grid},
                    err);
        }
    }
    return code;
}

static int find_not_finite(struct builder *builder, const struct audit_point *points, size_t count,
                           struct err *err)
{
    int code = 0;
    for (size_t i = 0; i < count && !code; i++) {
        if (points[i].is_measured && points[i].not_finite > 0.0)
            code = add(builder,
                       (struct audit_finding){.kind = AUDIT_KIND_NOT_FINITE,
                                              .index = i,
                                              .other = i,
                                              .step = points[i].step,
                                              .evidence = points[i].not_finite},
                       err);
    }
    return code;
}

static int finding_compare(const void *a, const void *b)
{
    const struct audit_finding *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return (x->kind > y->kind) - (x->kind < y->kind);
}

int audit_revisions(const struct audit_point *points, size_t count, const struct audit_options *options,
                    struct audit *ret_audit, struct err *err)
{
    struct builder builder = {.audit = {.grid = (double)NAN}};
    if (count > AUDIT_POINTS_MAX)
        return err_set(err, ERR_LIMIT, "an audit of more than %d revisions", AUDIT_POINTS_MAX);
    for (size_t i = 1; i < count; i++) {
        if (!(points[i].step > points[i - 1].step))
            return err_set(err, ERR_INVALID, "the steps of an audit must ascend");
    }
    int code = find_duplicates(&builder, points, count, err);
    if (!code)
        code = find_out_of_line(&builder, points, count, options, err);
    if (!code)
        code = find_not_finite(&builder, points, count, err);
    if (!code) {
        builder.audit.grid = find_grid(points, count, options);
        code = find_missing(&builder, points, count, builder.audit.grid, err);
    }
    if (code) {
        audit_free(&builder.audit);
        return code;
    }
    if (builder.audit.finding_count)
        qsort(builder.audit.findings, builder.audit.finding_count, sizeof(struct audit_finding),
              finding_compare);
    *ret_audit = builder.audit;
    return 0;
}

void audit_free(struct audit *audit)
{
    if (!audit)
        return;
    free(audit->findings);
    memset(audit, 0, sizeof(*audit));
}

const char *audit_kind_name(enum audit_kind kind)
{
    static const char *const names[AUDIT_KIND_COUNT] = {"duplicate",  "unchanged", "out_of_line", "missing",
                                                        "not_finite", "rewritten", "no_weights"};
    return (unsigned)kind < AUDIT_KIND_COUNT ? names[kind] : "unknown";
}
