/*
 * The hub's JSON replies as objects: pure functions of bytes, which may be hostile.
 */
#ifndef BIFURCATED_HUB_HUB_JSON_H
#define BIFURCATED_HUB_HUB_JSON_H

#include "daemon/base/err.h"
#include "daemon/hub/hub.h"

#include <stddef.h>

/* .../refs: {"branches": [{"name", "ref", "targetCommit"}], "tags": [...], "pullRequests": [...]}, appended
 * to `refs`. ERR_FORMAT for anything else, also for a name with control characters or a bad commit; ERR_LIMIT
 * for more than LIMIT_HUB_REFS in all. */
int hub_json_parse_refs_page(const char *data, size_t size, struct repository_refs *refs, struct err *err);

/* One page of .../tree: appends its files to `tree` (what is no file is passed over). ERR_FORMAT for a path
 * that leaves the folder, a negative size or a bad digest; ERR_LIMIT for too many files. */
int hub_json_parse_tree_page(const char *data, size_t size, struct repository_tree *tree, struct err *err);

/* Sorts a tree whose pages are complete; ERR_FORMAT if a path occurs twice. */
int hub_json_finish_tree(struct repository_tree *tree, struct err *err);

/* One page of .../commits: [{"id": "<40 hex>", "title": "...", "date": "2023-02-13T12:00:00.000Z", "message",
 * "authors"}], appended to `commits`; one whose title nobody can ask for (see repository_list_commits) is
 * passed over. ERR_FORMAT for anything else, also for a bad id; ERR_LIMIT for more than LIMIT_HUB_COMMITS in
 * all. */
int hub_json_parse_commits_page(const char *data, size_t size, struct repository_commits *commits,
                                struct err *err);

/* One page of /api/models?author=OWNER...: [{"id": "OWNER/name", "sha": "<40 hex>"}], appended to `listing`;
 * what is no model of this owner is passed over. Older answers of hubs call the id "modelId"; where "sha" was
 * not asked for, or a model has no branch, it is absent or null. ERR_FORMAT for anything else, ERR_LIMIT for
 * more than LIMIT_HUB_REPOSITORIES in all. */
int hub_json_parse_models_page(const char *data, size_t size, const char *owner, struct hub_listing *listing,
                               struct err *err);

/* /api/models/.../revision/...: {"sha": "..."}, the commit, into REPOSITORY_COMMIT_SIZE bytes. */
int hub_json_parse_commit(const char *data, size_t size, char *commit, struct err *err);

/* {"error": "..."} or {"errors": [{"message": "..."}]}: the text, cut to `text_size`; "" if there is none. */
void hub_json_parse_error(const char *data, size_t size, char *text, size_t text_size);

/* /api/whoami-v2: {"name": "..."}; cut to `name_size`. ERR_FORMAT for anything else. */
int hub_json_parse_user(const char *data, size_t size, char *name, size_t name_size, struct err *err);

/* A tree as huggingface_hub keeps it in trees/<commit>.json: {"format_version": 1, "files": {path: {"size",
 * "blob_id", "lfs_sha256", "lfs_size"}}}. The caller frees *ret_tree. */
int hub_json_parse_cached_tree(const char *data, size_t size, const char *commit,
                               struct repository_tree **ret_tree, struct err *err);

/* Appends one file, bounded and checked; for other makers of trees. One whose name git allows and nothing
 * here reads (a backslash, control characters, LIMIT_FILE_NAME_BYTES or more) is passed over: it must not
 * cost the revision. */
int hub_json_append_file(struct repository_tree *tree, const char *path, uint64_t size_bytes,
                         const char *git_oid, const char *sha256, struct err *err);

/* Whether a revision can be called so: UTF-8 without control characters, shorter than
 * LIMIT_REVISION_NAME_BYTES. */
int hub_json_is_ref_name(const char *name);

/* Appends one ref, bounded and checked; for other makers of lists. One whose name git allows and nobody here
 * can ask for (LIMIT_REVISION_NAME_BYTES or more) is passed over. */
int hub_json_append_ref(struct repository_refs *refs, enum repository_ref_kind kind, const char *name,
                        const char *commit, struct err *err);

/* Appends one commit or model, bounded and checked as those of the hub's pages. */
int hub_json_append_commit(struct repository_commits *commits, const char *id, const char *title,
                           int64_t date_ms, struct err *err);
int hub_json_append_model(struct hub_listing *listing, const char *owner, const char *name,
                          const char *commit, struct err *err);

#endif
