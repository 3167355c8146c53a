/* sample.c — candidates sorted by probability, cut by top_k and top_p, then one point of the sum. */
#include "trainer/run/sample.h"
#include <math.h>
#include <stdlib.h>

static int by_probability(const void *a, const void *b)
{
    const SampleCandidate *x = a, *y = b;
    if (x->p != y->p) return x->p > y->p ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static double sum_of(const SampleCandidate *c, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += c[i].p;
    return sum;
}

/* How many of the n first candidates, largest first, reach `share` of their sum. */
static int64_t nucleus(const SampleCandidate *c, int64_t n, double share)
{
    const double goal = share * sum_of(c, n);
    double sum = 0;
    int64_t k = 0;
    while (k < n && sum < goal) sum += c[k++].p;
    return k > 0 ? k : 1;
}

static int32_t draw(const SampleCandidate *c, int64_t n, double u)
{
    const double goal = u * sum_of(c, n);
    double sum = 0;
    int64_t last = 0;
    for (int64_t i = 0; i < n && sum <= goal; i++) {
        sum += c[i].p;
        if (c[i].p > 0)
            last = i; /* what has no probability is never drawn, whatever rounding does */
    }
    return c[last].id;
}

int32_t sample_token(const SampleOpts *o, const real *logits, int64_t n, double u,
                     SampleCandidate *room)
{
    int64_t best = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!(logits[i] < INFINITY)) return -1;
        if (logits[i] > logits[best]) best = i;
    }
    if (!isfinite(logits[best])) return -1;
    if (o->temperature == 0) return (int32_t)best;
    for (int64_t i = 0; i < n; i++) {
        const double below = (double)logits[i] - (double)logits[best];
        room[i] = (SampleCandidate){exp(below / o->temperature), (int32_t)i};
    }
    qsort(room, (size_t)n, sizeof *room, by_probability);
    if (o->top_k > 0 && o->top_k < n) n = o->top_k;
    if (o->top_p < 1) n = nucleus(room, n, o->top_p);
    return draw(room, n, u);
}
