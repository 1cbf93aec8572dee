#include "api/client/plot_axis.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DECADES_MAX 640 /* of doubles */
#define ZERO_GAP 0.4    /* decades between step 0 and the first positive step */
#define STEP_ROOM 0.01  /* of the width, on each side */
#define VALUE_ROOM 0.05
#define MINUS "\xe2\x88\x92"
#define LINEAR_TICKS 5

/* Where a value lies in units of the axis: itself, or its logarithm. */
static double place(const struct plot_axis *axis, double value)
{
    if (!axis->is_log)
        return value;
    if (axis->positive > 0 && value <= 0)
        return log10(axis->positive) - ZERO_GAP;
    return log10(value);
}

double plot_axis_at(const struct plot_axis *axis, double value)
{
    double low = place(axis, axis->low), high = place(axis, axis->high);
    double room = axis->positive > 0 ? STEP_ROOM * fabs(axis->end - axis->begin) : 0;
    double begin = axis->begin + (axis->end > axis->begin ? room : -room);
    double end = axis->end - (axis->end > axis->begin ? room : -room);
    return begin + (place(axis, value) - low) / (high - low) * (end - begin);
}

struct plot_axis plot_axis_steps(const double *steps, size_t count, int is_log, double begin, double end)
{
    struct plot_axis axis = {.is_log = is_log, .begin = begin, .end = end, .positive = 1};
    size_t first = 0;
    while (first < count && !(steps[first] > 0))
        first++;
    axis.positive = first < count ? steps[first] : 1;
    axis.low = count ? steps[0] : 0;
    axis.high = count ? steps[count - 1] : 1;
    if (!(axis.high > axis.low) && axis.low > 0) { /* one step: in the middle */
        double half = fmax(0.5, 1e-9 * axis.low);
        axis.low -= half;
        axis.high += half;
    } else if (!(axis.high > axis.low)) {
        axis.high = axis.low + 1;
    }
    return axis;
}

struct plot_axis plot_axis_values(double low, double high, int is_log, double begin, double end)
{
    struct plot_axis axis = {.is_log = is_log, .low = low, .high = high, .begin = begin, .end = end};
    if (is_log) {
        double ratio = high > low ? pow(high / low, VALUE_ROOM) : 2;
        axis.low = low / ratio;
        axis.high = high * ratio;
    } else {
        double room = high > low ? VALUE_ROOM * (high - low) : fmax(fabs(low), 1e-12);
        axis.low = low - room;
        axis.high = high + room;
    }
    axis.low = fmax(axis.low, is_log ? DBL_MIN : -DBL_MAX); /* the room may lead beyond what is a number */
    axis.high = fmin(axis.high, DBL_MAX);
    return axis;
}

static const char *const raised_digits[] = {"\xe2\x81\xb0", "\xc2\xb9",     "\xc2\xb2",     "\xc2\xb3",
                                            "\xe2\x81\xb4", "\xe2\x81\xb5", "\xe2\x81\xb6", "\xe2\x81\xb7",
                                            "\xe2\x81\xb8", "\xe2\x81\xb9"};

/* "10" with a raised exponent, behind a front digit other than 1. */
static void name_power(int front, int power, char *label)
{
    char digits[16];
    (void)snprintf(digits, sizeof digits, "%d", power < 0 ? -power : power);
    int size = front == 1 ? snprintf(label, PLOT_LABEL_SIZE, "10")
                          : snprintf(label, PLOT_LABEL_SIZE,
                                     "%d\xc2\xb7"
                                     "10",
                                     front);
    if (power < 0)
        size += snprintf(label + size, PLOT_LABEL_SIZE - (size_t)size, "\xe2\x81\xbb");
    for (const char *digit = digits; *digit; digit++)
        size += snprintf(label + size, PLOT_LABEL_SIZE - (size_t)size, "%s", raised_digits[*digit - '0']);
}

/* Steps may be tokens: 200B, 1.5T. */
static void name_number(const struct plot_axis *axis, double value, char *label)
{
    int is_step = axis->positive > 0;
    if (is_step && value >= 1e12 && value < 1e16)
        (void)snprintf(label, PLOT_LABEL_SIZE, "%.6gT", value / 1e12);
    else if (is_step && value >= 1e9 && value < 1e12)
        (void)snprintf(label, PLOT_LABEL_SIZE, "%.6gB", value / 1e9);
    else if (fabs(value) >= 1e6 && fabs(value) < 1e9)
        (void)snprintf(label, PLOT_LABEL_SIZE, "%s%.6gM", value < 0 ? MINUS : "", fabs(value) / 1e6);
    else if (fabs(value) >= 1e4 && fabs(value) < 1e6)
        (void)snprintf(label, PLOT_LABEL_SIZE, "%s%.6gk", value < 0 ? MINUS : "", fabs(value) / 1e3);
    else
        (void)snprintf(label, PLOT_LABEL_SIZE, "%s%.6g", value < 0 ? MINUS : "", fabs(value));
}

static void add(const struct plot_axis *axis, double value, struct plot_tick *ticks, size_t *count)
{
    double at = plot_axis_at(axis, value);
    double low = fmin(axis->begin, axis->end), high = fmax(axis->begin, axis->end);
    if (!(at >= low - 0.01 && at <= high + 0.01) || *count == PLOT_TICKS_MAX)
        return;
    ticks[*count].at = at;
    ticks[*count].label[0] = '\0';
    (*count)++;
}

static size_t ticks_log(const struct plot_axis *axis, struct plot_tick *ticks)
{
    static const int fronts[3][8] = {{1, 0}, {1, 2, 5, 0}, {1, 2, 3, 4, 5, 6, 8, 0}};
    size_t count = 0;
    double decades = place(axis, axis->high) - place(axis, axis->low);
    int is_steps = axis->positive > 0;
    if (!(decades >= 0 && decades <= DECADES_MAX))
        return 0; /* nothing that a double can hold between its smallest and its largest */
    int every = (int)fmax(1, ceil(decades / (is_steps ? 10 : 5)));
    const int *front = fronts[decades < 1.1 ? 2 : decades < 2.5 ? 1 : 0];
    if (is_steps && axis->low <= 0) {
        add(axis, 0, ticks, &count);
        (void)snprintf(ticks[0].label, PLOT_LABEL_SIZE, "0");
    }
    int first = (int)floor(log10(axis->low > 0 ? axis->low : axis->positive));
    int last = (int)ceil(log10(axis->high));
    for (int power = first; power <= last; power++) {
        for (int k = 0; front[k] && power % every == 0; k++) {
            size_t before = count;
            double value = front[k] * pow(10, power);
            if (is_steps && value < axis->positive)
                continue;
            add(axis, value, ticks, &count);
            if (count > before && !is_steps && (power < -2 || power > 3))
                name_power(front[k], power, ticks[before].label);
            else if (count > before)
                name_number(axis, value, ticks[before].label);
        }
    }
    return count;
}

static size_t ticks_linear(const struct plot_axis *axis, struct plot_tick *ticks)
{
    static const double nice[] = {1, 2, 2.5, 5, 10};
    size_t count = 0;
    double rough = (axis->high - axis->low) / LINEAR_TICKS, unit = pow(10, floor(log10(rough)));
    double distance = 10 * unit;
    for (size_t i = sizeof nice / sizeof nice[0]; i-- > 0;)
        distance = nice[i] * unit >= rough * 0.999 ? nice[i] * unit : distance;
    if (axis->positive > 0)
        distance = fmax(distance, 1); /* there are no parts of steps */
    double first = ceil(axis->low / distance - 1e-9);
    for (int i = 0; i <= 2 * LINEAR_TICKS; i++) {
        size_t before = count;
        double value = (first + i) * distance;
        if (axis->is_log && value > 0 && value < axis->positive)
            continue;
        add(axis, value, ticks, &count);
        if (count > before)
            name_number(axis, value, ticks[before].label);
    }
    return count;
}

size_t plot_axis_ticks(const struct plot_axis *axis, struct plot_tick *ticks)
{
    size_t count = axis->is_log ? ticks_log(axis, ticks) : 0;
    if (count < 2) /* a part of a decade may hold none of its ticks */
        count = ticks_linear(axis, ticks);
    if (axis->positive > 0 && count == 1 && strcmp(ticks[0].label, "0") == 0) { /* step 0 and a late one */
        add(axis, axis->high, ticks, &count);
        if (count == 2)
            name_number(axis, axis->high, ticks[1].label);
    }
    return count;
}
