#include "daemon/analysis/mixture.h"

#include "daemon/analysis/moments.h"

#include <math.h>
#include <stdlib.h>

#define BINS_BY_MASS 512      /* a bin is full with this share of the elements ... */
#define BINS_PER_DEVIATION 32 /* ... or this wide */
#define BINS_STEPS_TRIAL 30
#define VALUES_STEPS 6
#define STARTS 5

/* Elements that an expectation step treats alike. */
struct bin {
    double count, mean, m2;
};

struct fit {
    struct mixture_component c[2];
};

static struct fit fit_of(struct mixture_component a, struct mixture_component b)
{
    return (struct fit){.c = {a, b}};
}

static size_t make_bins(const struct distribution_value *values, size_t value_count, double n,
                        double deviation, struct bin *bins)
{
    size_t bin_count = 0;
    double start = 0;
    for (size_t i = 0; i < value_count; i++) {
        double count = (double)values[i].count;
        int is_full = bin_count == 0 || bins[bin_count - 1].count + count > n / BINS_BY_MASS ||
                      values[i].value - start > deviation / BINS_PER_DEVIATION;
        if (is_full) {
            bins[bin_count++] = (struct bin){.count = count, .mean = values[i].value, .m2 = 0};
            start = values[i].value;
            continue;
        }
        struct bin *bin = &bins[bin_count - 1];
        double total = bin->count + count, difference = values[i].value - bin->mean;
        bin->mean += difference * count / total;
        bin->m2 += difference * difference * bin->count * count / total;
        bin->count = total;
    }
    return bin_count;
}

/* Per component: its mean, ln(weight / (sd sqrt(2 pi))) and 1 / (2 sd^2). */
struct terms {
    double mean[2], constant[2], factor[2];
};

static struct terms terms_of(const struct fit *fit)
{
    struct terms terms;
    for (int k = 0; k < 2; k++) {
        terms.mean[k] = fit->c[k].mean;
        terms.constant[k] = log(fit->c[k].weight / fit->c[k].sd) - 0.918938533204672742;
        terms.factor[k] = 0.5 / (fit->c[k].sd * fit->c[k].sd);
    }
    return terms;
}

/* The share of the first component in the density at x, and its logarithm where it is asked for. */
static inline double share_of(const struct terms *terms, double x, double *ret_log_density)
{
    double d0 = x - terms->mean[0], d1 = x - terms->mean[1];
    double l0 = terms->constant[0] - d0 * d0 * terms->factor[0];
    double l1 = terms->constant[1] - d1 * d1 * terms->factor[1];
    double ratio = exp(-fabs(l0 - l1));
    if (ret_log_density)
        *ret_log_density = (l0 > l1 ? l0 : l1) + log1p(ratio);
    return l0 > l1 ? 1 / (1 + ratio) : ratio / (1 + ratio);
}

/* One expectation and maximisation step. The log-likelihood of the fit before it takes much of the time, and
 * is left out where nobody asks for it. */
static void step(const struct bin *bins, size_t bin_count, double n, double floor, struct fit *fit,
                 double *ret_likelihood)
{
    struct terms terms = terms_of(fit);
    double mass[2] = {0}, first[2] = {0}, second[2] = {0}, likelihood = 0, density = 0;
    /* Sums of squares around the present means do not cancel. */
    for (size_t i = 0; i < bin_count; i++) {
        const struct bin bin = bins[i];
        double share = share_of(&terms, bin.mean, ret_likelihood ? &density : NULL);
        likelihood += bin.count * density;
        for (int k = 0; k < 2; k++) {
            double part = k ? 1 - share : share, count = part * bin.count;
            double difference = bin.mean - terms.mean[k];
            mass[k] += count;
            first[k] += count * difference;
            second[k] += count * difference * difference + part * bin.m2;
        }
    }
    for (int k = 0; k < 2; k++) {
        if (!(mass[k] > 1e-9 * n)) { /* a component died out: the other one takes all */
            fit->c[k].weight = 1e-9;
            continue;
        }
        double shift = first[k] / mass[k];
        fit->c[k].weight = mass[k] / n;
        fit->c[k].mean += shift;
        fit->c[k].sd = fmax(sqrt(fmax(second[k] / mass[k] - shift * shift, 0)), floor);
    }
    if (ret_likelihood)
        *ret_likelihood = likelihood;
}

static double moved(const struct fit *a, const struct fit *b, double deviation)
{
    double largest = 0;
    for (int k = 0; k < 2; k++) {
        largest = fmax(largest, fabs(a->c[k].weight - b->c[k].weight));
        largest = fmax(largest, fabs(a->c[k].mean - b->c[k].mean) / deviation);
        largest = fmax(largest, fabs(a->c[k].sd - b->c[k].sd) / deviation);
    }
    return largest;
}

/* The two groups left and right of a border, as components. */
static struct fit fit_split(const struct bin *bins, size_t bin_count, double n, double floor, double border)
{
    double counts[2] = {0};
    struct fit fit;
    for (int k = 0; k < 2; k++) {
        double mean = 0, m2 = 0;
        for (size_t i = 0; i < bin_count; i++) {
            if ((bins[i].mean > border) != k)
                continue;
            double total = counts[k] + bins[i].count, difference = bins[i].mean - mean;
            mean += difference * bins[i].count / total;
            m2 += bins[i].m2 + difference * difference * counts[k] * bins[i].count / total;
            counts[k] = total;
        }
        fit.c[k] = (struct mixture_component){
            .weight = fmax(counts[k] / n, 1e-9),
            .mean = counts[k] > 0 ? mean : border,
            .sd = fmax(counts[k] > 0 ? sqrt(m2 / counts[k]) : 0, floor),
        };
    }
    return fit;
}

static double border_of_share(const struct bin *bins, size_t bin_count, double n, double share)
{
    double below = 0;
    for (size_t i = 0; i < bin_count; i++) {
        below += bins[i].count;
        if (below >= share * n)
            return bins[i].mean;
    }
    return bins[bin_count - 1].mean;
}

static struct fit start_fit(int start, const struct bin *bins, size_t bin_count, double n, double mean,
                            double deviation, double floor)
{
    double border = mean;
    if (start == 1) { /* two-means (Lloyd): the border is half-way between the means */
        double before = (double)NAN;
        for (int i = 0; i < 50 && border != before; i++) {
            struct fit split = fit_split(bins, bin_count, n, floor, border);
            before = border;
            border = (split.c[0].mean + split.c[1].mean) / 2;
        }
    }
    if (start == 2)
        return fit_of((struct mixture_component){0.5, mean, 0.6 * deviation},
                      (struct mixture_component){0.5, mean, 1.3 * deviation});
    if (start >= 3)
        border = border_of_share(bins, bin_count, n, start == 3 ? 0.1 : 0.9);
    return fit_split(bins, bin_count, n, floor, border);
}

/* Coordinates in which a fit can be moved freely: log-odds of the weight, means, logarithms of the
 * deviations. */
#define COORDINATES 5

static void to_coordinates(const struct fit *fit, double deviation, double *x)
{
    x[0] = log(fit->c[0].weight / fit->c[1].weight);
    for (int k = 0; k < 2; k++) {
        x[1 + k] = fit->c[k].mean / deviation;
        x[3 + k] = log(fit->c[k].sd / deviation);
    }
}

static struct fit of_coordinates(const double *x, double deviation)
{
    struct fit fit;
    double share = 1 / (1 + exp(-fmax(fmin(x[0], 20), -20)));
    for (int k = 0; k < 2; k++) {
        fit.c[k].weight = k ? 1 - share : share;
        fit.c[k].mean = x[1 + k] * deviation;
        fit.c[k].sd = deviation * fmax(exp(fmin(x[3 + k], 5)), MIXTURE_SD_FLOOR);
    }
    return fit;
}

/* Where two steps in a row lead if they are continued (SQUAREM, scheme S3; Varadhan & Roland 2008). */
static struct fit extrapolate(const struct fit *fit0, const struct fit *fit1, const struct fit *fit2,
                              double deviation)
{
    double x0[COORDINATES], x1[COORDINATES], x2[COORDINATES], first = 0, second = 0;
    to_coordinates(fit0, deviation, x0);
    to_coordinates(fit1, deviation, x1);
    to_coordinates(fit2, deviation, x2);
    for (int i = 0; i < COORDINATES; i++) {
        double r = x1[i] - x0[i], v = x2[i] - x1[i] - r;
        first += r * r;
        second += v * v;
    }
    double reach = second > 0 ? fmin(sqrt(first / second), 1e4) : 1;
    if (reach <= 1)
        return *fit2;
    for (int i = 0; i < COORDINATES; i++) {
        double r = x1[i] - x0[i], v = x2[i] - x1[i] - r;
        x0[i] += 2 * reach * r + reach * reach * v;
    }
    return of_coordinates(x0, deviation);
}

/* Steps until nothing moves any more; returns whether that was reached. Every third step starts from an
 * extrapolation, if that is at least as likely. */
static int iterate(const struct bin *bins, size_t bin_count, double n, double deviation, int steps_max,
                   struct fit *fit, double *ret_likelihood)
{
    double floor = deviation * MIXTURE_SD_FLOOR, before = -(double)INFINITY;
    for (int i = 0; i < steps_max; i += 3) {
        struct fit fit0 = *fit, fit1 = *fit;
        step(bins, bin_count, n, floor, &fit1, NULL);
        struct fit fit2 = fit1;
        step(bins, bin_count, n, floor, &fit2, ret_likelihood);
        if (moved(&fit0, &fit1, deviation) < MIXTURE_TOLERANCE ||
            *ret_likelihood - before < MIXTURE_GAIN * n) {
            *fit = fit2;
            return 1;
        }
        struct fit far = extrapolate(&fit0, &fit1, &fit2, deviation);
        double likelihood = 0;
        step(bins, bin_count, n, floor, &far, &likelihood);
        int is_better = likelihood >= *ret_likelihood;
        *fit = is_better ? far : fit2;
        before = *ret_likelihood;
        *ret_likelihood = is_better ? likelihood : *ret_likelihood;
    }
    return 0;
}

static void finish(const struct bin *singles, size_t value_count, const struct moments_sums *sums,
                   const struct fit *fit, struct mixture *mixture)
{
    double n = (double)sums->count, variance = sums->m2 / n, likelihood = 0, density = 0;
    struct terms terms = terms_of(fit);
    for (size_t i = 0; i < value_count; i++) {
        (void)share_of(&terms, singles[i].mean, &density);
        likelihood += singles[i].count * density;
    }
    double single = -0.5 * n * (log(2 * 3.14159265358979324 * variance) + 1);
    int swap = fit->c[0].mean > fit->c[1].mean;
    mixture->is_defined = 1;
    mixture->components[0] = fit->c[swap];
    mixture->components[1] = fit->c[!swap];
    mixture->ashman_d = mixture_ashman_d(&fit->c[0], &fit->c[1]);
    mixture->delta_bic = 2 * (likelihood - single) - 3 * log(n);
    mixture->log_likelihood = likelihood / n;
}

double mixture_ashman_d(const struct mixture_component *a, const struct mixture_component *b)
{
    return fabs(a->mean - b->mean) / sqrt((a->sd * a->sd + b->sd * b->sd) / 2);
}

int mixture_fit(const struct distribution_value *values, size_t value_count, struct mixture *ret_mixture,
                struct err *err)
{
    const double nan_value = (double)NAN;
    const struct mixture_component none = {nan_value, nan_value, nan_value};
    struct mixture mixture = {.components = {none, none},
                              .ashman_d = nan_value,
                              .delta_bic = nan_value,
                              .log_likelihood = nan_value};
    struct moments_sums sums = distribution_sums(values, value_count);
    if (sums.count < 8 || !(sums.m2 > 0)) {
        *ret_mixture = mixture;
        return 0;
    }
    struct bin *bins = calloc(2 * value_count, sizeof(*bins));
    if (!bins)
        return err_set(err, ERR_NO_MEMORY, "no memory for a mixture of %zu values", value_count);
    struct bin *singles = bins + value_count;
    double n = (double)sums.count, deviation = sqrt(sums.m2 / n);
    size_t bin_count = make_bins(values, value_count, n, deviation, bins);
    for (size_t i = 0; i < value_count; i++)
        singles[i] = (struct bin){.count = (double)values[i].count, .mean = values[i].value, .m2 = 0};
    struct fit best = {.c = {none, none}};
    double best_likelihood = -(double)INFINITY, likelihood = 0;
    for (int start = 0; start < STARTS; start++) {
        struct fit fit =
            start_fit(start, bins, bin_count, n, sums.mean, deviation, deviation * MIXTURE_SD_FLOOR);
        (void)iterate(bins, bin_count, n, deviation, BINS_STEPS_TRIAL, &fit, &likelihood);
        if (likelihood > best_likelihood) {
            best_likelihood = likelihood;
            best = fit;
        }
    }
    mixture.is_converged =
        iterate(bins, bin_count, n, deviation, MIXTURE_ITERATIONS_MAX, &best, &best_likelihood);
    (void)iterate(singles, value_count, n, deviation, VALUES_STEPS, &best, &best_likelihood);
    finish(singles, value_count, &sums, &best, &mixture);
    free(bins);
    *ret_mixture = mixture;
    return 0;
}
