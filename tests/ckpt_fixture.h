/* ckpt_fixture.h — tiny checkpoints for the tests: 30 kB in ten slices and several parts. */
#ifndef TESTS_CKPT_FIXTURE_H
#define TESTS_CKPT_FIXTURE_H
#include "checkpoints/ckpt.h"
#include "tests/test_helper.h"
#include "trainer/base/rng.h"
#include "trainer/io/files.h"
#include "trainer/io/sha256.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_TENSOR = 5, N_VALUE = 7500 };

typedef struct Fixture {
    CkptTensor t[N_TENSOR];
    float val[N_VALUE];
    CkptInfo info;
    CkptOpts opts;
} Fixture;

/* The same numbers for the same seed, on every machine; declared in no particular order. */
static inline void fixture_init(Fixture *f, uint64_t seed)
{
    static const CkptTensor shapes[N_TENSOR] = {
        {"param/model.layers.10.up.weight", 2, {50, 60}, NULL},
        {"optim/m/model.layers.10.up.weight", 2, {50, 60}, NULL},
        {"param/model.layers.2.norm.weight", 1, {60}, NULL},
        {"optim/v/model.layers.2.norm.weight", 1, {60}, NULL},
        {"param/model.conv", 4, {2, 3, 5, 46}, NULL},
    };
    memset(f, 0, sizeof *f);
    Rng rng;
    rng_init(&rng, seed, 0);
    for (int i = 0; i < N_VALUE; i++)
        f->val[i] = (float)(int64_t)(rng_u64(&rng) >> 40) * 0x1p-22f - 2.0f;
    f->val[7] = NAN;
    f->val[8] = -0.0f;
    int64_t at = 0;
    for (int i = 0; i < N_TENSOR; i++) {
        int64_t n = 1;
        f->t[i] = shapes[i];
        for (int d = 0; d < shapes[i].n_dim; d++) n *= shapes[i].dim[d];
        f->t[i].val = f->val + at;
        at += n;
    }
    T_EQ_I64(at, N_VALUE);
    f->info = (CkptInfo){.kind = "main",
                         .version = "v2",
                         .step = 120,
                         .tokens = 61440,
                         .samples = 480,
                         .updates = 120,
                         .lr = 3e-4,
                         .seed = 42};
    f->opts = (CkptOpts){.checkpoint_part_bytes = 8192, .slice_bytes = 4096};
}

/* A path below the test's directory: the same pointer for the same name, for 256 names. */
static inline char *fixture_path(const char *name)
{
    static char paths[256][256];
    static int next;
    char wanted[256];
    snprintf(wanted, sizeof wanted, "%s/%s", test_dir(), name);
    for (int i = 0; i < 256; i++)
        if (!strcmp(paths[i], wanted)) return paths[i];
    next = (next + 1) % 256;
    return strcpy(paths[next], wanted);
}

static inline Status fixture_begin(const Fixture *f, const Comm *c, const char *dir,
                                   bool background, CkptWrite **w)
{
    return ckpt_write_begin(&f->opts, c, dir, &f->info, f->t, N_TENSOR, background, w);
}

static inline Status fixture_write_on(const Fixture *f, const Comm *c, const char *dir,
                                      bool background)
{
    Status rc = ST_OK;
    CkptWrite *w = NULL;
    TRY(fixture_begin(f, c, dir, background, &w));
    TRY(ckpt_write_end(w));
out:
    return rc;
}

static inline Status fixture_write(const Fixture *f, const char *dir)
{
    return fixture_write_on(f, comm_self(), dir, false);
}

/* Every tensor of dir equals the fixture's, bit for bit. */
static inline void fixture_expect(const Fixture *f, const char *dir)
{
    static float back[N_VALUE];
    Ckpt *k = NULL;
    T_OK(ckpt_open(dir, &k));
    T_EQ_I64(ckpt_n_tensor(k), N_TENSOR);
    for (int i = 0; i < N_TENSOR; i++) {
        const CkptTensor *t = &f->t[i];
        size_t n = 4;
        for (int d = 0; d < t->n_dim; d++) n *= (size_t)t->dim[d];
        memset(back, 1, sizeof back);
        T_OK(ckpt_read(k, t->name, t->n_dim, t->dim, back));
        T_TRUE(memcmp(back, t->val, n) == 0);
    }
    ckpt_close(k);
}

static inline void slurp(const char *path, char **text, size_t *n)
{
    T_OK(file_read_all(path, 1 << 24, text, n));
}

static inline void spill(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    T_TRUE(f != NULL);
    T_TRUE(fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}
#endif
