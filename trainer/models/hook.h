/* hook.h — the places where a fine-tuning method may act on a model. A method knows sites, never a
 * model family; a model knows hooks, never a method. */
#ifndef TRAINER_MODELS_HOOK_H
#define TRAINER_MODELS_HOOK_H
#include "trainer/base/opt.h"
#include "trainer/tensor/tape.h"

/* A linear layer inside a block of the model. */
typedef struct Site {
    const char *name; /* of the module: "model.layers.0.self_attn.q_proj" */
    int layer;        /* block it stands in, from 0 */
    int64_t n_in, n_out;
    const Param *weight; /* (n_out,n_in), or (n_in,n_out) where in_out */
    bool in_out;
} Site;

/* What a method sees of a model while it declares its own parameters. */
typedef struct ModelView {
    int64_t n_layer, n_site, n_param;
    const Site *const *site; /* in the order of the forward */
    Param *const *param;     /* the model's own; `frozen` may be changed until the set is split */
    bool tied;               /* the output head is the embedding table */
    bool rotary;             /* positions turn queries and keys */
    int64_t n_head, n_kv_head, head_dim, max_positions;
} ModelView;

/* Long rows read in segments: what a token sees, and what a block keeps between two of them. */
typedef struct Segments {
    int64_t len; /* tokens of a segment */
    int64_t n_sink,
        n_window; /* tokens in sight before it: the first of a document, the last before the segment */
    int64_t
        route_threshold; /* rows of at most so many tokens are read whole, without the method, where nothing is learned */
    int64_t grad_len;     /* segments that gradients pass through; 0: all of a row */
    int64_t state_rows;   /* of head_dim numbers, that a block keeps of a row of the batch */
    bool whole_positions; /* count from the start of the document; else of what is in sight */
    bool turned;          /* SegmentSite has queries and keys turned by their positions */
} Segments;

/* Keys that stay in sight from earlier segments, at most. */
static inline int64_t segments_n_slot(const Segments *s)
{
    return s->n_sink + s->n_window;
}

/* Attention of a block over a segment of B rows. */
typedef struct SegmentSite {
    int layer;
    int64_t B;
    Tensor *q;            /* (B*n,H*D): n new tokens a row */
    Tensor *k, *v;        /* (B*len,Hkv*D) of the whole segment; NULL unless it ends here */
    Tensor *state;        /* (B*state_rows,D) of the segments before */
    const uint8_t *reads; /* (B*n) its document has tokens in them */
    const uint8_t
        *takes; /* (B*len) the token belongs to the document that goes on in the next segment */
    const uint8_t *keeps; /* (B) that document has tokens in the segments before */
} SegmentSite;

/* y = W x + scale B A x at a site, scale = alpha / r, or alpha / sqrt(r) with use_rslora. */
typedef struct LowRank {
    const Site *site;
    const Param *a, *b; /* (r,n_in), (n_out,r) */
    int64_t r;
    double alpha, dropout;
    bool use_rslora;
} LowRank;

/* One fine-tuning method; file trainer/methods/method_<name>.c, line in method_list.h. */
typedef struct MethodDef {
    const char *name; /* the word of kind: */
    const OptSpec *opts;
    size_t opts_size;
    /* Declares what the method adds to the trainable set, and un-freezes what it trains of the model.
     * The strings in opts outlive the method; view does not.
     * Errors  ST_CONFIG nothing in the model is what the options name; ST_NOMEM */
    Status (*create)(void **self, const void *opts, const ModelView *view, ParamSet *ps);
    void (*destroy)(void *self); /* accepts NULL */
    /* (optional) Values of the parameters it declared; each a pure function of seed, name, index. */
    void (*init_weights)(void *self, uint64_t seed);
    /* (optional) What a plan says of it beside its parameters: a few words, cut to n_buf. */
    void (*describe)(const void *self, char *buf, size_t n_buf);
    /* (optional) Reals per token that it adds to a block on the tape. */
    int64_t (*width)(const void *self, int64_t block);
    /* (optional) y0 = x W^T at the site -> y, which may lie where y0 lay. noise: of this micro-batch, 0 in evaluation. */
    Status (*linear)(void *self, Tape *t, const Site *site, uint64_t noise, Tensor *x, Tensor *y0,
                     Tensor **y);
    /* (optional) How long rows are read; at most one method of a run has it, and `attend` with it. */
    const Segments *(*segments)(const void *self);
    /* y0: attention over what is in sight -> y; where the segment ends, *after is the state behind it. */
    Status (*attend)(void *self, Tape *t, const SegmentSite *site, Tensor *y0, Tensor **y,
                     Tensor **after);
    /* (optional) Adds to the site's weight, as it is stored, what `linear` adds to its product.
     * Shapes  w: (n_out,n_in), or (n_in,n_out) where in_out   Errors: ST_NOMEM */
    Status (*merge)(void *self, const Site *site, real *w);
    /* (optional) The i-th low-rank update of which the method consists, for tools that know no other;
     * false: there are no more. */
    bool (*low_rank)(const void *self, int64_t i, LowRank *update);
} MethodDef;

typedef struct Hook {
    const MethodDef *def;
    void *self;
} Hook;

/* The methods in force, in the order of the config; those without a hook are passed over. */
typedef struct Hooks {
    int64_t n;
    Hook *at;
} Hooks;
#endif
