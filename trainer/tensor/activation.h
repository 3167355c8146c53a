/* activation.h — the activations of feed-forward layers, as ops and kernels name them. */
#ifndef TRAINER_TENSOR_ACTIVATION_H
#define TRAINER_TENSOR_ACTIVATION_H

/* Each is f(x) = x s(x):
 *   silu       s = 1 / (1 + exp(-x))
 *   gelu       s = Phi(x), the normal distribution function ("gelu" in config.json)
 *   gelu_tanh  s = (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 ("gelu_new", "gelu_pytorch_tanh")
 *   relu       s = 1 for x > 0, else 0 (Nair & Hinton 2010)
 * Hendrycks & Gimpel 2016, arXiv:1606.08415. */
typedef enum Activation { ACT_SILU, ACT_GELU, ACT_GELU_TANH, ACT_RELU } Activation;
#endif
