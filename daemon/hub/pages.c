#include "daemon/hub/pages.h"

#include "daemon/base/limits.h"
#include "daemon/hub/exchange.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_PAGE_BYTES 1000 /* fewer than ten entries; the hub's pages have a thousand */

struct pages {
    size_t count, small_count;
    uint64_t begun_us; /* what the repository's transfers had taken before */
    char *urls[LIMIT_HUB_PAGES];
};

/* Takes the next page's address; a listing that leads back to where it was would never end. */
static int add_page(struct pages *pages, const char *what, char *url, struct err *err)
{
    for (size_t i = 0; i < pages->count; i++) {
        if (strcmp(pages->urls[i], url) == 0) {
            free(url);
            return err_set(err, ERR_FORMAT, "%s: the hub's pages lead in a circle", what);
        }
    }
    if (pages->count == LIMIT_HUB_PAGES) {
        free(url);
        return err_set(err, ERR_LIMIT, "%s: more than %d pages", what, LIMIT_HUB_PAGES);
    }
    pages->urls[pages->count++] = url;
    return 0;
}

/* Whether a listing may go on after this page: one that leads on and on must not hold up whoever lists
 * others. Waits for limits do not count. */
static int check_progress(struct hub_repository *hub_repository, struct pages *pages, const char *what,
                          size_t page_bytes, struct err *err)
{
    int64_t limit_ms = hub_repository->hub->options.stall_timeout_ms * EXCHANGE_STALLS_MAX;
    uint64_t taken_us = atomic_load(&hub_repository->usage.transfer_us) - pages->begun_us;
    if (page_bytes < SMALL_PAGE_BYTES && ++pages->small_count > LIMIT_HUB_SMALL_PAGES)
        return err_set(err, ERR_LIMIT, "%s: more than %d pages that hold next to nothing", what,
                       LIMIT_HUB_SMALL_PAGES);
    if (taken_us / 1000 > (uint64_t)limit_ms)
        return err_set(err, ERR_TIMEOUT,
                       "%s: %zu pages took %" PRId64
                       " s and there are more; a larger stall timeout gives them "
                       "more time",
                       what, pages->count, (int64_t)(taken_us / 1000000));
    return 0;
}

int pages_read(struct hub_repository *hub_repository, const char *what, struct buf *url, pages_take *take,
               void *list, struct err *err)
{
    struct buf body;
    struct pages *pages = calloc(1, sizeof *pages);
    if (pages)
        pages->begun_us = atomic_load(&hub_repository->usage.transfer_us);
    buf_init(&body, LIMIT_HUB_JSON_BYTES);
    int code = buf_check(url, "address", err);
    char *next = code ? NULL : buf_take(url);
    if (!code && (!next || !pages))
        code = err_set(err, ERR_NO_MEMORY, "%s: out of memory", what);
    while (!code && next) {
        char *page = next;
        next = NULL;
        code = add_page(pages, what, page, err);
        if (code)
            break;
        buf_clear(&body);
        code = request_get_json(hub_repository, page, &body, &next, err);
        if (!code)
            code = take(buf_text(&body), body.size, list, err);
        if (!code && next)
            code = check_progress(hub_repository, pages, what, body.size, err);
    }
    free(next);
    for (size_t i = 0; pages && i < pages->count; i++)
        free(pages->urls[i]);
    free(pages);
    buf_free(&body);
    return code;
}
