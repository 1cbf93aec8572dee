#include "api/form/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int api_number_format(double value, char text[API_NUMBER_SIZE])
{
    text[0] = '\0';
    if (!isfinite(value))
        return 0;
    int length = 0;
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, API_NUMBER_SIZE, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (back == value)
            break;
    }
    /* A real stays recognisable as one. */
    if (!strpbrk(text, ".e") && length + 2 < API_NUMBER_SIZE) {
        text[length++] = '.';
        text[length++] = '0';
        text[length] = '\0';
    }
    return length;
}

int api_number_parse(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || digits[count] != '\0')
        return 0;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno || value < min || value > max)
        return 0;
    *ret_value = value;
    return 1;
}
