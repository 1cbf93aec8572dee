/*
 * Keys of workers, and the names that follow from them.
 */
#include "api/wire/wire.h"
#include "daemon/base/digest.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define KEY_BYTES 16

_Static_assert(WIRE_KEY_SIZE == 2 * KEY_BYTES + 1, "a key is digits");

int wire_key_make(char key[WIRE_KEY_SIZE], struct err *err)
{
    unsigned char bytes[KEY_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_set(err, ERR_INTERNAL, "worker: the kernel gives no random bytes");
    digest_to_hex(bytes, sizeof bytes, key);
    return 0;
}

int wire_worker_name(const char *name, size_t length, const char *key, char ret_name[WIRE_WORKER_NAME_SIZE],
                     struct err *err)
{
    char hex[DIGEST_SHA256_HEX_SIZE];
    int code = digest_sha256_hex(key, strlen(key), hex, err);
    if (!code)
        (void)snprintf(ret_name, WIRE_WORKER_NAME_SIZE, "%.*s-%.*s", (int)length, name, WIRE_KEY_MARK_DIGITS,
                       hex);
    return code;
}
