#include "api/client/pages.h"

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

#define PAGES_MAX 10000

/* Nonzero: there is no memory for it. */
static int append_page(json_t *document, json_t *more, const char *key)
{
    json_t *damaged = json_object_get(document, "damaged"), *also = json_object_get(more, "damaged");
    json_t *further = json_object_get(more, "next_cursor");
    return json_array_extend(json_object_get(document, key), json_object_get(more, key)) ||
           (json_is_array(damaged) && json_is_array(also) && json_array_extend(damaged, also)) ||
           json_object_set_new(document, "next_cursor", further ? json_incref(further) : json_null());
}

int pages_get(struct client_link *link, const char *target, const char *key, json_t **ret_document,
              struct err *err)
{
    json_t *document = NULL;
    size_t before = client_link_taken(link);
    int code = client_link_get(link, target, &document, err);
    if (!code && !json_is_array(json_object_get(document, key)))
        code = err_set(err, ERR_FORMAT, "%s%s: the answer has no list \"%s\"; is it a bifurcated?",
                       client_link_server(link), target, key);
    for (int page = 1; !code; page++) {
        const char *cursor = json_string_value(json_object_get(document, "next_cursor"));
        struct buf next;
        json_t *more = NULL;
        if (!cursor)
            break;
        /* A part is no list. */
        if (page == PAGES_MAX || client_link_taken(link) - before > CLIENT_BODY_BYTES_MAX) {
            code = err_set(err, ERR_LIMIT, "%s%s: the list does not end after %d pages and %zu MiB",
                           client_link_server(link), target, page, (client_link_taken(link) - before) / MIB);
            break;
        }
        buf_init(&next, 2 * LIMIT_URL_BYTES);
        buf_append_text(&next, target);
        client_link_append(&next, "cursor", cursor);
        code = buf_check(&next, "URL", err);
        if (!code)
            code = client_link_get(link, buf_text(&next), &more, err);
        buf_free(&next);
        if (code)
            break;
        if (json_array_size(json_object_get(more, key)) == 0)
            code = err_set(err, ERR_FORMAT, "%s%s: a page without rows names a further one",
                           client_link_server(link), target);
        else if (append_page(document, more, key))
            code = err_set(err, ERR_NO_MEMORY, "%s%s: out of memory", client_link_server(link), target);
        json_decref(more);
    }
    if (code)
        json_decref(document);
    else
        *ret_document = document;
    return code;
}
