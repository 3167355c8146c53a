/* rope_freq.c — with D = head_dim, L = original_max_position_embeddings, s = rope_factor and i < D/2:
 *
 *   f[i] = theta^(-2i/D)
 *   linear   f / s. Chen et al. 2023, arXiv:2306.15595.
 *   dynamic  theta becomes theta ((s n / M) - (s - 1))^(D/(D-2)), n = max(n_pos, M), M = max_position_embeddings
 *   llama3   f / s where the wave 2 pi / f is longer than L / low_freq_factor, f where it is shorter than
 *            L / high_freq_factor, between them linear in L f / (2 pi)
 *   yarn     f / s for the pairs that turn less than beta_slow times in L, f for those that turn more than
 *            beta_fast times, between them linear in i; cos and sin times 0.1 ln s + 1.
 *            Peng et al. 2023, arXiv:2309.00071, eq. (22), (23).
 * As transformers computes them, in double precision. */
#include "trainer/models/rope_freq.h"
#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static void powers(double theta, int64_t head_dim, double *freq)
{
    for (int64_t i = 0; i < head_dim / 2; i++)
        freq[i] = pow(theta, -2.0 * (double)i / (double)head_dim);
}

static double rope_linear(const ModelConfig *c, int64_t n_pos, double *freq)
{
    (void)n_pos;
    for (int64_t i = 0; i < c->head_dim / 2; i++) freq[i] /= c->rope_factor;
    return 1;
}

static double rope_dynamic(const ModelConfig *c, int64_t n_pos, double *freq)
{
    const double s = c->rope_factor, D = (double)c->head_dim,
                 M = (double)c->max_position_embeddings, n = fmax((double)n_pos, M);
    powers(c->rope_theta * pow(s * n / M - (s - 1), D / (D - 2)), c->head_dim, freq);
    return 1;
}

static double rope_llama3(const ModelConfig *c, int64_t n_pos, double *freq)
{
    (void)n_pos;
    for (int64_t i = 0; i < c->head_dim / 2; i++) {
        const double turns = (double)c->original_max_position_embeddings * freq[i] / (2 * PI),
                     whole =
                         (turns - c->low_freq_factor) / (c->high_freq_factor - c->low_freq_factor),
                     share = fmin(fmax(whole, 0), 1);
        freq[i] *= (1 - share) / c->rope_factor + share;
    }
    return 1;
}

/* The pair, as a number with a fraction, that turns that many times within the original length. */
static double yarn_pair(const ModelConfig *c, double turns)
{
    const double L = (double)c->original_max_position_embeddings;
    return (double)c->head_dim * log(L / (turns * 2 * PI)) / (2 * log(c->rope_theta));
}

static double rope_yarn(const ModelConfig *c, int64_t n_pos, double *freq)
{
    (void)n_pos;
    const double first = fmax(floor(yarn_pair(c, c->beta_fast)), 0),
                 last = fmin(ceil(yarn_pair(c, c->beta_slow)), (double)c->head_dim - 1),
                 width = last != first ? last - first : 0.001;
    for (int64_t i = 0; i < c->head_dim / 2; i++) {
        const double share = fmin(fmax(((double)i - first) / width, 0), 1);
        freq[i] *= share / c->rope_factor + (1 - share);
    }
    return c->attention_factor > 0 ? c->attention_factor : 0.1 * log(c->rope_factor) + 1;
}

static const struct {
    const char *type;
    double (*scale)(const ModelConfig *cfg, int64_t n_pos, double *freq);
} SCALINGS[] = {{"linear", rope_linear},
                {"dynamic", rope_dynamic},
                {"llama3", rope_llama3},
                {"yarn", rope_yarn}};

const char *rope_type_find(const char *type)
{
    for (int64_t i = 0; i < N_OF(SCALINGS); i++)
        if (strcmp(SCALINGS[i].type, type) == 0) return SCALINGS[i].type;
    return NULL;
}

double rope_freq(const ModelConfig *cfg, int64_t n_pos, double *freq)
{
    powers(cfg->rope_theta, cfg->head_dim, freq);
    for (int64_t i = 0; cfg->rope_type && i < N_OF(SCALINGS); i++)
        if (strcmp(SCALINGS[i].type, cfg->rope_type) == 0)
            return SCALINGS[i].scale(cfg, n_pos, freq);
    return 1;
}
