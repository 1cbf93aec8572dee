/*
 * Names of revisions and rules for them: the first line is the rule, the rest the name.
 */
#include "daemon/base/name_rule.h"
#include "daemon/base/revision_place.h"

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

static void check_rule(const char *rule)
{
    struct err err = ERR_INIT;
    struct revision_place place;
    if (name_rule_check(rule, &err) || revision_place_read_rule(NULL, rule, &place, &err))
        return;
    char owner[REPOSITORY_NAME_SIZE], text[REPOSITORY_NAME_SIZE];
    require(!strpbrk(place.branch, "{}*"));
    if (place.kind == REVISION_PLACE_REPOSITORY) {
        revision_place_search(&place, owner, text);
        require(repository_name_is_valid(owner) && !strpbrk(text, "{}*/"));
    }
}

static void check_name(const char *name)
{
    struct err err = ERR_INIT;
    struct revision_place place;
    char written[LIMIT_REVISION_NAME_BYTES], rule[NAME_RULE_SIZE];
    int64_t numbers[NAME_RULE_PART_COUNT] = {0};
    if (revision_place_read("owner/name", name, &place, &err) == 0 && place.kind != REVISION_PLACE_REF) {
        require(revision_place_write(place.kind, place.branch, place.rest, written));
        require(strcmp(written, name) == 0);
    }
    /* A name's own rule is a rule, and reads it. */
    if (name_rule_write(name, rule)) {
        require(name_rule_check(rule, &err) == 0);
        require(name_rule_read(rule, name, numbers));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t numbers[NAME_RULE_PART_COUNT] = {0};
    struct err err = ERR_INIT;
    char *rule = strndup((const char *)data, size);
    require(rule != NULL);
    char *name = strchr(rule, '\n');
    if (name) {
        *name++ = '\0';
        check_rule(rule);
        check_name(name);
        if (name_rule_check(rule, &err) == 0 && name_rule_read(rule, name, numbers))
            require(numbers[NAME_RULE_PART_STEP] >= 0 && numbers[NAME_RULE_PART_TOKENS] >= 0);
    }
    free(rule);
    return 0;
}
