#include "daemon/base/main_memory.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A file of a node's folder, opened; NULL if there is none, or `name` is no node's. */
static FILE *open_of_node(const char *nodes, const char *name, const char *file)
{
    char path[512];
    if (strncmp(name, "node", 4) != 0 || !isdigit((unsigned char)name[4]) ||
        (size_t)snprintf(path, sizeof(path), "%s/%s/%s", nodes, name, file) >= sizeof(path))
        return NULL;
    return fopen(path, "re");
}

/* Whether the list of a node's processors is there and has none. */
static int lacks_processors(const char *nodes, const char *name)
{
    FILE *file = open_of_node(nodes, name, "cpulist");
    if (!file)
        return 0;
    const int first = fgetc(file), is_read = !ferror(file);
    (void)fclose(file);
    return is_read && (first == EOF || first == '\n');
}

/* 0 if it does not say. */
static uint64_t bytes_of_node(const char *nodes, const char *name)
{
    char line[256];
    unsigned long long kib = 0;
    int is_found = 0;
    FILE *file = open_of_node(nodes, name, "meminfo");
    if (!file)
        return 0;
    while (!is_found && fgets(line, sizeof(line), file))
        is_found = sscanf(line, "Node %*u MemTotal: %llu kB", &kib) == 1;
    (void)fclose(file);
    return is_found && kib < UINT64_MAX / 1024 ? (uint64_t)kib * 1024 : 0;
}

uint64_t main_memory_beside_processors(const char *nodes, uint64_t all_bytes)
{
    uint64_t other_bytes = 0;
    DIR *folder = opendir(nodes);
    if (!folder)
        return all_bytes;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (lacks_processors(nodes, entry->d_name)) {
            const uint64_t own_bytes = bytes_of_node(nodes, entry->d_name);
            other_bytes += own_bytes < all_bytes - other_bytes ? own_bytes : 0;
        }
    (void)closedir(folder);
    return all_bytes - other_bytes;
}

uint64_t main_memory_bytes(const char *nodes)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGE_SIZE);
    if (pages <= 0 || page_bytes <= 0)
        return 0;
    return main_memory_beside_processors(nodes, (uint64_t)pages * (uint64_t)page_bytes);
}
