#include "daemon/hub/login.h"

#include "daemon/base/buf.h"
#include "daemon/base/file.h"
#include "daemon/base/limits.h"

#include <stdlib.h>
#include <string.h>

#define STORED_TOKENS_BYTES (1 * MIB)
#define SECONDS_MAX INT64_C(253402300799) /* the end of the year 9999 */

/* The value of a line "key = value", without the white space around it, in place; NULL: of another key. */
static char *value_of(char *line, const char *key)
{
    char *value = line + strspn(line, " \t");
    size_t size = strlen(key);
    if (strncmp(value, key, size) != 0)
        return NULL;
    value += size;
    value += strspn(value, " \t");
    if (*value != '=' && *value != ':')
        return NULL;
    value++;
    value += strspn(value, " \t");
    for (size_t end = strlen(value); end && strchr(" \t\r", value[end - 1]); end--)
        value[end - 1] = 0;
    return value;
}

static int64_t seconds_of(const char *text)
{
    char *end;
    long long seconds = strtoll(text, &end, 10);
    return end == text || *end || seconds < 1 || seconds > SECONDS_MAX ? 0 : seconds;
}

/* Sections of lines, one for each login, in Python's configparser's format. */
static int64_t find_expiry_s(char *text, const char *token)
{
    char *rest = text, *line;
    int is_its = 0;
    int64_t expiry_s = 0;
    while ((line = strsep(&rest, "\n"))) {
        const char *value;
        if (line[0] == '[') {
            if (is_its && expiry_s)
                return expiry_s;
            is_its = 0;
            expiry_s = 0;
        } else if ((value = value_of(line, "hf_token"))) {
            is_its = strcmp(value, token) == 0;
        } else if ((value = value_of(line, "expires_at"))) {
            expiry_s = seconds_of(value);
        }
    }
    return is_its ? expiry_s : 0;
}

int64_t login_expiry_ms(const char *token_path, const char *token)
{
    struct buf text;
    struct err ignored = ERR_INIT; /* who has no such file has not logged in with a browser */
    const char *slash = strrchr(token_path, '/');
    int folder_size = slash ? (int)(slash + 1 - token_path) : 0;
    int64_t expiry_s = 0;
    struct buf path;
    buf_init(&path, 64 * KIB);
    buf_init(&text, STORED_TOKENS_BYTES);
    (void)buf_appendf(&path, "%.*sstored_tokens", folder_size, token_path);
    if (!buf_check(&path, "stored_tokens", &ignored) && !file_read(buf_text(&path), &text, &ignored) &&
        text.size)
        expiry_s = find_expiry_s(text.data, token);
    buf_free(&text);
    buf_free(&path);
    return expiry_s * 1000;
}
