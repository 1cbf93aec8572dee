/*
 * What Slurm's programs print. The first byte chooses the parser. What is accepted counts no element twice
 * and holds only terminated text without control characters.
 */
#include "daemon/slurm/output.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert, in release builds too. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_line(const char *text, size_t size)
{
    require(memchr(text, 0, size) != NULL);
    for (; *text; text++)
        require(*text >= ' ' && *text < 0x7f);
}

static void require_elements(const struct slurm_array *array, const char *text, size_t size)
{
    int64_t elements = 0, lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    for (int i = 0; i < SLURM_FATE_COUNT; i++)
        elements += array->elements[i];
    require(elements <= lines);
    require_line(array->reason, sizeof array->reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slurm_array arrays[2] = {{.name = "bifurcated-1"}, {.name = "bifurcated-2"}};
    struct err err = ERR_INIT;
    char message[64];
    int64_t job_id = 0;
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    size--;
    switch (data[0]) {
    case 'b':
        if (slurm_parse_submission(text, size, &job_id, &err) == 0)
            require(job_id > 0);
        break;
    case 'q':
        if (slurm_parse_queue(text, size, arrays, 2, &err) == 0)
            require(arrays[0].job_id >= 0 && arrays[1].job_id >= 0);
        require_elements(&arrays[0], text, size);
        require_elements(&arrays[1], text, size);
        break;
    case 'a':
        (void)slurm_parse_account(text, size, &arrays[0], &err);
        require_elements(&arrays[0], text, size);
        break;
    case 'e':
        (void)slurm_read_failure(text, size, message, sizeof message);
        require_line(message, sizeof message);
        break;
    default:
        break;
    }
    return 0;
}
