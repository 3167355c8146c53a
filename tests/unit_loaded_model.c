/* unit_loaded_model.c — which checkpoint a directory means, and its weights bit for bit. */
#include "tests/tiny_run.h"
#include "trainer/io/files.h"

/* Saves random weights of this seed to dir; the first weight tells the checkpoints apart. */
static real save_seed(uint64_t seed, const char *kind, const char *version, const char *dir)
{
    RunConfig *cfg = tiny_config(24);
    TrainState *s = NULL;
    char *parent = path_parent(dir);
    T_OK(dir_make(parent));
    T_OK(state_create(comm_self(), cfg, &s));
    tiny_random(s, seed);
    s->step = (int64_t)seed;
    tiny_save(s, kind, version, dir);
    const real first = params_at(s->net.params, 0)->val[0];
    mem_free(parent);
    state_destroy(s);
    config_destroy(cfg);
    return first;
}

static void expect(const char *dir, const char *release, real first, const char *end)
{
    LoadedModel *m = NULL;
    T_OK(loaded_model_open(&(ModelChoice){.dir = dir, .release = release}, &m));
    T_TRUE(params_at(m->net.params, 0)->val[0] == first);
    const size_t n = strlen(m->dir), n_end = strlen(end);
    ck_assert_msg(n >= n_end && strcmp(m->dir + n - n_end, end) == 0, "%s, not %s", m->dir, end);
    loaded_model_close(m);
}

START_TEST(weights_and_config_come_back)
{
    RunConfig *cfg = tiny_config(24);
    TrainState *s = NULL;
    LoadedModel *m = NULL;
    T_OK(state_create(comm_self(), cfg, &s));
    tiny_random(s, 9);
    s->step = 77;
    tiny_save(s, "release", "v3", tiny_path("whole"));
    T_OK(loaded_model_open(&(ModelChoice){.dir = tiny_path("whole")}, &m));
    T_EQ_STR(m->kind, "release");
    T_EQ_STR(m->version, "v3");
    T_EQ_I64(m->step, 77);
    T_EQ_I64(strlen(m->payload_sha256), 64);
    T_EQ_I64(m->cfg->model.hidden_size, 24);
    T_EQ_I64(loaded_model_context(m), TINY_CONTEXT);
    T_EQ_I64(params_flat_n(m->net.params), params_flat_n(s->net.params));
    T_TRUE(memcmp(params_flat(m->net.params), params_flat(s->net.params),
                  (size_t)params_flat_n(s->net.params) * sizeof(real)) == 0);
    Text json = {0};
    loaded_model_json(m, &json);
    json_t *o = json_loads(json.s, 0, NULL);
    T_EQ_I64(json_integer_value(json_object_get(o, "step")), 77);
    T_EQ_STR(json_string_value(json_object_get(o, "version")), "v3");
    json_decref(o);
    text_fini(&json);
    loaded_model_close(m);
    state_destroy(s);
    config_destroy(cfg);
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_line_means_its_newest_release)
{
    char *dir = tiny_path("line");
    Line *line = NULL;
    LineVersion *v = NULL;
    LoadedModel *m = NULL;
    const real one = save_seed(1, "release", "v1", tiny_path("line/releases/v1")),
               two = save_seed(2, "release", "v2", tiny_path("line/releases/v2")),
               mean = save_seed(3, "release", "v2", tiny_path("line/releases/v2-averaged"));
    T_OK(line_load(dir, &line));
    T_OK(line_add(line, "v1", &v));
    T_OK(line_save(line));
    T_FAILS(loaded_model_open(&(ModelChoice){.dir = dir}, &m), DATA,
            "there is no release; released so far: none");
    snprintf(v->release.dir, sizeof v->release.dir, "releases/v1");
    T_OK(line_add(line, "v2", &v));
    snprintf(v->release.dir, sizeof v->release.dir, "releases/v2");
    T_OK(line_add(line, "v3", &v)); /* begun, not released */
    T_OK(line_save(line));
    line_destroy(line);
    expect(dir, NULL, two, "line/releases/v2");
    expect(dir, "v1", one, "line/releases/v1");
    expect(dir, "v2-averaged", mean, "line/releases/v2-averaged");
    expect(tiny_path("line/releases/v1"), NULL, one, "line/releases/v1");
    T_FAILS(loaded_model_open(&(ModelChoice){.dir = dir, .release = "v3"}, &m), DATA,
            "no release v3; released so far: v1, v2");
    T_FAILS(loaded_model_open(&(ModelChoice){.dir = tiny_path("line/releases/v1"), .release = "v2"},
                              &m),
            DATA, "is no line");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(a_plain_run_means_its_end_or_its_newest_checkpoint)
{
    char *dir = tiny_path("plain");
    LoadedModel *m = NULL;
    T_FAILS(loaded_model_open(&(ModelChoice){.dir = dir}, &m), DATA, "plain: is no directory");
    T_OK(dir_make(dir));
    T_FAILS(loaded_model_open(&(ModelChoice){.dir = dir}, &m), DATA, "plain: holds no checkpoint");
    const real early = save_seed(10, "main", "", tiny_path("plain/checkpoints/step-000010"));
    expect(dir, NULL, early, "step-000010");
    const real late = save_seed(20, "main", "", tiny_path("plain/checkpoints/step-000020"));
    expect(dir, NULL, late, "step-000020");
    const real end = save_seed(30, "final", "", tiny_path("plain/final"));
    expect(dir, NULL, end, "plain/final");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(damage_is_no_other_model)
{
    char *dir = tiny_path("damaged"), *manifest = tiny_path("damaged/manifest.json");
    LoadedModel *m = NULL;
    save_seed(1, "final", "", dir);
    T_OK(file_write_atomic(manifest, "{}", 2));
    T_FAILS(loaded_model_open(&(ModelChoice){.dir = dir}, &m), FORMAT, "damaged");
    T_EQ_I64(mem_live(), 0);
}
END_TEST

START_TEST(every_failing_call_is_survived)
{
    char *dir = tiny_path("faults");
    save_seed(4, "final", "", dir);
    for (int n = 1;; n++) {
        LoadedModel *m = NULL;
        fault_arm(n, false);
        const Status rc = loaded_model_open(&(ModelChoice){.dir = dir}, &m);
        const bool hit = fault_disarm();
        if (rc == ST_OK) T_TRUE(m);
        T_TRUE(hit || rc == ST_OK);
        status_clear();
        loaded_model_close(m);
        T_EQ_I64(mem_live(), 0);
        if (!hit) break;
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {weights_and_config_come_back, a_line_means_its_newest_release,
                            a_plain_run_means_its_end_or_its_newest_checkpoint,
                            damage_is_no_other_model, every_failing_call_is_survived};
    return test_main("unit.loaded_model", tests, N_OF(tests));
}
