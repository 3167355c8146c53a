/* lora.h — the options of kind: lora, for those who read and write adapters. */
#ifndef TRAINER_METHODS_LORA_H
#define TRAINER_METHODS_LORA_H
#include <stdbool.h>
#include <stdint.h>

typedef struct LoraOpts {
    int64_t lora_r;
    double lora_alpha, lora_dropout;
    const char *lora_target_modules, *lora_layers;
    bool use_rslora;
    double loraplus_lr_ratio;
    const char *modules_to_save;
} LoraOpts;
#endif
