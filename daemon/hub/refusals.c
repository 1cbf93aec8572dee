#include "daemon/hub/refusals.h"

#include <stdio.h>
#include <string.h>

void refusals_init(struct refusals *refusals)
{
    refusals->count = 0;
    (void)pthread_mutex_init(&refusals->lock, NULL);
}

void refusals_free(struct refusals *refusals)
{
    (void)pthread_mutex_destroy(&refusals->lock);
}

static void remove_at(struct refusals *refusals, size_t at)
{
    refusals->count--;
    memmove(&refusals->rows[at], &refusals->rows[at + 1], (refusals->count - at) * sizeof refusals->rows[0]);
}

/* Where the repository is; `count` if it is not there. */
static size_t place_of(const struct refusals *refusals, enum repository_kind kind, const char *name)
{
    size_t at = 0;
    while (at < refusals->count &&
           (refusals->rows[at].kind != kind || strcmp(refusals->rows[at].name, name) != 0))
        at++;
    return at;
}

/* The row of a repository, which becomes the newest; made where there is none, or one of another token. */
static struct refusal *renew(struct refusals *refusals, enum repository_kind kind, const char *name,
                             uint64_t token_serial)
{
    struct refusal row = {.kind = kind, .token_serial = token_serial};
    size_t at = place_of(refusals, kind, name);
    if (at < refusals->count && refusals->rows[at].token_serial == token_serial)
        row = refusals->rows[at];
    if (at < refusals->count)
        remove_at(refusals, at);
    else if (refusals->count == REFUSALS_MAX)
        remove_at(refusals, 0);
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    refusals->rows[refusals->count] = row;
    return &refusals->rows[refusals->count++];
}

int refusals_note(struct refusals *refusals, enum repository_kind kind, const char *name,
                  uint64_t token_serial, int is_certain, const struct err *reason, int64_t now_ms)
{
    if (strlen(name) >= REFUSALS_NAME_SIZE)
        return 1;
    (void)pthread_mutex_lock(&refusals->lock);
    struct refusal *row = renew(refusals, kind, name, token_serial);
    if (!row->doubt_ms || now_ms - row->doubt_ms > REFUSALS_MS)
        row->doubt_ms = now_ms;
    int may_pass = (row->given_ms && now_ms - row->given_ms < REFUSALS_GIVEN_MS) ||
                   (!is_certain && now_ms - row->doubt_ms < REFUSALS_DOUBT_MS);
    if (!may_pass) {
        row->until_ms = now_ms + REFUSALS_MS;
        row->reason = *reason;
    }
    (void)pthread_mutex_unlock(&refusals->lock);
    return !may_pass;
}

void refusals_note_given(struct refusals *refusals, enum repository_kind kind, const char *name,
                         uint64_t token_serial, int64_t now_ms)
{
    if (strlen(name) >= REFUSALS_NAME_SIZE)
        return;
    (void)pthread_mutex_lock(&refusals->lock);
    struct refusal *row = renew(refusals, kind, name, token_serial);
    row->until_ms = row->doubt_ms = 0;
    row->given_ms = now_ms;
    (void)pthread_mutex_unlock(&refusals->lock);
}

int refusals_find(struct refusals *refusals, enum repository_kind kind, const char *name,
                  uint64_t token_serial, int64_t now_ms, struct err *err)
{
    int code = 0;
    (void)pthread_mutex_lock(&refusals->lock);
    size_t at = place_of(refusals, kind, name);
    if (at < refusals->count && refusals->rows[at].token_serial == token_serial &&
        now_ms < refusals->rows[at].until_ms) {
        *err = refusals->rows[at].reason;
        code = err->code;
    }
    (void)pthread_mutex_unlock(&refusals->lock);
    return code;
}

void refusals_forget(struct refusals *refusals, const char *name)
{
    size_t length = strcspn(name, ":");
    (void)pthread_mutex_lock(&refusals->lock);
    for (size_t at = refusals->count; at-- > 0;) {
        if (strncmp(refusals->rows[at].name, name, length) == 0 && !refusals->rows[at].name[length])
            refusals->rows[at].until_ms = 0;
    }
    (void)pthread_mutex_unlock(&refusals->lock);
}
