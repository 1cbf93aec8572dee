#include "daemon/base/revision_place.h"

#include "daemon/base/file.h"
#include "daemon/base/local_name.h"
#include "daemon/base/utf8.h"

#include <stdio.h>
#include <string.h>

#define PREFIX_SIZE (sizeof REVISION_PLACE_REPOSITORY_PREFIX - 1)

static const char forms[] = "write a branch or tag, BRANCH:FOLDER, BRANCH^TITLE or hf://OWNER/NAME";

static int is_plain(const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return 0;
    }
    return utf8_is_valid(text, strlen(text));
}

/* A branch or another revision that the hub resolves: what git refuses in a ref is refused here as far as it
 * would mean something else in an address. */
static int is_branch(const char *branch)
{
    size_t size = strlen(branch);
    return file_is_safe_relative(branch) && !strstr(branch, "..") && branch[size - 1] != '.';
}

/* The repository of a rule: its owner is written out; what stands for something else is read as if it were a
 * digit. */
static int is_repository_rule(const char *rule)
{
    char name[LIMIT_REVISION_NAME_BYTES];
    size_t used = 0;
    const char *slash = strchr(rule, '/');
    if (!slash || strcspn(rule, "{}*") < (size_t)(slash - rule))
        return 0;
    for (const char *p = rule; *p; p++) {
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        name[used++] = (char)(end || *p == '*' ? '0' : *p);
        p = end ? end : p;
    }
    name[used] = '\0';
    return repository_name_is_valid(name);
}

static int refuse(const char *what, const char *name, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s \"%.100s\": %s", what, name, why);
}

static int read_repository(const char *what, const char *name, int is_rule, struct revision_place *place,
                           struct err *err)
{
    place->kind = REVISION_PLACE_REPOSITORY;
    place->rest = name + PREFIX_SIZE;
    if (is_rule ? is_repository_rule(place->rest)
                : repository_name_is_valid(place->rest) && repository_name_owner_size(place->rest))
        return 0;
    return refuse(what, name,
                  is_rule ? "after hf:// stands OWNER/NAME, the owner without placeholders and '*'"
                          : "after hf:// stands OWNER/NAME, a repository on the hub",
                  err);
}

static int read_place(const char *model, const char *name, int is_rule, struct revision_place *place,
                      struct err *err)
{
    const char *what = is_rule ? "the rule for revision names" : "revision";
    const int is_local = model && local_name_is(model);
    *place = (struct revision_place){.kind = REVISION_PLACE_REF, .rest = name};
    if (is_local)
        return 0;
    const size_t size = strcspn(name, ":^"), length = strlen(name);
    if (!name[size])
        return 0;
    if (length >= LIMIT_REVISION_NAME_BYTES)
        return err_set(err, ERR_INVALID, "%s %.40s...: at most %d bytes", what, name,
                       LIMIT_REVISION_NAME_BYTES - 1);
    if (!is_plain(name))
        return refuse(what, name, "a name is UTF-8 without control characters", err);
    if (strncmp(name, REVISION_PLACE_REPOSITORY_PREFIX, PREFIX_SIZE) == 0)
        return read_repository(what, name, is_rule, place, err);
    memcpy(place->branch, name, size);
    place->kind = name[size] == ':' ? REVISION_PLACE_FOLDER : REVISION_PLACE_COMMIT;
    place->rest = name + size + 1;
    if (is_rule && strpbrk(place->branch, "{}*"))
        return refuse(what, name, "the branch is written out, without placeholders and '*'", err);
    if (!is_branch(place->branch))
        return refuse(what, name, forms, err);
    if (place->kind == REVISION_PLACE_FOLDER && !file_is_safe_relative(place->rest))
        return refuse(what, name, "after ':' stands the path of a folder of the branch, without . and ..",
                      err);
    if (place->kind == REVISION_PLACE_COMMIT && !place->rest[0])
        return refuse(what, name, "after '^' stands the title of a commit of the branch", err);
    return 0;
}

int revision_place_read(const char *model, const char *name, struct revision_place *ret_place,
                        struct err *err)
{
    return read_place(model, name, 0, ret_place, err);
}

int revision_place_read_rule(const char *model, const char *rule, struct revision_place *ret_place,
                             struct err *err)
{
    return read_place(model, rule, 1, ret_place, err);
}

int revision_place_write(enum revision_place_kind kind, const char *branch, const char *rest,
                         char name[LIMIT_REVISION_NAME_BYTES])
{
    struct revision_place place;
    struct err ignored = ERR_INIT;
    int length = 0;
    if (kind == REVISION_PLACE_REF)
        length = snprintf(name, LIMIT_REVISION_NAME_BYTES, "%s", rest);
    else if (kind == REVISION_PLACE_REPOSITORY)
        length = snprintf(name, LIMIT_REVISION_NAME_BYTES, REVISION_PLACE_REPOSITORY_PREFIX "%s", rest);
    else
        length = snprintf(name, LIMIT_REVISION_NAME_BYTES, "%s%c%s", branch,
                          kind == REVISION_PLACE_FOLDER ? ':' : '^', rest);
    /* What it says must be what was meant: a branch with a ':' is none. */
    if (length > 0 && length < LIMIT_REVISION_NAME_BYTES &&
        !revision_place_read(NULL, name, &place, &ignored) && place.kind == kind &&
        strcmp(place.rest, rest) == 0)
        return 1;
    name[0] = '\0';
    return 0;
}

void revision_place_search(const struct revision_place *rule, char owner[REPOSITORY_NAME_SIZE],
                           char text[REPOSITORY_NAME_SIZE])
{
    const size_t size = repository_name_owner_size(rule->rest);
    const char *name = rule->rest + size + (size ? 1 : 0);
    (void)snprintf(owner, REPOSITORY_NAME_SIZE, "%.*s", (int)size, rule->rest);
    (void)snprintf(text, REPOSITORY_NAME_SIZE, "%.*s", (int)strcspn(name, "{*"), name);
}
