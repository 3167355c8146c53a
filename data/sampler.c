/* sampler.c — which row is sample i, by arithmetic alone. The formulas stand in data.h. */
#include "data/data.h"
#include "trainer/base/mem.h"
#include "trainer/base/rng.h"
#include <math.h>

enum { N_ROUND = 8 };

/* What a key is for. */
typedef enum Purpose { FOR_NEW = 1, FOR_OLD } Purpose;

struct Sampler {
    uint64_t seed, stream;
    int64_t n_set, n_old;
    int64_t *new_end, *old_end; /* rows of set 0..k together, and of the older sets */
    uint64_t *first_share;      /* with weights: of set k among the sets k, k+1, ... */
    uint64_t replay;
};

static uint64_t key_for(const Sampler *s, Purpose purpose, int64_t which, int64_t epoch)
{
    const uint64_t run = rng_at(s->seed, s->stream, (uint64_t)purpose << 32 | (uint64_t)which);
    return rng_at(run, 0, (uint64_t)epoch);
}

/* P_key(i), a permutation of [0,n). Leaving [0,n) and walking on until back inside keeps it
 * one-to-one. */
static int64_t permute(uint64_t key, int64_t n, int64_t i)
{
    int h = 1; /* bits of half a number: 4^h >= n */
    while (h < 31 && (int64_t)1 << (2 * h) < n) h++;
    const uint64_t mask = ((uint64_t)1 << h) - 1;
    uint64_t x = (uint64_t)i;
    do {
        uint64_t left = x >> h, right = x & mask;
        for (uint64_t round = 0; round < N_ROUND; round++) {
            const uint64_t mixed = left ^ (rng_at(key, round, right) & mask);
            left = right;
            right = mixed;
        }
        x = left << h | right;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}

/* ---- shares ---- */

typedef struct Turn {
    bool first;   /* is it the first party's */
    int64_t draw; /* its number among that party's draws */
} Turn;

/* In units of 2^-32, so that turns are counted in integers. */
static uint64_t share_of(double f)
{
    return (uint64_t)floor(ldexp(f, 32) + 0.5);
}

/* Draws of the first party among the first i: round(i f). */
static int64_t draws_before(uint64_t f, int64_t i)
{
    const uint64_t hi = (uint64_t)i >> 32, lo = (uint64_t)i & 0xffffffffu;
    return (int64_t)(hi * f + ((lo * f + 0x80000000u) >> 32));
}

static Turn turn_at(uint64_t f, int64_t i)
{
    const int64_t before = draws_before(f, i);
    const bool first = draws_before(f, i + 1) > before;
    return (Turn){first, first ? before : i - before};
}

/* ---- samples ---- */

/* Row number r of several sets laid end to end. */
static SampleId place(const int64_t *end, int64_t n, int64_t r, int64_t epoch, int64_t set_offset)
{
    int64_t k = 0;
    while (k < n - 1 && r >= end[k]) k++;
    return (SampleId){(int32_t)(set_offset + k), r - (k > 0 ? end[k - 1] : 0), epoch};
}

static SampleId mixed_run_at(const Sampler *s, Purpose purpose, const int64_t *end, int64_t n,
                             int64_t draw, int64_t set_offset)
{
    const int64_t n_row = end[n - 1], epoch = draw / n_row;
    return place(end, n, permute(key_for(s, purpose, 0, epoch), n_row, draw % n_row), epoch,
                 set_offset);
}

static SampleId weighted_at(const Sampler *s, int64_t draw)
{
    int64_t k = 0;
    for (; k < s->n_set - 1; k++) {
        const Turn turn = turn_at(s->first_share[k], draw);
        draw = turn.draw;
        if (turn.first) break;
    }
    const int64_t n_row = s->new_end[k] - (k > 0 ? s->new_end[k - 1] : 0), epoch = draw / n_row;
    return (SampleId){(int32_t)k, permute(key_for(s, FOR_NEW, k, epoch), n_row, draw % n_row),
                      epoch};
}

SampleId sampler_at(const Sampler *s, int64_t i)
{
    int64_t draw = i;
    if (s->replay > 0) {
        const Turn turn = turn_at(s->replay, i);
        if (turn.first) return mixed_run_at(s, FOR_OLD, s->old_end, s->n_old, turn.draw, s->n_set);
        draw = turn.draw;
    }
    if (s->first_share) return weighted_at(s, draw);
    return mixed_run_at(s, FOR_NEW, s->new_end, s->n_set, draw, 0);
}

int64_t sampler_n_epoch_sample(const Sampler *s)
{
    return s->new_end[s->n_set - 1];
}

/* ---- making one ---- */

static Status add_up(const int64_t *n_row, int64_t n, int64_t **end)
{
    Status rc = ST_OK;
    *end = mem_array(n, sizeof **end);
    CHECK(*end, NOMEM, "sampler: %lld sets", LL(n));
    int64_t sum = 0;
    for (int64_t k = 0; k < n; k++) {
        CHECK(n_row[k] >= 0 && n_row[k] <= INT64_MAX / 4 - sum, CONFIG,
              "sampler: set %lld has %lld rows", LL(k), LL(n_row[k]));
        (*end)[k] = sum += n_row[k];
    }
out:
    return rc;
}

static Status take_weights(Sampler *s, const SamplerSpec *spec)
{
    Status rc = ST_OK;
    double rest = 0.0;
    s->first_share = mem_array(s->n_set, sizeof *s->first_share);
    CHECK(s->first_share, NOMEM, "sampler: %lld sets", LL(s->n_set));
    for (int64_t k = s->n_set - 1; k >= 0; k--) {
        const double w = spec->weight[k];
        CHECK(w > 0.0 && w <= 1e9, CONFIG, "sampler: set %lld has weight %g", LL(k), w);
        CHECK(spec->n_row[k] > 0, CONFIG, "sampler: set %lld has weight %g but no row", LL(k), w);
        rest += w;
        s->first_share[k] = share_of(w / rest);
        CHECK(s->first_share[k] > 0 && (k == s->n_set - 1 || s->first_share[k] < share_of(1.0)),
              CONFIG, "sampler: set %lld has weight %g, too far from the others", LL(k), w);
    }
out:
    return rc;
}

static Status take_replay(Sampler *s, const SamplerSpec *spec)
{
    Status rc = ST_OK;
    CHECK(spec->replay >= 0.0 && spec->replay < 1.0, CONFIG,
          "replay %g: must be at least 0 and below 1", spec->replay);
    s->replay = share_of(spec->replay);
    const int64_t n = sampler_n_epoch_sample(s), n_needed = draws_before(s->replay, n);
    const int64_t n_there = spec->n_old > 0 ? s->old_end[spec->n_old - 1] : 0;
    CHECK(s->replay == 0 || (n_there >= n_needed && n_there > 0), CONFIG,
          "replay %g of %lld samples takes %lld older rows, there are %lld", spec->replay, LL(n),
          LL(n_needed), LL(n_there));
out:
    return rc;
}

Status sampler_create(const SamplerSpec *spec, Sampler **out_s)
{
    Status rc = ST_OK;
    Sampler *s = mem_alloc(sizeof *s);
    *out_s = NULL;
    CHECK(s, NOMEM, "sampler: %zu bytes", sizeof *s);
    CHECK(spec->n_set > 0, CONFIG, "sampler: no dataset");
    s->seed = spec->seed;
    s->stream = spec->stream;
    s->n_set = spec->n_set;
    s->n_old = spec->n_old;
    TRY(add_up(spec->n_row, spec->n_set, &s->new_end));
    TRY(add_up(spec->n_old_row, spec->n_old, &s->old_end));
    CHECK(sampler_n_epoch_sample(s) > 0, CONFIG, "sampler: no row in %lld datasets", LL(s->n_set));
    if (spec->weight) TRY(take_weights(s, spec));
    TRY(take_replay(s, spec));
    *out_s = s;
    s = NULL;
out:
    sampler_destroy(s);
    return rc;
}

void sampler_destroy(Sampler *s)
{
    if (!s) return;
    mem_free(s->new_end);
    mem_free(s->old_end);
    mem_free(s->first_share);
    mem_free(s);
}
