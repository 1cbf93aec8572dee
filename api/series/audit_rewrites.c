#include "api/series/audit_rewrites.h"

#include "daemon/analysis/sample.h"
#include "daemon/base/local_name.h"
#include "store/rewrites.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct search {
    const struct api_run *run;
    struct api_audit_rewrites *rewrites;
    size_t at; /* the points before are done with */
};

static int take_rewrite(void *context, const struct rewrite_row *row)
{
    struct search *search = context;
    const struct api_run *run = search->run;
    size_t i = api_run_find(run, &row->revision);
    if (i == run->count || i < search->at) /* its other tensor was told already */
        return 0;
    search->at = i + 1;
    search->rewrites->rows[search->rewrites->count++] = (struct api_audit_rewrite){
        .index = i,
        .cosine = row->count ? sample_displacement_of(row->values, row->values_before, row->count).cosine
                             : (double)NAN,
        .is_of_one_run = !row->count || sample_is_of_one_run(row->values, row->values_before, row->count)};
    return 0;
}

int api_audit_rewrites_read(struct store *store, const struct api_run *run,
                            struct api_audit_rewrites *ret_rewrites, struct err *err)
{
    struct search search = {.run = run, .rewrites = ret_rewrites};
    if (!local_name_is(run->model.name))
        return 0;
    ret_rewrites->rows = calloc(run->count + 1, sizeof *ret_rewrites->rows);
    if (!ret_rewrites->rows)
        return err_set(err, ERR_NO_MEMORY, "audit: out of memory");
    return rewrites_list(store, run->model.id, take_rewrite, &search, err);
}

void api_audit_rewrites_free(struct api_audit_rewrites *rewrites)
{
    free(rewrites->rows);
}
