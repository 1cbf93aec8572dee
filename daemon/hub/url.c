#include "daemon/hub/url.h"

#include "daemon/base/limits.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void append_encoded(struct buf *url, const char *text, const char *kept)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~-";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (strchr(unreserved, c) || strchr(kept, c)) {
            (void)buf_append_char(url, (char)c);
        } else {
            (void)buf_append_char(url, '%');
            (void)buf_append_char(url, digits[c >> 4]);
            (void)buf_append_char(url, digits[c & 15]);
        }
    }
}

void url_append_segment(struct buf *url, const char *text)
{
    append_encoded(url, text, "");
}

void url_append_path(struct buf *url, const char *path)
{
    append_encoded(url, path, "/");
}

int url_is_https(const char *url)
{
    return strncasecmp(url, "https://", 8) == 0;
}

static int is_http_or_https(const char *url)
{
    return url_is_https(url) || strncasecmp(url, "http://", 7) == 0;
}

int url_follow(const char *base, const char *location, char **ret_url, struct err *err)
{
    int code = ERR_HTTP;
    char *joined = NULL;
    char *copy = NULL;
    CURLU *url = curl_url();
    if (!url)
        return err_set(err, ERR_NO_MEMORY, "redirect: out of memory");
    if (strlen(location) >= LIMIT_URL_BYTES ||
        curl_url_set(url, CURLUPART_URL, base, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        curl_url_set(url, CURLUPART_URL, location, CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_URL, &joined, 0) != CURLUE_OK) {
        (void)err_set(err, ERR_HTTP, "the server redirects to something that is not an address: %.200s",
                      location);
        goto out;
    }
    if (!is_http_or_https(joined)) {
        (void)err_set(err, ERR_HTTP, "the server redirects to neither http nor https: %.200s", location);
        goto out;
    }
    if (url_is_https(base) && !url_is_https(joined)) {
        (void)err_set(err, ERR_HTTP, "the server redirects from https to unprotected http, refused: %.200s",
                      location);
        goto out;
    }
    copy = strdup(joined);
    if (!copy) {
        code = err_set(err, ERR_NO_MEMORY, "redirect: out of memory");
        goto out;
    }
    *ret_url = copy;
    code = 0;
out:
    curl_free(joined);
    curl_url_cleanup(url);
    return code;
}

/* Compares one part of two addresses; both must have it. */
static int is_same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *text_a = NULL, *text_b = NULL;
    int same = curl_url_get(a, part, &text_a, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(b, part, &text_b, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               strcasecmp(text_a, text_b) == 0;
    curl_free(text_a);
    curl_free(text_b);
    return same;
}

int url_is_same_origin(const char *a, const char *b)
{
    CURLU *url_a = curl_url(), *url_b = curl_url();
    int same = url_a && url_b && curl_url_set(url_a, CURLUPART_URL, a, 0) == CURLUE_OK &&
               curl_url_set(url_b, CURLUPART_URL, b, 0) == CURLUE_OK &&
               is_same_part(url_a, url_b, CURLUPART_SCHEME) && is_same_part(url_a, url_b, CURLUPART_HOST) &&
               is_same_part(url_a, url_b, CURLUPART_PORT);
    curl_url_cleanup(url_a);
    curl_url_cleanup(url_b);
    return same;
}

static int has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    int has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

int url_is_endpoint(const char *text)
{
    CURLU *url = curl_url();
    int good = url && is_http_or_https(text) && strlen(text) < LIMIT_URL_BYTES / 4 &&
               curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK && !has_part(url, CURLUPART_USER) &&
               !has_part(url, CURLUPART_QUERY) && !has_part(url, CURLUPART_FRAGMENT);
    curl_url_cleanup(url);
    return good;
}
