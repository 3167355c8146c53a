/* adapter_mlx.c — adapters as mlx-lm writes them: y = W x + scale (x lora_a) lora_b. */
#include "checkpoints/adapter_parts.h"
#include <string.h>

static Status mlx_check(const JsonAt *config)
{
    Status rc = ST_OK;
    const char *type = "lora";
    TRY(json_opt_text(config, "fine_tune_type", &type));
    if (strcmp(type, "lora") != 0) TRY(json_refuse(json_key(config, "fine_tune_type"), "lora"));
out:
    return rc;
}

static Status mlx_settings(const JsonAt *config, AdapterPair *p)
{
    Status rc = ST_OK;
    const JsonAt lora = json_key(config, "lora_parameters");
    int64_t r = p->r;
    double scale;
    TRY(json_opt_i64(&lora, "rank", 1, 1 << 20, &r));
    if (r != p->r)
        TRY(json_refuse(json_key(&lora, "rank"), "%lld, the rank of %s in the file", LL(p->r),
                        p->module));
    TRY(json_f64(json_key(&lora, "scale"), 0, 1e9, &scale));
    TRY(json_opt_f64(&lora, "dropout", 0, 1, &p->dropout));
    p->alpha = scale * (double)p->r;
out:
    return rc;
}

const AdapterForm adapter_mlx = {.file = "adapters.safetensors",
                                 .prefix = "",
                                 .a = ".lora_a",
                                 .b = ".lora_b",
                                 .in_out = true,
                                 .base_key = "model",
                                 .settings = mlx_settings,
                                 .check = mlx_check};
