/*
 * What the hub sends: its JSON replies, header lines and redirects. The first byte chooses the parser.
 */
#include "daemon/base/digest.h"
#include "daemon/base/file.h"
#include "daemon/base/repository_name.h"
#include "daemon/hub/headers.h"
#include "daemon/hub/hub_json.h"
#include "daemon/hub/url.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert, in release builds too. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_tree(const struct repository_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        const struct repository_file *file = &tree->files[i];
        require(file_is_safe_relative(file->path));
        require(!file->sha256[0] || digest_is_hex(file->sha256, 64));
        require(repository_tree_find(tree, file->path) == file);
    }
}

static void parse_tree(const char *text, size_t size)
{
    struct err err = ERR_INIT;
    struct repository_tree *tree = calloc(1, sizeof *tree);
    require(tree != NULL);
    if (hub_json_parse_tree_page(text, size, tree, &err) == 0 && hub_json_finish_tree(tree, &err) == 0)
        check_tree(tree);
    repository_tree_free(tree);
}

static void parse_cached_tree(const char *text, size_t size)
{
    struct err err = ERR_INIT;
    struct repository_tree *tree = NULL;
    if (hub_json_parse_cached_tree(text, size, "0000000000000000000000000000000000000000", &tree, &err) == 0)
        check_tree(tree);
    repository_tree_free(tree);
}

static void parse_refs(const char *text, size_t size)
{
    struct err err = ERR_INIT;
    struct repository_refs *refs = calloc(1, sizeof *refs);
    require(refs != NULL);
    if (hub_json_parse_refs_page(text, size, refs, &err) == 0) {
        for (size_t i = 0; i < refs->count; i++)
            require(refs->rows[i].name[0] && digest_is_hex(refs->rows[i].commit, 40));
    }
    repository_refs_free(refs);
}

static void parse_commits(const char *text, size_t size)
{
    struct err err = ERR_INIT;
    struct repository_commits *commits = calloc(1, sizeof *commits);
    require(commits != NULL);
    if (hub_json_parse_commits_page(text, size, commits, &err) == 0) {
        for (size_t i = 0; i < commits->count; i++) {
            const struct repository_commit *row = &commits->rows[i];
            require(digest_is_hex(row->id, 40) && row->title[0] && !strpbrk(row->title, "\n\r\x1b"));
            require(row->date_ms >= -1);
        }
    }
    repository_commits_free(commits);
}

static void parse_models(const char *text, size_t size)
{
    struct err err = ERR_INIT;
    struct hub_listing *listing = calloc(1, sizeof *listing);
    require(listing != NULL);
    if (hub_json_parse_models_page(text, size, "org", listing, &err) == 0) {
        for (size_t i = 0; i < listing->count; i++) {
            const struct hub_listed *row = &listing->rows[i];
            require(repository_name_is_valid(row->name) && repository_name_owner_size(row->name) == 3);
            require(!row->commit[0] || digest_is_hex(row->commit, 40));
        }
    }
    hub_listing_free(listing);
}

static void parse_headers(const char *text, size_t size)
{
    struct headers headers;
    headers_init(&headers);
    while (size) {
        const char *end = memchr(text, '\n', size);
        size_t line = end ? (size_t)(end - text) + 1 : size;
        require(headers_parse_line(&headers, text, line, 1700000000000) == 0);
        text += line;
        size -= line;
    }
    require(!headers.has_content_range || headers.range_end >= headers.range_begin);
    require(headers.retry_after_ms >= -1 && headers.ratelimit_reset_ms >= -1);
    headers_free(&headers);
}

static void follow(const char *text, size_t size)
{
    struct err err = ERR_INIT;
    char *url = NULL, *location = strndup(text, size);
    require(location != NULL);
    if (url_follow("https://hub.example/a/b?c", location, &url, &err) == 0) {
        require(url_is_https(url));
        (void)url_is_same_origin("https://hub.example", url);
    }
    free(url);
    free(location);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char said[64];
    char commit[REPOSITORY_COMMIT_SIZE];
    struct err err = ERR_INIT;
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    size--;
    switch (data[0]) {
    case 'r':
        parse_refs(text, size);
        break;
    case 't':
        parse_tree(text, size);
        break;
    case 'c':
        parse_cached_tree(text, size);
        break;
    case 'k':
        parse_commits(text, size);
        break;
    case 'm':
        parse_models(text, size);
        break;
    case 'i':
        if (hub_json_parse_commit(text, size, commit, &err) == 0)
            require(digest_is_hex(commit, 40));
        break;
    case 'w':
        if (hub_json_parse_user(text, size, said, sizeof said, &err) == 0)
            require(said[0] && !strpbrk(said, "\n\r\x1b"));
        break;
    case 'e':
        hub_json_parse_error(text, size, said, sizeof said);
        break;
    case 'h':
        parse_headers(text, size);
        break;
    case 'u':
        follow(text, size);
        break;
    default:
        break;
    }
    return 0;
}
