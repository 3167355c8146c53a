/* unit_ckpt.c — checkpoints: what they promise, and everything that must be refused. */
#include "tests/ckpt_fixture.h"
#include <stdlib.h>
#include <unistd.h>

enum { N_HEX = 64, N_DIGEST = 88 }; /* `,\n "manifest_sha256": "` + 64 digits + `"\n}\n` */

static void copy_checkpoint(const char *from, const char *to)
{
    char **names = NULL;
    int64_t n = 0;
    T_OK(dir_remove(to));
    T_OK(dir_make(to));
    T_OK(dir_list(from, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        char *a = path_join(from, names[i]), *b = path_join(to, names[i]);
        size_t size = 0;
        char *bytes;
        slurp(a, &bytes, &size);
        spill(b, bytes, size);
        mem_free(bytes);
        mem_free(a);
        mem_free(b);
    }
    dir_list_free(names, n);
}

static void hashes_of(const char *dir, char payload[SHA256_HEX], char state[SHA256_HEX])
{
    Ckpt *k = NULL;
    T_OK(ckpt_open(dir, &k));
    snprintf(payload, SHA256_HEX, "%s", ckpt_payload_sha256(k));
    snprintf(state, SHA256_HEX, "%s", ckpt_state_sha256(k));
    ckpt_close(k);
}

START_TEST(everything_comes_back)
{
    Fixture f;
    fixture_init(&f, 1);
    f.info.lr = NAN;
    f.info.seed = UINT64_MAX - 5;
    f.info.config = json_pack("{s:i, s:f}", "global_batch_size", 8, "learning_rate", 0.1);
    f.info.fingerprint = json_pack("{s:s}", "backend", "reference");
    const char *dir = fixture_path("round");
    T_OK(fixture_write(&f, dir));
    T_FAILS(fixture_write(&f, dir), IO, "round: exists already");
    T_OK(ckpt_verify(dir));
    fixture_expect(&f, dir);

    Ckpt *k = NULL;
    T_OK(ckpt_open(dir, &k));
    const CkptInfo *i = ckpt_info(k);
    T_EQ_STR(i->kind, "main");
    T_EQ_STR(i->version, "v2");
    T_EQ_I64(i->step, 120);
    T_EQ_I64(i->tokens, 61440);
    T_EQ_I64(i->samples, 480);
    T_EQ_I64(i->updates, 120);
    T_TRUE(isnan(i->lr));
    T_TRUE(i->seed == UINT64_MAX - 5);
    T_TRUE(json_equal(i->config, f.info.config) && json_equal(i->fingerprint, f.info.fingerprint));
    T_TRUE(i->extra == NULL);
    T_TRUE(ckpt_n_part(k) > 2);
    T_EQ_I64(ckpt_trainable_params(k), 3000 + 60 + 1380);
    T_TRUE(ckpt_bytes(k) > 4 * N_VALUE);
    T_TRUE(ckpt_bytes(k) < ckpt_disk_bytes(f.t, N_TENSOR));
    for (int64_t t = 0; t < N_TENSOR; t++) {
        T_EQ_STR(ckpt_tensor_at(k, t)->name, f.t[t].name);
        T_TRUE(ckpt_tensor_at(k, t)->val == NULL);
    }
    ckpt_close(k);
    ckpt_info_fini(&f.info);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* The definition of docs/formats.md, written out once more. */
static void add_tensor(Sha256 *s, const char *name, const CkptTensor *t)
{
    const uint32_t n_dim = (uint32_t)t->n_dim;
    size_t n = 4;
    for (int d = 0; d < t->n_dim; d++) n *= (size_t)t->dim[d];
    sha256_add(s, name, strlen(name) + 1);
    sha256_add(s, &n_dim, 4);
    sha256_add(s, t->dim, 8 * n_dim);
    sha256_add(s, t->val, n);
}

START_TEST(hashes_are_those_of_the_definition)
{
    Fixture f;
    char payload[SHA256_HEX], state[SHA256_HEX], want[SHA256_HEX];
    fixture_init(&f, 1);
    T_OK(fixture_write(&f, fixture_path("defined")));
    hashes_of(fixture_path("defined"), payload, state);

    Sha256 *s = NULL;
    T_OK(sha256_begin(&s));
    add_tensor(s, "model.conv", &f.t[4]);
    add_tensor(s, "model.layers.10.up.weight", &f.t[0]);
    add_tensor(s, "model.layers.2.norm.weight", &f.t[2]);
    T_OK(sha256_peek(s, want));
    T_EQ_STR(payload, want);
    add_tensor(s, "optim/m/model.layers.10.up.weight", &f.t[1]);
    add_tensor(s, "optim/v/model.layers.2.norm.weight", &f.t[3]);
    static const struct {
        const char *name;
        int64_t value;
    } counters[] = {{"counter/samples", 480},
                    {"counter/seed", 42},
                    {"counter/step", 120},
                    {"counter/tokens", 61440},
                    {"counter/updates", 120}};
    for (int64_t i = 0; i < N_OF(counters); i++) {
        const uint32_t no_dim = 0;
        sha256_add(s, counters[i].name, strlen(counters[i].name) + 1);
        sha256_add(s, &no_dim, 4);
        sha256_add(s, &counters[i].value, 8);
    }
    sha256_end(s, want);
    T_EQ_STR(state, want);
}
END_TEST

START_TEST(hashes_depend_on_the_state_and_on_nothing_else)
{
    Fixture f;
    char payload[4][SHA256_HEX], state[4][SHA256_HEX];
    fixture_init(&f, 1);
    T_OK(fixture_write(&f, fixture_path("h0")));
    const CkptTensor first = f.t[0];
    memmove(f.t, f.t + 1, (N_TENSOR - 1) * sizeof *f.t);
    f.t[N_TENSOR - 1] = first;
    f.opts = (CkptOpts){.checkpoint_part_bytes = 64 << 20, .checkpoint_compression = 1};
    T_OK(fixture_write(&f, fixture_path("h1")));
    f.info.updates++;
    T_OK(fixture_write(&f, fixture_path("h2")));
    f.t[N_TENSOR - 1].val[2999] += 1e-6f;
    T_OK(fixture_write(&f, fixture_path("h3")));
    for (int i = 0; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "h%d", i);
        hashes_of(fixture_path(name), payload[i], state[i]);
        T_OK(ckpt_verify(fixture_path(name)));
    }
    T_EQ_STR(payload[0], payload[1]);
    T_EQ_STR(state[0], state[1]);
    T_EQ_STR(payload[1], payload[2]);
    T_TRUE(strcmp(state[1], state[2]) != 0);
    T_TRUE(strcmp(payload[2], payload[3]) != 0 && strcmp(state[2], state[3]) != 0);
}
END_TEST

START_TEST(a_tensor_of_another_shape_is_refused_naming_both)
{
    Fixture f;
    float back[3000];
    const int64_t turned[2] = {60, 50};
    Ckpt *k = NULL;
    fixture_init(&f, 1);
    T_OK(fixture_write(&f, fixture_path("shape")));
    T_OK(ckpt_open(fixture_path("shape"), &k));
    T_FAILS(ckpt_read(k, f.t[0].name, 2, turned, back), DATA,
            "has shape (50,60) there, (60,50) here");
    T_FAILS(ckpt_read(k, "param/other", 2, turned, back), DATA, "has no param/other");
    ckpt_close(k);
}
END_TEST

START_TEST(what_no_manifest_can_hold_is_not_written)
{
    Fixture f;
    fixture_init(&f, 1);
    const char *name = f.t[0].name;
    static const char *const bad[] = {"", "param/", "/x", "a//b", "a/./b", "a b", "a\n", "a[1]"};
    for (int64_t i = 0; i < N_OF(bad); i++) {
        f.t[0].name = bad[i];
        T_FAILS(fixture_write(&f, fixture_path("bad")), BUG, "a tensor is named");
    }
    f.t[0].name = f.t[2].name;
    T_FAILS(fixture_write(&f, fixture_path("bad")), BUG, "is there twice");
    f.t[0].name = name;
    f.t[0].dim[1] = 0;
    T_FAILS(fixture_write(&f, fixture_path("bad")), BUG, "dim 1 is 0");
    f.t[0].dim[1] = 60;
    snprintf(f.info.kind, sizeof f.info.kind, "other");
    T_FAILS(fixture_write(&f, fixture_path("bad")), BUG, "kind is \"other\"");
    T_TRUE(!path_exists(fixture_path("bad")));
    T_EQ_I64(mem_live(), 0);
}
END_TEST

/* Damage is refused, and the file is named. */
static void expect_refused(const char *dir, const char *file)
{
    const Status rc = ckpt_verify(dir);
    T_TRUE(rc == ST_FORMAT || rc == ST_DATA);
    T_HAS(status_message(), file);
    status_clear();
}

START_TEST(every_flipped_bit_is_found)
{
    static const char *const files[] = {"manifest.json", "part-000.h5", "part-002.h5"};
    Fixture f;
    fixture_init(&f, 1);
    const char *dir = fixture_path("flip");
    T_OK(fixture_write(&f, dir));
    int64_t n_tried = 0;
    for (int64_t i = 0; i < N_OF(files); i++) {
        char *path = path_join(dir, files[i]);
        size_t n = 0;
        char *bytes;
        slurp(path, &bytes, &n);
        for (size_t at = 0; at < n; at += i == 0 ? 7 : 29, n_tried++) {
            const char bit = (char)(1 << (at % 8));
            bytes[at] ^= bit;
            spill(path, bytes, n);
            expect_refused(dir, files[i]);
            bytes[at] ^= bit;
        }
        spill(path, bytes, n);
        mem_free(bytes);
        mem_free(path);
    }
    T_TRUE(n_tried > 500);
    T_OK(ckpt_verify(dir));
}
END_TEST

START_TEST(truncated_grown_and_missing_files_are_found)
{
    static const char *const files[] = {"manifest.json", "part-001.h5"};
    Fixture f;
    fixture_init(&f, 1);
    const char *dir = fixture_path("cut");
    T_OK(fixture_write(&f, dir));
    for (int64_t i = 0; i < N_OF(files); i++) {
        char *path = path_join(dir, files[i]);
        size_t n = 0;
        char *bytes;
        slurp(path, &bytes, &n);
        for (size_t cut = 0; cut < n; cut += 61) {
            spill(path, bytes, cut);
            expect_refused(dir, files[i]);
        }
        spill(path, bytes, n + 1); /* slurp ends with a NUL of its own */
        expect_refused(dir, files[i]);
        T_OK(file_remove(path));
        expect_refused(dir, files[i]);
        T_TRUE(ckpt_is(dir) == (i != 0));
        spill(path, bytes, n);
        mem_free(bytes);
        mem_free(path);
    }
    T_OK(ckpt_verify(dir));
}
END_TEST

START_TEST(swapped_and_foreign_parts_are_refused)
{
    Fixture f, g;
    fixture_init(&f, 1);
    fixture_init(&g, 2);
    const char *dir = fixture_path("swap"), *other = fixture_path("swap-other");
    T_OK(fixture_write(&f, dir));
    T_OK(fixture_write(&g, other));
    char *a = path_join(dir, "part-000.h5"), *b = path_join(dir, "part-001.h5"),
         *c = path_join(other, "part-000.h5");
    size_t n_a = 0, n_b = 0, n_c = 0;
    char *bytes_a, *bytes_b, *bytes_c;
    slurp(a, &bytes_a, &n_a);
    slurp(b, &bytes_b, &n_b);
    slurp(c, &bytes_c, &n_c);
    T_EQ_I64(n_a, n_c);
    spill(a, bytes_b, n_b);
    spill(b, bytes_a, n_a);
    expect_refused(dir, "part-00");
    spill(b, bytes_b, n_b);
    spill(a, bytes_c, n_c);
    expect_refused(dir, "part-000.h5: its SHA-256 is");
    spill(a, bytes_a, n_a);
    T_OK(ckpt_verify(dir));
    mem_free(bytes_a);
    mem_free(bytes_b);
    mem_free(bytes_c);
    mem_free(a);
    mem_free(b);
    mem_free(c);
}
END_TEST

/* Replaces the first `from` in a manifest by `to` and signs it anew, as an attacker would. */
static void forge(const char *dir, const char *from, const char *to)
{
    char *path = path_join(dir, "manifest.json"), hex[SHA256_HEX];
    size_t n = 0;
    char *text;
    slurp(path, &text, &n);
    text[n - N_DIGEST - 3] = '\0';
    ck_assert_msg(strstr(text, from) != NULL, "the manifest has no %s", from);
    const size_t at = (size_t)(strstr(text, from) - text);
    char *body = mem_printf("%.*s%s%s", (int)at, text, to, text + at + strlen(from));
    T_OK(sha256_bytes(body, strlen(body), hex));
    char *whole = mem_printf("%s,\n \"manifest_sha256\": \"%s\"\n}\n", body, hex);
    spill(path, whole, strlen(whole));
    mem_free(whole);
    mem_free(body);
    mem_free(text);
    mem_free(path);
}

START_TEST(forged_manifests_are_refused)
{
    static const struct {
        const char *from, *to, *why;
    } lies[] = {
        {"\"file\": \"part-000.h5\"", "\"file\": \"../part-000.h5\"",
         "is the file \"../part-000.h5\", not part-000.h5"},
        {"\"file\": \"part-001.h5\"", "\"file\": \"/etc/passwd\"", "is the file \"/etc/passwd\""},
        {"\"file\": \"part-001.h5\"", "\"file\": \"part-000.h5\"",
         "is the file \"part-000.h5\", not part-001.h5"},
        {"\"bytes\": ", "\"bytes\": -", "part-000.h5 has -"},
        {"\"bytes\": ", "\"bytes\": 99999999", "part-000.h5 has 99999999"},
        {"\"bytes\": ", "\"bytes\": 1", "has 1"},
        {"\"slices\": ", "\"slices\": -", "slices"},
        {"\"slices\": ", "\"slices\": 9", "slices, 10 are left"},
        {"    50,\n", "    0,\n", "dim 0 is 0"},
        {"    50,\n", "    -50,\n", "dim 0 is -50"},
        {"    50,\n", "    4611686018427387904,\n", "dim 0 is 4611686018427387904"},
        {"    50,\n", "    1099511627776,\n", "dim 1 is 60"},
        {"    50,\n", "    500,\n", "slice digests, its shape asks for 30"},
        {"    50,\n", "    50.5,\n", "dim 0 is 0"},
        {"    50,\n", "    2,\n    5,\n    5,\n    1,\n", "has 0 dims"},
        {"\"dtype\": \"F32\"", "\"dtype\": \"F8\"", "has dtype F8"},
        {"\"name\": \"param/model.conv\"", "\"name\": \"param/model.layers.2.norm.weight\"",
         "is there twice"},
        {"\"name\": \"param/model.conv\"", "\"name\": \"a/\\u001b[31m\"", "a tensor is named"},
        {"\"name\": \"param/model.conv\"", "\"name\": \"a\\u0000b\"", "\\u0000"},
        {"\"name\": \"param/model.conv\"", "\"name\": 5", "Expected string"},
        {"\"kind\": \"main\"", "\"kind\": \"king\"", "kind is \"king\""},
        {"\"kind\": \"main\"", "\"kind\": \"a kind of sixteen or more\"", "kind has 25 characters"},
        {"\"version\": \"v2\"", "\"version\": \"v\\u0007\"", "control character"},
        {"\"step\": 120", "\"step\": -1", "step -1"},
        {"\"step\": 120", "\"step\": 120, \"step\": 121", "duplicate object key"},
        {"\"format_version\": 1", "\"format_version\": 2",
         "has format version 2, this program reads version 1"},
        {"\"format\": \"switchyard-checkpoint\"", "\"format\": \"other\"",
         "its format is \"other\""},
        {"\"slice_bytes\": 4096", "\"slice_bytes\": 0", "slices of 0 bytes"},
        {"\"slice_bytes\": 4096", "\"slice_bytes\": 4097", "slices of 4097 bytes"},
        {"\"slice_bytes\": 4096", "\"slice_bytes\": 1099511627776", "slice digests"},
        {"\"payload_sha256\": \"", "\"payload_sha256\": \"0", "payload_sha256 has no SHA-256"},
        {"\"parts\": ", "\"parts\": {}, \"others\": ", "the parts have 0 slices"},
        {"\"tensors\": ", "\"tensors\": [], \"others\": ", "without tensors"},
        {"\"tensors\": ", "\"tensor\": ", "tensors"},
        {"{\n", "[{\n", "manifest.json: line"},
    };
    Fixture f;
    fixture_init(&f, 1);
    const char *good = fixture_path("good"), *dir = fixture_path("forged");
    T_OK(fixture_write(&f, good));
    for (int64_t i = 0; i < N_OF(lies); i++) {
        copy_checkpoint(good, dir);
        forge(dir, lies[i].from, lies[i].to);
        T_FAILS(ckpt_verify(dir), FORMAT, lies[i].why);
    }
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_manifest_that_describes_other_numbers_is_refused)
{
    Fixture f, g;
    char payload[SHA256_HEX], state[SHA256_HEX], other[SHA256_HEX];
    fixture_init(&f, 1);
    fixture_init(&g, 2);
    const char *dir = fixture_path("lie");
    T_OK(fixture_write(&f, dir));
    T_OK(fixture_write(&g, fixture_path("lie-other")));
    hashes_of(dir, payload, state);
    hashes_of(fixture_path("lie-other"), other, state);
    forge(dir, payload, other);
    T_FAILS(ckpt_verify(dir), FORMAT, "payload_sha256 is");
    forge(dir, other, payload);
    T_OK(ckpt_verify(dir));
    forge(dir, "\"updates\": 120", "\"updates\": 121");
    T_FAILS(ckpt_verify(dir), FORMAT, "state_sha256 is");
}
END_TEST

static void write_step(const Fixture *f, const char *parent, int64_t step)
{
    char name[64];
    snprintf(name, sizeof name, "step-%06lld", LL(step));
    char *dir = path_join(parent, name);
    Fixture at = *f;
    at.info.step = step;
    for (int i = 0; i < N_TENSOR; i++) at.t[i].val = at.val + (f->t[i].val - f->val);
    T_OK(fixture_write(&at, dir));
    mem_free(dir);
}

static void expect_newest(const char *parent, const char *name)
{
    char *path = NULL;
    T_OK(ckpt_newest(parent, &path));
    T_TRUE((path != NULL) == (name != NULL));
    if (name) T_HAS(path, name);
    mem_free(path);
}

START_TEST(the_newest_intact_one_is_found)
{
    Fixture f;
    char *path = NULL;
    fixture_init(&f, 1);
    char *parent = fixture_path("many");
    expect_newest(parent, NULL);
    T_OK(dir_make(parent));
    expect_newest(parent, NULL);
    write_step(&f, parent, 5);
    write_step(&f, parent, 100);
    write_step(&f, parent, 1000000);
    T_OK(dir_make(fixture_path("many/step-x")));
    T_OK(dir_make(fixture_path("many/step-2000000.tmp-77")));
    expect_newest(parent, "step-1000000");
    T_OK(file_remove(fixture_path("many/step-1000000/part-001.h5")));
    expect_newest(parent, "step-000100");
    spill(fixture_path("many/step-000100/manifest.json"), "{}\n", 3);
    expect_newest(parent, "step-000005");
    T_OK(file_remove(fixture_path("many/step-000005/manifest.json")));
    T_FAILS(ckpt_newest(parent, &path), FORMAT, "has 3 checkpoints, all of them damaged");
}
END_TEST

START_TEST(pruning_keeps_the_newest_intact_ones)
{
    Fixture f;
    fixture_init(&f, 1);
    char *parent = fixture_path("prune");
    T_OK(ckpt_prune(parent, 2));
    for (int64_t step = 10; step <= 60; step += 10) write_step(&f, parent, step);
    T_OK(dir_make(fixture_path("prune/step-000070.tmp-123/deep")));
    T_OK(dir_make(fixture_path("prune/notes.tmp-me")));
    T_OK(ckpt_prune(parent, 0));
    T_TRUE(!path_exists(fixture_path("prune/step-000070.tmp-123")));
    T_TRUE(path_exists(fixture_path("prune/notes.tmp-me")) &&
           path_exists(fixture_path("prune/step-000010")));
    T_OK(file_remove(fixture_path(
        "prune/step-000060/part-000.h5"))); /* damaged: does not count, stays to be seen */
    T_OK(ckpt_prune(parent, 2));
    for (int64_t step = 10; step <= 60; step += 10) {
        char name[32];
        snprintf(name, sizeof name, "prune/step-%06lld", LL(step));
        T_TRUE(path_exists(fixture_path(name)) == (step >= 40));
    }
    expect_newest(parent, "step-000050");
    T_OK(ckpt_prune(parent, 1));
    expect_newest(parent, "step-000050");
    T_TRUE(!path_exists(fixture_path("prune/step-000040")));
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_checkpoint_of_the_first_format_still_loads)
{
    const char *dir = SWITCHYARD_SOURCE_DIR "/tests/golden/ckpt-format-1";
    Fixture f;
    char payload[SHA256_HEX], state[SHA256_HEX];
    fixture_init(&f, 1);
    T_OK(ckpt_verify(dir));
    fixture_expect(&f, dir);
    hashes_of(dir, payload, state);
    T_EQ_STR(payload, "ee7805eb030e210129f50b4a301839f98ed8faa8259c29e87ac48f0d88c0aef0");
    T_EQ_STR(state, "1e1bcaa1e3e34d0c202618af6458e1c466d7f270e90f8c302a54b3f495a93cd3");
}
END_TEST

int main(void)
{
    const TTest *t[] = {everything_comes_back,
                        hashes_are_those_of_the_definition,
                        hashes_depend_on_the_state_and_on_nothing_else,
                        a_tensor_of_another_shape_is_refused_naming_both,
                        what_no_manifest_can_hold_is_not_written,
                        every_flipped_bit_is_found,
                        truncated_grown_and_missing_files_are_found,
                        swapped_and_foreign_parts_are_refused,
                        forged_manifests_are_refused,
                        a_manifest_that_describes_other_numbers_is_refused,
                        the_newest_intact_one_is_found,
                        pruning_keeps_the_newest_intact_ones,
                        a_checkpoint_of_the_first_format_still_loads};
    return test_main("unit.ckpt", t, N_OF(t));
}
