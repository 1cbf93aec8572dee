#include "api/client/plot_looks.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HUES 4
#define STOPS 3
#define COLOURS 8
#define NAME_SIZE 128

/* The dashboard's colours (api/dashboard/looks.js), light and dark. */
static const unsigned palettes[2][COLOURS] = {
    {0x0b62b8, 0xd1570a, 0x111827, 0x1d97a8, 0x8e44ad, 0x8a6d00, 0xd0488a, 0x6b7280},
    {0x5aa9ff, 0xff9a57, 0xf3f4f6, 0x35d3c0, 0xc79bff, 0xe3c04a, 0xff8fc4, 0x9aa4b2}};
/* From the smallest size to the largest, for each family. */
static const unsigned ramps[2][HUES][STOPS] = {{{0x3d8fd1, 0x1560b0, 0x08287a},
                                                {0xdd7312, 0xb04a08, 0x531c03},
                                                {0x8a8f98, 0x565c66, 0x14181f},
                                                {0xc46bd0, 0x8e2fa0, 0x42104d}},
                                               {{0x2f74c8, 0x5aa9ff, 0xa6d0ff},
                                                {0xb5611a, 0xf08f45, 0xffc48c},
                                                {0x79828f, 0xb1bac6, 0xf6f7f9},
                                                {0xa04fb8, 0xd486e6, 0xf9d9ff}}};
/* The same for a family alone, which has all hues to itself. */
static const unsigned alone[2][5] = {{0xc27b00, 0xcf4e2a, 0xa3217c, 0x4b11a0, 0x0f083f},
                                     {0x8a5cf0, 0xc44fc0, 0xee6a6a, 0xfba23c, 0xf6ef5e}};
static const char *const dashes[] = {NULL, "6 2.5", "2 2", "9 2 2 2"};
#define DASHES (int)(sizeof dashes / sizeof dashes[0])

/* "pythia-1.4b-deduped" is of the family "pythia--deduped". */
struct part {
    char family[NAME_SIZE];
    double size; /* parameters, as the name says; 0: it says none */
    size_t group, rank;
};

/* The end of a size such as "1.4b" that begins at `text`, or NULL. */
static const char *read_size(const char *text, double *ret_size)
{
    static const char units[] = "kmbt";
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return NULL;
    double number = strtod(text, &end);
    const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
    if (!unit || isalnum((unsigned char)end[1]))
        return NULL;
    *ret_size = number * pow(1000, (double)(unit - units) + 1);
    return end + 1;
}

static void split(const char *name, struct part *part)
{
    (void)snprintf(part->family, sizeof part->family, "%s", name);
    part->size = 0;
    for (const char *at = name; *at; at++) {
        const int is_within = at > name && (isalnum((unsigned char)at[-1]) || at[-1] == '.');
        const char *rest = is_within ? NULL : read_size(at, &part->size);
        if (rest) {
            (void)snprintf(part->family, sizeof part->family, "%.*s%s", (int)(at - name), name, rest);
            return;
        }
    }
}

/* Numbers the families in the order of their names, and the sizes; whether that tells the models apart. */
static int is_suite(const char *const *names, size_t count, struct part *parts, size_t *ret_groups,
                    size_t *ret_ranks)
{
    *ret_groups = *ret_ranks = 0;
    for (size_t i = 0; i < count; i++)
        split(names[i], &parts[i]);
    for (size_t i = 0; i < count; i++) {
        size_t known = 0;
        parts[i].group = *ret_groups;
        parts[i].rank = 0;
        for (size_t k = 0; k < count; k++) {
            int is_same = strcmp(parts[k].family, parts[i].family) == 0, is_first = 1;
            if (k < i && is_same)
                parts[i].group = parts[k].group;
            if (k != i && is_same && !(parts[k].size < parts[i].size || parts[k].size > parts[i].size))
                return 0; /* the same in both */
            for (size_t j = 0; j < k; j++)
                is_first &= parts[j].size < parts[k].size || parts[j].size > parts[k].size;
            known += (size_t)is_first;
            parts[i].rank += (size_t)(is_first && parts[k].size < parts[i].size);
        }
        *ret_ranks = known;
        *ret_groups += parts[i].group == *ret_groups;
    }
    return *ret_groups <= HUES && *ret_groups < count;
}

/* Between the colours of a ramp; share: 0 to 1. */
static void mix(const unsigned *stops, size_t count, double share, char colour[8])
{
    double at = share * (double)(count - 1);
    size_t low = (size_t)fmin(floor(at), (double)(count - 2));
    unsigned mixed = 0;
    for (int shift = 16; shift >= 0; shift -= 8) {
        double from = stops[low] >> shift & 0xff, to = stops[low + 1] >> shift & 0xff;
        mixed |= (unsigned)lround(from + (to - from) * (at - (double)low)) << shift;
    }
    (void)snprintf(colour, 8, "#%06x", mixed & 0xffffff);
}

const char *plot_look_dashes(const struct plot_look *look)
{
    return dashes[look->dashes];
}

void plot_looks_choose(const char *const *names, size_t count, int is_dark, struct plot_look *looks)
{
    struct part parts[PLOT_MODELS_MAX];
    size_t groups, ranks;
    const int is_of_suite = is_suite(names, count, parts, &groups, &ranks);
    for (size_t i = 0; i < count; i++) {
        const struct part *part = &parts[i];
        double share = ranks > 1 ? (double)part->rank / (double)(ranks - 1) : 0.5;
        looks[i].dashes = (int)(is_of_suite ? part->rank % 2 : i / COLOURS) % DASHES;
        if (!is_of_suite)
            (void)snprintf(looks[i].colour, sizeof looks[i].colour, "#%06x", palettes[is_dark][i % COLOURS]);
        else if (groups == 1)
            mix(alone[is_dark], sizeof alone[0] / sizeof alone[0][0], share, looks[i].colour);
        else
            mix(ramps[is_dark][part->group], STOPS, share, looks[i].colour);
    }
}
