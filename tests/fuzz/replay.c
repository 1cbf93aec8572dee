/*
 * Replays a corpus through a fuzzer without libFuzzer, so that every compiler runs every input that was
 * ever found. Arguments are files or folders. An empty corpus fails: it would test nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t size = 0, capacity = 1 << 16;
    uint8_t *data = malloc(capacity);
    while (data) {
        size += fread(data + size, 1, capacity - size, file);
        if (size < capacity)
            break;
        capacity *= 2;
        uint8_t *grown = realloc(data, capacity);
        if (!grown)
            free(data);
        data = grown;
    }
    (void)fclose(file);
    if (!data) {
        (void)fprintf(stderr, "%s: no memory\n", path);
        exit(1);
    }
    /* An exact copy, so that the address sanitizer sees a read one byte past the input. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        exit(1);
    for (size_t i = 0; i < size; i++)
        exact[i] = data[i];
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

static size_t replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(status.st_mode))
        return replay_file(path);
    DIR *folder = opendir(path);
    if (!folder) {
        perror(path);
        exit(1);
    }
    size_t count = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char child[4096];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        count += replay(child);
    }
    (void)closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    (void)printf("%zu inputs replayed\n", count);
    return count == 0;
}
