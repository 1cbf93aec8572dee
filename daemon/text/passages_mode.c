#include "daemon/text/passages_mode.h"

#include <stddef.h>
#include <string.h>

static const struct {
    enum passages_mode mode;
    const char *name;
} modes[] = {
    {PASSAGES_MODE_LAST_WORD, "last_word"},
    {PASSAGES_MODE_TOKENS, "tokens"},
    {PASSAGES_MODE_TEXT_MEAN, "text_mean"},
};

const char *passages_mode_name(enum passages_mode mode)
{
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (modes[i].mode == mode)
            return modes[i].name;
    }
    return "unknown";
}

int passages_mode_parse(const char *name, enum passages_mode *ret_mode, struct err *err)
{
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, name) == 0) {
            *ret_mode = modes[i].mode;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID,
                   "\"%.40s\" is not a definition of perplexity: last_word, tokens or text_mean", name);
}
