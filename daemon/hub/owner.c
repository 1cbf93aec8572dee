/* The models of an owner, as the hub's search finds them. */
#include "daemon/hub/client.h"

#include "daemon/base/limits.h"
#include "daemon/base/repository_name.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/offline.h"
#include "daemon/hub/pages.h"
#include "daemon/hub/url.h"

#include <stdlib.h>
#include <string.h>

struct search {
    const char *owner;
    struct hub_listing *listing;
};

static int take_models(const char *data, size_t size, void *list, struct err *err)
{
    const struct search *search = list;
    return hub_json_parse_models_page(data, size, search->owner, search->listing, err);
}

/* The hub's own clients write it like this; "expand" names what each entry has beside its id, and without it
 * an entry has a dozen things but no commit. The hub answers with at most 1000 at once. */
static void append_search(const struct hub *hub, const char *owner, const char *text, struct buf *url)
{
    (void)buf_appendf(url, "%s/api/models?author=", hub->options.endpoint);
    url_append_segment(url, owner);
    if (text[0]) {
        (void)buf_append_text(url, "&search=");
        url_append_segment(url, text);
    }
    (void)buf_append_text(url, "&expand=sha&limit=1000");
}

int hub_list_repositories(struct repository *repository, const char *owner, const char *text,
                          struct hub_listing **ret_listing, struct err *err)
{
    struct buf url;
    struct hub_repository *payer = client_repository_of(repository);
    struct repository *named = NULL; /* in whose name the hub is asked, and errors are told */
    if (!payer)
        return err_set(err, ERR_UNSUPPORTED, "%s: a folder has no neighbours on the hub", repository->name);
    struct hub *hub = payer->hub;
    if (!repository_name_is_valid(owner) || strchr(owner, '/'))
        return err_set(err, ERR_INVALID, "%.100s: not the name of an owner on the hub", owner);
    int code = hub_open_repository(hub, REPOSITORY_KIND_MODEL, owner, repository->cancel, &named, err);
    if (code)
        return code;
    client_repository_of(named)->payer = payer;
    struct search search = {.owner = owner, .listing = calloc(1, sizeof *search.listing)};
    buf_init(&url, LIMIT_URL_BYTES);
    append_search(hub, owner, text, &url);
    if (!search.listing)
        code = err_set(err, ERR_NO_MEMORY, "models of %s: out of memory", owner);
    else if (hub->options.is_offline)
        code = offline_list_models(client_repository_of(named), owner, text, search.listing, err);
    else
        code = pages_read(client_repository_of(named), "models", &url, take_models, &search, err);
    /* An owner without models, or that does not exist, has an empty list. */
    if (code == ERR_NOT_FOUND && !hub->options.is_offline) {
        err->absent = ERR_ABSENT_OTHER;
        err->code = ERR_UNSUPPORTED;
        code = err_wrap(err, "%.200s cannot be searched", hub->options.endpoint);
    }
    buf_free(&url);
    repository_close(named);
    if (code) {
        hub_listing_free(search.listing);
        return err_wrap(err, "models of %s", owner);
    }
    *ret_listing = search.listing;
    return 0;
}

void hub_listing_free(struct hub_listing *listing)
{
    if (!listing)
        return;
    for (size_t i = 0; i < listing->count; i++)
        free(listing->rows[i].name);
    free(listing->rows);
    free(listing);
}
