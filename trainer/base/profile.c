/* profile.c — a table of entries and the one that runs; what runs is charged whenever that changes. */
#include "trainer/base/profile.h"
#include "trainer/base/log.h"
#include "trainer/base/status.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRY = 64, MAX_PRODUCT = 256, SHOWN_PRODUCTS = 24 };

typedef struct Entry {
    const char *name;
    ProfileKind kind;
    double seconds, flops;
    int64_t calls;
} Entry;

typedef struct Product {
    int64_t m, n, k, calls;
    double seconds;
} Product;

bool profile_is_on;

static struct {
    Entry entry[MAX_ENTRY]; /* 0: what no other takes */
    Product product[MAX_PRODUCT];
    int n_entry, n_product, running;
    int64_t n_step;
    double begin_s, mark_s;
} prof;

void profile_start(void)
{
    memset(&prof, 0, sizeof prof);
    prof.entry[0] = (Entry){.name = "start-up and the rest", .kind = PROFILE_APART};
    prof.n_entry = 1;
    prof.begin_s = prof.mark_s = clock_s();
    profile_is_on = true;
}

static void charge(void)
{
    const double now = clock_s();
    prof.entry[prof.running].seconds += now - prof.mark_s;
    prof.mark_s = now;
}

void profile_stop(void)
{
    if (profile_is_on) charge();
    profile_is_on = false;
}

int profile_enter_entry(ProfileKind kind, const char *name)
{
    const int before = prof.running;
    int i = 0;
    if (before != 0 && prof.entry[before].kind == PROFILE_APART) return before;
    while (i < prof.n_entry &&
           (prof.entry[i].kind != kind || strcmp(prof.entry[i].name, name) != 0))
        i++;
    if (i == prof.n_entry) {
        ASSERT(i < MAX_ENTRY);
        prof.entry[prof.n_entry++] = (Entry){.name = name, .kind = kind};
    }
    charge();
    prof.entry[i].calls++;
    prof.running = i;
    return before;
}

void profile_leave_entry(int before)
{
    charge();
    prof.running = before;
}

void profile_flops(double flops)
{
    prof.entry[prof.running].flops += flops;
}

void profile_product(int64_t m, int64_t n, int64_t k, double seconds)
{
    if (prof.entry[prof.running].kind == PROFILE_APART) return;
    profile_flops(2.0 * (double)m * (double)n * (double)k);
    int i = 0;
    while (i < prof.n_product &&
           (prof.product[i].m != m || prof.product[i].n != n || prof.product[i].k != k))
        i++;
    if (i == prof.n_product) {
        if (i == MAX_PRODUCT) return; /* of its op's operations it is part all the same */
        prof.product[prof.n_product++] = (Product){.m = m, .n = n, .k = k};
    }
    prof.product[i].calls++;
    prof.product[i].seconds += seconds;
}

void profile_step_done(void)
{
    if (profile_is_on) prof.n_step++;
}

ProfileSums profile_sums(void)
{
    ProfileSums s = {.n_step = prof.n_step};
    for (int i = 0; i < prof.n_entry; i++)
        *(prof.entry[i].kind == PROFILE_APART ? &s.apart_s : &s.steps_s) += prof.entry[i].seconds;
    s.whole_s = prof.mark_s - prof.begin_s;
    return s;
}

/* ---- tables ---- */

typedef struct Row { /* an op, or a phase */
    const char *name;
    bool is_op;
    double forward_s, backward_s, flops;
    int64_t calls;
} Row;

static double row_seconds(const Row *r)
{
    return r->forward_s + r->backward_s;
}

static int by_seconds(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    if (x->is_op != y->is_op) return x->is_op ? -1 : 1;
    return (row_seconds(x) < row_seconds(y)) - (row_seconds(x) > row_seconds(y));
}

static int by_product_seconds(const void *a, const void *b)
{
    const Product *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static int make_rows(Row *row)
{
    int n = 0;
    for (int i = 0; i < prof.n_entry; i++) {
        const Entry *e = &prof.entry[i];
        const bool is_op = e->kind == PROFILE_FORWARD || e->kind == PROFILE_BACKWARD;
        if (e->kind == PROFILE_APART) continue;
        int at = 0;
        while (at < n && (row[at].is_op != is_op || strcmp(row[at].name, e->name) != 0)) at++;
        if (at == n) row[n++] = (Row){.name = e->name, .is_op = is_op};
        *(e->kind == PROFILE_BACKWARD ? &row[at].backward_s : &row[at].forward_s) += e->seconds;
        row[at].flops += e->flops;
        if (row[at].calls < e->calls) row[at].calls = e->calls;
    }
    qsort(row, (size_t)n, sizeof *row, by_seconds);
    return n;
}

static void print_row(FILE *out, const Row *r, double steps_s, double product_gflops)
{
    const double s = row_seconds(r), gflops = s > 0 ? r->flops / s * 1e-9 : 0;
    fprintf(out, "%-22s %9lld %10.3f", r->name, LL(r->calls), r->forward_s);
    if (r->is_op)
        fprintf(out, " %10.3f", r->backward_s);
    else
        fprintf(out, " %10s", "");
    fprintf(out, " %7.2f %%", 100 * s / steps_s);
    if (r->flops > 0) fprintf(out, " %8.1f %9.2f", gflops, gflops / product_gflops);
    fprintf(out, "\n");
}

static void print_products(FILE *out, double steps_s, double product_gflops)
{
    qsort(prof.product, (size_t)prof.n_product, sizeof *prof.product, by_product_seconds);
    fprintf(out, "\n%-26s %9s %10s %9s %8s %9s\n", "products (m, n, k)", "calls", "s", "share",
            "GFLOP/s", "of rate");
    for (int i = 0; i < prof.n_product && i < SHOWN_PRODUCTS; i++) {
        const Product *p = &prof.product[i];
        char shape[64];
        const double gflops =
            2e-9 * (double)p->m * (double)p->n * (double)p->k * (double)p->calls / p->seconds;
        snprintf(shape, sizeof shape, "%lld, %lld, %lld", LL(p->m), LL(p->n), LL(p->k));
        fprintf(out, "%-26s %9lld %10.3f %7.2f %% %8.1f %9.2f\n", shape, LL(p->calls), p->seconds,
                100 * p->seconds / steps_s, gflops, gflops / product_gflops);
    }
    if (prof.n_product > SHOWN_PRODUCTS)
        fprintf(out, "and %d other shapes\n", prof.n_product - SHOWN_PRODUCTS);
}

void profile_print(FILE *out, double product_gflops)
{
    const ProfileSums sums = profile_sums();
    static Row row[MAX_ENTRY];
    const int n = make_rows(row);
    const double steps_s = sums.steps_s > 0 ? sums.steps_s : 1e-9;
    Row all = {.name = "all"};
    fprintf(out, "\nprofile: %lld steps of %.3f s; product rate %.1f GFLOP/s\n", LL(sums.n_step),
            sums.n_step > 0 ? sums.steps_s / (double)sums.n_step : 0, product_gflops);
    fprintf(out, "%-22s %9s %10s %10s %9s %8s %9s\n", "op", "calls", "forward s", "backward s",
            "share", "GFLOP/s", "of rate");
    for (int i = 0; i < n; i++) {
        if (i > 0 && row[i - 1].is_op && !row[i].is_op) fprintf(out, "outside ops\n");
        print_row(out, &row[i], steps_s, product_gflops);
        all.forward_s += row[i].forward_s;
        all.backward_s += row[i].backward_s;
        all.flops += row[i].flops;
    }
    all.is_op = true;
    all.calls = sums.n_step;
    print_row(out, &all, steps_s, product_gflops);
    fprintf(out, "\noutside steps (of %.3f s in all)\n", sums.whole_s);
    for (int i = 0; i < prof.n_entry; i++)
        if (prof.entry[i].kind == PROFILE_APART)
            fprintf(out, "%-22s %9lld %10.3f\n", prof.entry[i].name, LL(prof.entry[i].calls),
                    prof.entry[i].seconds);
    print_products(out, steps_s, product_gflops);
}
