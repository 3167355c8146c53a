/* unit_best.c — which evaluation is the best one, and when a run has seen enough. */
#include "tests/test_helper.h"
#include "trainer/run/best.h"
#include <string.h>

static json_t *losses(double news, double old)
{
    return json_pack("{s:f, s:f}", "news", news, "old", old);
}

START_TEST(compares_by_the_mean_or_by_one_set)
{
    RunConfig cfg = {.load_best_model_at_end = true};
    json_t *held_out = losses(1.0, 3.0), *none = json_object();
    double loss = 0;
    T_OK(best_metric(&cfg, held_out, &loss));
    T_TRUE(loss == 2.0);
    cfg.metric_for_best_model = "old";
    T_OK(best_metric(&cfg, held_out, &loss));
    T_TRUE(loss == 3.0);
    cfg.metric_for_best_model = "odl";
    T_FAILS(best_metric(&cfg, held_out, &loss), CONFIG, "found odl");
    cfg.metric_for_best_model = NULL;
    T_FAILS(best_metric(&cfg, none, &loss), CONFIG, "needs held-out data");
    json_decref(held_out);
    json_decref(none);
}
END_TEST

START_TEST(stops_when_patience_runs_out)
{
    const RunConfig cfg = {.early_stopping_patience = 2, .early_stopping_threshold = 0.1};
    Best b = {0};
    T_TRUE(best_take(&cfg, &b, 10, 2.0));
    T_TRUE(best_take(&cfg, &b, 20, 1.95)); /* better, but not by enough for patience */
    T_EQ_I64(b.n_worse, 1);
    T_TRUE(!best_is_over(&cfg, &b));
    T_TRUE(best_take(&cfg, &b, 30, 1.5));
    T_EQ_I64(b.n_worse, 0);
    T_TRUE(!best_take(&cfg, &b, 40, 1.6));
    T_TRUE(!best_take(&cfg, &b, 50, 1.5));
    T_TRUE(best_is_over(&cfg, &b));
    T_EQ_I64(b.step, 30);
    T_TRUE(b.loss == 1.5);
    json_t *j = best_to_json(&b);
    const Best back = best_from_json(j);
    T_TRUE(back.step == b.step && back.loss == b.loss && back.n_worse == b.n_worse);
    json_decref(j);
    const RunConfig never = {0};
    T_TRUE(!best_is_over(&never, &b));
}
END_TEST

int main(void)
{
    const TTest *tests[] = {compares_by_the_mean_or_by_one_set, stops_when_patience_runs_out};
    return test_main("unit.best", tests, N_OF(tests));
}
