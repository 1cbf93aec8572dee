#include "api/series/audit_skips.h"

#include "daemon/analysis/sample.h"

#include <stdlib.h>
#include <string.h>

/* Samples of the measured points beside those that need them. */
struct neighbours {
    const struct api_run *run;
    float **values; /* [points] NULL: not wanted, or not there */
    const char *is_wanted;
    size_t sampled;
    int has_no_memory;
};

static int take_sample(void *context, const struct revision_row *revision, const struct sample_row *row)
{
    struct neighbours *neighbours = context;
    const struct api_run *run = neighbours->run;
    size_t i = api_run_find(run, revision);
    if (i == run->count || !neighbours->is_wanted[i] || neighbours->values[i] || !row->values)
        return 0;
    neighbours->values[i] = malloc(neighbours->sampled * sizeof(float));
    neighbours->has_no_memory = !neighbours->values[i];
    if (neighbours->values[i])
        memcpy(neighbours->values[i], row->values, neighbours->sampled * sizeof(float));
    return neighbours->has_no_memory;
}

int api_audit_skips_measure(struct store *store, const struct api_run *run,
                            const struct audit_options *options, struct audit_point *points, struct err *err)
{
    char *is_wanted = calloc(run->count + 1, 1);
    float **values = calloc(run->count + 1, sizeof *values);
    struct neighbours neighbours = {
        .run = run, .values = values, .is_wanted = is_wanted, .sampled = api_run_sampled(run)};
    size_t suspects = 0, before = 0, after = 0;
    int code = is_wanted && values ? 0 : err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    for (size_t i = 1; i + 1 < run->count && !code; i++) {
        if (!audit_is_suspect(points, run->count, i, options, &before, &after))
            continue;
        is_wanted[before] = is_wanted[after] = 1;
        suspects++;
    }
    if (!code && suspects)
        code = api_run_list_samples(store, run, NULL, api_run_revisions(run), take_sample, &neighbours, err);
    if (!code && neighbours.has_no_memory)
        code = err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    for (size_t i = 1; i + 1 < run->count && !code; i++) {
        if (audit_is_suspect(points, run->count, i, options, &before, &after) && values[before] &&
            values[after])
            points[i].skip_msd =
                sample_displacement_of(values[before], values[after], neighbours.sampled).msd;
    }
    for (size_t i = 0; values && i < run->count; i++)
        free(values[i]);
    free(values);
    free(is_wanted);
    return code;
}
