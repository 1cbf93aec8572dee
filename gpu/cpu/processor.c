#include "gpu/cpu/processor.h"

#include <stdlib.h>
#include <string.h>

/* Those of servers, as util-linux (sys-utils/lscpu-arm.c) names them. */
static const struct {
    unsigned long implementer, part;
    const char *name;
} parts[] = {
    {0x41, 0xd0c, "Arm Neoverse-N1"}, {0x41, 0xd49, "Arm Neoverse-N2"},  {0x41, 0xd8e, "Arm Neoverse-N3"},
    {0x41, 0xd40, "Arm Neoverse-V1"}, {0x41, 0xd4f, "Arm Neoverse-V2"},  {0x41, 0xd84, "Arm Neoverse-V3"},
    {0xc0, 0xac3, "Ampere Ampere-1"}, {0xc0, 0xac4, "Ampere Ampere-1a"},
};

static void name_of_part(unsigned long implementer, unsigned long part, char *name, size_t size)
{
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].implementer == implementer && parts[i].part == part) {
            (void)snprintf(name, size, "%s", parts[i].name);
            return;
        }
    }
    (void)snprintf(name, size, "arm64 processor 0x%lx of implementer 0x%lx", part, implementer);
}

void processor_name(FILE *cpuinfo, char *name, size_t size)
{
    char line[256];
    unsigned long implementer = 0;
    (void)snprintf(name, size, "CPU");
    while (cpuinfo && fgets(line, sizeof(line), cpuinfo)) {
        const char *value = strchr(line, ':');
        if (!value)
            continue;
        value += strspn(value, ": \t");
        if (strncmp(line, "model name", 10) == 0) {
            (void)snprintf(name, size, "%.*s", (int)strcspn(value, "\n"), value);
            return;
        }
        if (strncmp(line, "CPU implementer", 15) == 0)
            implementer = strtoul(value, NULL, 16);
        if (strncmp(line, "CPU part", 8) == 0) {
            name_of_part(implementer, strtoul(value, NULL, 16), name, size);
            return;
        }
    }
}
