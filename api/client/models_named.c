#include "api/client/models_named.h"

#include "api/client/answer.h"
#include "api/client/model_name.h"
#include "api/client/pages.h"
#include "daemon/base/limits.h"

#include <string.h>

/* ERR_INVALID: two words are one model, whichever way they are written. What is none is told when it is asked
 * for. */
static int check_apart(const struct client_arguments *arguments, struct err *err)
{
    struct buf names[CLIENT_WORDS_MAX];
    int code = 0;
    for (size_t i = 0; i < arguments->word_count; i++) {
        struct err ignored = ERR_INIT;
        buf_init(&names[i], LIMIT_MODEL_NAME_BYTES);
        (void)client_model_name(arguments->words[i], &names[i], &ignored);
        for (size_t k = 0; k < i && names[i].size && !code; k++) {
            if (strcmp(buf_text(&names[i]), buf_text(&names[k])) == 0)
                code = err_set(err, ERR_INVALID, "%.200s is named twice", buf_text(&names[i]));
        }
    }
    for (size_t i = 0; i < arguments->word_count; i++)
        buf_free(&names[i]);
    return code;
}

int client_models_check(const struct client_arguments *arguments, struct err *err)
{
    const size_t count = arguments->word_count;
    const char *name = arguments->command->name;
    if (arguments->values[CLIENT_OPTION_PREFIX] && count)
        return err_set(err, ERR_INVALID, "%s takes models or --prefix, not both", name);
    if (!arguments->values[CLIENT_OPTION_PREFIX] && !count)
        return err_set(err, ERR_INVALID, "%s needs MODEL..., or --prefix TEXT for all whose names begin so",
                       name);
    return check_apart(arguments, err);
}

static int is_before(const json_t *model, const json_t *other)
{
    const int64_t size = member_integer(model, "parameter_count"),
                  other_size = member_integer(other, "parameter_count");
    return size != other_size ? size < other_size
                              : strcmp(member_text(model, "name"), member_text(other, "name")) < 0;
}

/* Those of the list that count, in order. */
static int choose(const json_t *list, const char *prefix, struct client_models *models, struct err *err)
{
    const json_t *chosen[CLIENT_WORDS_MAX] = {NULL}, *model;
    size_t i;
    json_array_foreach(list, i, model)
    {
        if (strncmp(member_text(model, "name"), prefix, strlen(prefix)) != 0 ||
            member_integer(model, "measured_count") == 0)
            continue;
        if (models->count == CLIENT_WORDS_MAX)
            return err_set(err, ERR_LIMIT, "--prefix %.100s: more than %d models; a longer one names fewer",
                           prefix, CLIENT_WORDS_MAX);
        size_t at = models->count++;
        for (; at > 0 && is_before(model, chosen[at - 1]); at--)
            chosen[at] = chosen[at - 1];
        chosen[at] = model;
    }
    for (i = 0; i < models->count; i++)
        models->names[i] = member_text(chosen[i], "name");
    return models->count ? 0
                         : err_set(err, ERR_NOT_FOUND,
                                   "--prefix %.100s: no measured model has a name that begins so; `bifurcate "
                                   "models` lists them",
                                   prefix);
}

int client_models_find(const struct client_arguments *arguments, struct client_link *link,
                       struct client_models *models, struct err *err)
{
    const char *prefix = arguments->values[CLIENT_OPTION_PREFIX];
    *models = (struct client_models){.count = 0};
    if (prefix) {
        int code = pages_get(link, "/v1/models?limit=10000&fields=name,parameter_count,measured_count",
                             "models", &models->document, err);
        return code ? code : choose(json_object_get(models->document, "models"), prefix, models, err);
    }
    models->count = arguments->word_count;
    memcpy(models->names, arguments->words, models->count * sizeof models->names[0]);
    return 0;
}

void client_models_free(struct client_models *models)
{
    json_decref(models->document);
}
