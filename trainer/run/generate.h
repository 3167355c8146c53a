/* generate.h — continues texts: several prompts as one batch, each with random numbers of its own. */
#ifndef TRAINER_RUN_GENERATE_H
#define TRAINER_RUN_GENERATE_H
#include "trainer/base/opt.h"
#include "trainer/run/loaded_model.h"
#include "trainer/run/sample.h"

typedef struct GenerateOpts {
    int64_t max_new_tokens, seed;
    double temperature;
    int64_t top_k;
    double top_p;
    const char *stop; /* a text that ends the continuation, and is part of it; NULL: none */
} GenerateOpts;
extern const OptSpec GENERATE_OPTS[];

typedef struct Prompt {
    const char *text;
    int64_t n_bytes;
} Prompt;

typedef enum GenerateEnd { END_EOS, END_STOP, END_LENGTH } GenerateEnd;
const char *generate_end_name(GenerateEnd end); /* eos | stop | length */

typedef struct GenerateStats {
    bool
        in_segments; /* the route: long prompts of a model with a memory; else attention over all that is in sight */
    int64_t n_prompt;     /* tokens */
    double first_token_s; /* from the call to the first new token */
    double seconds;       /* to the last one */
    int64_t state_bytes;  /* kept from token to token: keys and values, memories */
} GenerateStats;
const char *route_name(bool in_segments);

typedef struct Continuation {
    char *text; /* what follows the prompt, NUL-terminated */
    int64_t n_bytes, n_token;
    int64_t n_unseen; /* first tokens of prompt and text that the last new token did not see */
    GenerateEnd end;
    GenerateStats stats;
} Continuation;

/* Continues prompt i into out[i]. Where the model reads in segments, each prompt above its route_threshold is, all of it;
 * nothing of such a text is out of sight.
 *
 * Rank    local
 * Errors  ST_DATA an empty prompt, or one with a NUL; ST_NONFINITE logits that are not finite
 * Owns    out: the caller's; continuation_fini each, also after a failure */
CHECKED Status generate(const LoadedModel *m, const GenerateOpts *o, int64_t n,
                        const Prompt *prompt, Continuation *out);
void continuation_fini(Continuation *c);
#endif
