/* best.c — see best.h. */
#include "trainer/run/best.h"

bool best_is_wanted(const RunConfig *cfg)
{
    return cfg->load_best_model_at_end || cfg->early_stopping_patience > 0;
}

Status best_metric(const RunConfig *cfg, const json_t *held_out, double *loss)
{
    Status rc = ST_OK;
    const char *name;
    json_t *value;
    double sum = 0;
    const json_t *chosen =
        cfg->metric_for_best_model ? json_object_get(held_out, cfg->metric_for_best_model) : NULL;
    CHECK(json_object_size(held_out) > 0, CONFIG,
          "%s needs held-out data: val_size, or eval_datasets",
          cfg->load_best_model_at_end ? "load_best_model_at_end" : "early_stopping_patience");
    json_object_foreach((json_t *)held_out, name, value) sum += json_number_value(value);
    json_object_foreach((json_t *)held_out, name, value) break; /* one name, for the message */
    CHECK(chosen || !cfg->metric_for_best_model, CONFIG,
          "metric_for_best_model: found %s, expected the name of a held-out set, like %s",
          cfg->metric_for_best_model, name);
    *loss = chosen ? json_number_value(chosen) : sum / (double)json_object_size(held_out);
out:
    return rc;
}

bool best_take(const RunConfig *cfg, Best *b, int64_t step, double loss)
{
    const bool first = b->step == 0, better = first || loss < b->loss,
               much_better = first || loss < b->loss - cfg->early_stopping_threshold;
    b->n_worse = much_better ? 0 : b->n_worse + 1;
    if (!better) return false;
    b->loss = loss;
    b->step = step;
    return true;
}

bool best_is_over(const RunConfig *cfg, const Best *b)
{
    return cfg->early_stopping_patience > 0 && b->n_worse >= cfg->early_stopping_patience;
}

json_t *best_to_json(const Best *b)
{
    if (b->step == 0) return NULL;
    return json_pack("{s:I, s:f, s:I}", "step", (json_int_t)b->step, "loss", b->loss, "n_worse",
                     (json_int_t)b->n_worse);
}

Best best_from_json(const json_t *j)
{
    return (Best){.step = json_integer_value(json_object_get(j, "step")),
                  .loss = json_number_value(json_object_get(j, "loss")),
                  .n_worse = json_integer_value(json_object_get(j, "n_worse"))};
}
