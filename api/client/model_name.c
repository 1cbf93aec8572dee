#include "api/client/model_name.h"

#include "api/client/link.h"
#include "daemon/base/bare_name.h"
#include "daemon/base/limits.h"
#include "daemon/base/local_name.h"
#include "daemon/base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A folder that was moved or deleted has no real path, but its results have a name: that of the place where
 * it was. */
static int refuse_folder(const char *model, struct err *err)
{
    int number = errno;
    size_t length = strlen(model);
    while (length > 1 && model[length - 1] == '/')
        length--;
    char *parent = strndup(model, length), *path = NULL, *slash = parent ? strrchr(parent, '/') : NULL;
    int code = err_set_errno(err, number, "folder %.200s", model);
    if (number == ENOENT && slash && slash[1] && slash[1] != '.') {
        slash[0] = '\0';
        path = realpath(slash == parent ? "/" : parent, NULL);
    }
    if (path)
        code =
            err_set(err, ERR_NOT_FOUND,
                    "folder %.200s: there is none; what was measured of one that was there is of the model "
                    "file:%.200s%s%.100s",
                    model, strcmp(path, "/") == 0 ? "" : path, "/", slash + 1);
    free(parent);
    free(path);
    return code;
}

int client_model_name(const char *model, struct buf *name, struct err *err)
{
    if (model[0] == '/' || model[0] == '.') {
        char *path = realpath(model, NULL);
        if (!path)
            return refuse_folder(model, err);
        buf_appendf(name, "file:%s", path);
        free(path);
    } else if (!strchr(model, '/') || strncmp(model, "http://", 7) == 0 ||
               strncmp(model, "https://", 8) == 0) {
        char full[BARE_NAME_SIZE];
        int is_known = bare_name_complete(model, full)[0] != 0;
        return err_set(err, ERR_INVALID,
                       "model %.200s: write owner/name, %s, or file:/path for a folder of checkpoints", model,
                       is_known ? full : "as in EleutherAI/pythia-14m");
    } else {
        buf_append_text(name, model);
    }
    if (!utf8_is_valid(buf_text(name), name->size))
        return err_set(err, ERR_INVALID, "model %.200s: its name is not UTF-8", buf_text(name));
    return buf_check(name, "model", err);
}

void client_model_note_folder(const char *model)
{
    struct stat found;
    if (model[0] != '/' && model[0] != '.' && !local_name_is(model) && stat(model, &found) == 0 &&
        S_ISDIR(found.st_mode))
        (void)fprintf(stderr, "%s is taken as a model on the hub; the folder of that name is ./%s\n", model,
                      model);
}

int client_model_target(struct buf *buf, const char *model, struct err *err)
{
    struct buf name;
    buf_init(&name, LIMIT_MODEL_NAME_BYTES);
    int code = client_model_name(model, &name, err);
    const char *text = buf_text(&name);
    const char *slash = strchr(text, '/');
    if (!code) {
        buf_append_text(buf, "/v1/models/");
        if (local_name_is(text)) {
            buf_append_text(buf, "file/");
            client_link_encode(buf, local_name_path(text));
        } else {
            name.data[slash - text] = '\0';
            client_link_encode(buf, text);
            buf_append_char(buf, '/');
            client_link_encode(buf, slash + 1);
        }
        code = buf_check(buf, "model", err);
    }
    buf_free(&name);
    return code;
}
