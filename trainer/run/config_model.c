/* config_model.c — the sizes of the model: from the model: block, or from the folder model_name_or_path, which the block may
 * repeat but not contradict. The resolved config holds both, so that a run can be read when its base is gone. */
#include "trainer/io/files.h"
#include "trainer/models/model_json.h"
#include "trainer/run/config_bind.h"
#include <string.h>

enum { N_SHOWN = 64 };

static Status check_same(const RunConfig *cfg, const Yaml *y, const ModelConfig *stored)
{
    Status rc = ST_OK;
    char place[CONFIG_N_PLACE], ours[N_SHOWN], theirs[N_SHOWN];
    const OptSpec *spec = opt_find(MODEL_OPTS, y->key);
    opt_print(spec, &cfg->model, ours, sizeof ours);
    opt_print(spec, stored, theirs, sizeof theirs);
    CHECK(strcmp(ours, theirs) == 0, CONFIG, "%smodel.%s: found %s, %s/config.json has %s",
          config_place(cfg->tree, y, place, sizeof place), y->key, ours, cfg->model_name_or_path,
          theirs);
out:
    return rc;
}

Status config_read_model(RunConfig *cfg)
{
    Status rc = ST_OK;
    ModelConfig stored;
    char place[CONFIG_N_PLACE];
    const Yaml *block = yaml_find(cfg->tree->root, "model");
    if (!cfg->model_name_or_path || (block && !path_exists(cfg->model_name_or_path))) goto out;
    CHECK(path_is_dir(cfg->model_name_or_path), DATA,
          "%smodel_name_or_path: %s is no folder here (nothing is downloaded)",
          config_place(cfg->tree, config_tree_find(cfg->tree, "model_name_or_path"), place,
                       sizeof place),
          cfg->model_name_or_path);
    TRY(model_config_read(cfg->model_name_or_path, &stored));
    for (const Yaml *y = block ? block->first : NULL; y; y = y->next)
        TRY(check_same(cfg, y, &stored));
    cfg->model = stored;
out:
    return rc;
}
