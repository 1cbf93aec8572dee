/*
 * The places of shim_faults.c: call stacks by a hash of module and offset of each frame, so that a name is
 * the same in every run of the same build; and the report that names them. Nothing here allocates memory.
 */
#ifndef BIFURCATED_TESTS_PROOF_SHIM_PLACES_H
#define BIFURCATED_TESTS_PROOF_SHIM_PLACES_H

#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES_MAX 24
#define PLACES_MAX 32768
#define MODULES_MAX 128

enum kind { MEMORY, THREAD, OPEN, WRITE, SYNC, SIZE, NAME, READ, KIND_COUNT };
static const char *const KIND_NAMES[] = {"memory", "thread", "open", "write", "sync", "size", "name", "read"};

struct place {
    _Atomic uint64_t hash; /* 0: free */
    _Atomic uint32_t count;
    atomic_int is_written; /* the frames are there */
    int kind;
    int frame_count;
    void *frames[FRAMES_MAX];
};

struct module {
    uintptr_t begin, end;
    char name[48];
};

static struct place places[PLACES_MAX];
static struct module modules[MODULES_MAX];
static int module_count;
static int report_fd = -1;

static int note_module(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    struct module *module = &modules[module_count];
    if (module_count == MODULES_MAX)
        return 1;
    module->begin = UINTPTR_MAX;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (begin < module->begin)
            module->begin = begin;
        if (begin + info->dlpi_phdr[i].p_memsz > module->end)
            module->end = begin + info->dlpi_phdr[i].p_memsz;
    }
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = info->dlpi_name[0] ? (slash ? slash + 1 : info->dlpi_name) : "main";
    snprintf(module->name, sizeof module->name, "%s", name);
    module_count++;
    return 0;
}

static const struct module *module_of(const void *address)
{
    for (int i = 0; i < module_count; i++) {
        if ((uintptr_t)address >= modules[i].begin && (uintptr_t)address < modules[i].end)
            return &modules[i];
    }
    return NULL;
}

static int is_own(const void *address)
{
    const struct module *module = module_of(address);
    return module && (module == module_of(places) || strncmp(module->name, "libasan", 7) == 0 ||
                      strncmp(module->name, "libubsan", 8) == 0 || strncmp(module->name, "libtsan", 7) == 0);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t hash_frames(enum kind kind, void **frames, int count)
{
    uint64_t hash = mix(1, (uint64_t)kind + 1);
    for (int i = 0; i < count; i++) {
        const struct module *module = module_of(frames[i]);
        if (!module)
            continue;
        for (const char *p = module->name; *p; p++)
            hash = mix(hash, (unsigned char)*p);
        hash = mix(hash, (uintptr_t)frames[i] - module->begin);
    }
    return hash ? hash : 1;
}

static struct place *find_place(enum kind kind, uint64_t hash, void **frames, int count)
{
    for (uint64_t i = hash; i < hash + 64; i++) {
        struct place *place = &places[i % PLACES_MAX];
        uint64_t free_hash = 0;
        if (atomic_compare_exchange_strong(&place->hash, &free_hash, hash)) {
            place->kind = kind;
            place->frame_count = count;
            memcpy(place->frames, frames, (size_t)count * sizeof *frames);
            atomic_store(&place->is_written, 1);
            return place;
        }
        if (free_hash == hash)
            return place;
    }
    return NULL; /* crowded: this place is not counted */
}

/* The address that a report calls module+offset; NULL if there is no such module. */
static const void *address_of(const char *frame)
{
    const char *plus = frame ? strrchr(frame, '+') : NULL;
    for (int i = 0; plus && i < module_count; i++) {
        if (strlen(modules[i].name) == (size_t)(plus - frame) &&
            strncmp(modules[i].name, frame, (size_t)(plus - frame)) == 0)
            return (const void *)(modules[i].begin + strtoul(plus + 1, NULL, 16));
    }
    return NULL;
}

static void report(const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (report_fd >= 0 && length > 0)
        syscall(SYS_write, report_fd, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

static void report_places(void)
{
    for (size_t i = 0; i < PLACES_MAX; i++) {
        struct place *place = &places[i];
        if (!atomic_load(&place->is_written))
            continue;
        char frames[2048] = "";
        size_t used = 0;
        const char *caller = "?";
        for (int k = 0; k < place->frame_count && used < sizeof frames - 80; k++) {
            const struct module *module = module_of(place->frames[k]);
            if (!module)
                continue;
            if (k == 0)
                caller = module->name;
            used += (size_t)snprintf(frames + used, sizeof frames - used, " %s+%lx", module->name,
                                     (unsigned long)((uintptr_t)place->frames[k] - module->begin));
        }
        report("place %s %016lx %u %s%s\n", KIND_NAMES[place->kind], (unsigned long)place->hash,
               (unsigned)place->count, caller, frames);
    }
}

#endif
