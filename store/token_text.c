#include "store/token_text.h"

#include "daemon/base/digest.h"

#include <string.h>
#include <sys/random.h>

#define PREFIX_SIZE (sizeof TOKEN_TEXT_PREFIX - 1)
#define SECRET_BYTES 32
#define CHECKED_SIZE (PREFIX_SIZE + (size_t)2 * SECRET_BYTES) /* what the checksum is made of */
#define CHECKSUM_DIGITS 8

static int checksum_of(const char *text, char digits[CHECKSUM_DIGITS + 1], struct err *err)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    int code = digest_sha256_hex(text, CHECKED_SIZE, hex, err);
    if (code)
        return code;
    memcpy(digits, hex, CHECKSUM_DIGITS);
    digits[CHECKSUM_DIGITS] = 0;
    return 0;
}

int token_text_make(char text[TOKEN_TEXT_SIZE], struct err *err)
{
    unsigned char secret[SECRET_BYTES];
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret)
        return err_set(err, ERR_INTERNAL, "token: the kernel gives no random bytes");
    memcpy(text, TOKEN_TEXT_PREFIX, PREFIX_SIZE);
    digest_to_hex(secret, sizeof secret, text + PREFIX_SIZE);
    explicit_bzero(secret, sizeof secret);
    return checksum_of(text, text + CHECKED_SIZE, err);
}

int token_text_has_prefix(const char *text)
{
    return strncmp(text, TOKEN_TEXT_PREFIX, PREFIX_SIZE) == 0;
}

int token_text_is_whole(const char *text)
{
    char digits[CHECKSUM_DIGITS + 1];
    struct err err = ERR_INIT;
    return token_text_has_prefix(text) && strlen(text) == TOKEN_TEXT_SIZE - 1 &&
           digest_is_hex(text + PREFIX_SIZE, TOKEN_TEXT_SIZE - 1 - PREFIX_SIZE) &&
           checksum_of(text, digits, &err) == 0 && strcmp(text + CHECKED_SIZE, digits) == 0;
}
