#include "daemon/options/stray_variable.h"

#include "daemon/base/guess.h"
#include "daemon/options/options.h"
#include "daemon/options/options_table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "BIFURCATED_"

/* BIFURCATED_DEVICE_MEMORY_MB=8000: device-memory-mb. 0: it is none of ours. */
static int option_name(const char *variable, char name[GUESS_WORD_BYTES_MAX + 1])
{
    const size_t prefix = sizeof PREFIX - 1;
    if (strncmp(variable, PREFIX, prefix) != 0)
        return 0;
    size_t length = strcspn(variable + prefix, "=");
    if (length == 0 || length > GUESS_WORD_BYTES_MAX)
        return 0;
    for (size_t i = 0; i < length; i++) {
        char letter = variable[prefix + i];
        name[i] = letter == '_' ? '-' : (char)tolower((unsigned char)letter);
    }
    name[length] = '\0';
    return strcmp(name, "config") != 0 && !options_has(name);
}

void stray_variable_find(char *text, size_t size)
{
    char name[GUESS_WORD_BYTES_MAX + 1];
    text[0] = '\0';
    for (char *const *variable = environ; *variable; variable++) {
        struct guess guess;
        if (!option_name(*variable, name))
            continue;
        guess_init(&guess, name);
        for (size_t i = 0; i < option_row_count; i++)
            guess_offer(&guess, option_rows[i].name);
        if (!guess.name)
            continue;
        int length = snprintf(text, size, "%.*s is set, but no option is called so; did you mean " PREFIX,
                              (int)strcspn(*variable, "="), *variable);
        for (const char *at = guess.name; *at && length >= 0 && (size_t)length + 2 < size; at++)
            text[length++] = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
        (void)snprintf(text + length, size - (size_t)length, "?");
        return;
    }
}
