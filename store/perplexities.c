#include "store/perplexities.h"

#include "store/query.h"
#include "store/rows_perplexity.h"

#include <string.h>

static const char *const MODE_NAMES[PERPLEXITY_MODE_COUNT] = {"last_word", "tokens", "text_mean"};

const char *perplexity_mode_name(enum perplexity_mode mode)
{
    return (unsigned)mode < PERPLEXITY_MODE_COUNT ? MODE_NAMES[mode] : "unknown";
}

void rows_read_perplexity(struct query *query, struct perplexity_row *row)
{
    char mode[16];
    row->id = query_int(query);
    query_text(query, row->weights_digest, sizeof row->weights_digest);
    query_text(query, row->dataset_digest, sizeof row->dataset_digest);
    query_text(query, row->tokenizer_digest, sizeof row->tokenizer_digest);
    query_text(query, mode, sizeof mode);
    row->mode = PERPLEXITY_MODE_LAST_WORD;
    for (int i = 0; i < PERPLEXITY_MODE_COUNT; i++) {
        if (!strcmp(mode, MODE_NAMES[i]))
            row->mode = (enum perplexity_mode)i;
    }
    query_text(query, row->parameters, sizeof row->parameters);
    query_text(query, row->precision, sizeof row->precision);
    query_text(query, row->backend, sizeof row->backend);
    row->definition = query_int(query);
    row->documents = query_int(query);
    row->tokens = query_int(query);
    row->nll_sum = query_real(query);
    row->perplexity = query_real(query);
    row->perplexity_stderr = query_real(query);
    row->accuracy = query_real(query);
    row->accuracy_stderr = query_real(query);
    row->seconds = query_real(query);
    row->measured_ms = query_int(query);
}

int perplexities_find(struct store *store, const struct perplexity_row *key, struct perplexity_row *ret_row,
                      struct err *err)
{
    struct query query;
    int code = query_open(
        &query, store,
        "SELECT " ROWS_PERPLEXITY(
            "p") " FROM perplexities p WHERE weights_digest = ?1 "
                 "AND dataset_digest = ?2 AND tokenizer_digest = ?3 AND mode = ?4 AND parameters = ?5 "
                 "AND precision = ?6 AND (?7 = '' OR backend = ?7) AND definition = ?8 ORDER BY id LIMIT 1",
        err);
    if (code)
        return code;
    query_bind_text(&query, key->weights_digest);
    query_bind_text(&query, key->dataset_digest);
    query_bind_text(&query, key->tokenizer_digest);
    query_bind_text(&query, perplexity_mode_name(key->mode));
    query_bind_text(&query, key->parameters);
    query_bind_text(&query, key->precision);
    query_bind_text(&query, key->backend);
    query_bind_int(&query, key->definition);
    code = query_next(&query, err);
    if (code > 0)
        rows_read_perplexity(&query, ret_row);
    else if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "this perplexity was not computed");
    return query_close(&query, code);
}
